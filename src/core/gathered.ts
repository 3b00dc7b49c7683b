// How much a worker's connections hold of messages that have not come completely, so that codecs can refuse long ones in time.

/** Most bytes that may be held of messages too long for a buffer of the usual size, in one worker. */
export const MAX_GATHERED = 64 * 1024 * 1024;

/** Buffers up to this size are not counted: their number is bounded by that of the connections. */
export const COUNTED_FROM = 256 * 1024;

/** Kept by the connections of this thread; read by codecs before they ask for the rest of a long message. */
export const gathered = { bytes: 0 };
