// What an HTTP/2 codec allows when nothing else is configured.
import type { Http2Limits } from './send.js';

/** The stream window is one less than a round number: content of a round size then never ends exactly where the window does, see manifest.ts. */
export const defaultLimits: Http2Limits = { maxHead: 64 * 1024, maxStreams: 128, streamWindow: 256 * 1024 - 1 };
