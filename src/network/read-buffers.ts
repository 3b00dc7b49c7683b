// Large read buffers that go round: read into, given away with their bytes, and back once the kernel has taken these.

/** Sizes in use: a wire with full reads moves up one step at a time. */
export const READ_SIZES = [128 * 1024, 256 * 1024] as const;
const MOST = 16;

const free = new Map<number, Buffer[]>(READ_SIZES.map((size) => [size, []]));
const ours = new WeakSet<Uint8Array>();

/**
 * A buffer of one of READ_SIZES. A fresh one costs its page faults, which for bulk traffic were a third of all time; one that comes
 * back is warm.
 */
export function takeReadBuffer(size: number): Buffer {
  const known = free.get(size)?.pop();
  if (known !== undefined) return known;
  const made = Buffer.allocUnsafeSlow(size);
  ours.add(made);
  return made;
}

/** True for buffers that `recycle` wants back. */
export function isReadBuffer(buf: Uint8Array): boolean {
  return ours.has(buf);
}

/** Nobody looks at the bytes any more. Anything but a read buffer is left to the collector. */
export function recycle(buf: Uint8Array): void {
  if (buf.length < READ_SIZES[0] || !ours.has(buf)) return;
  const list = free.get(buf.length)!;
  // A buffer may be given in parts, each of which is handed in when it was taken.
  if (list.length < MOST && !list.includes(buf as Buffer)) list.push(buf as Buffer);
}

/** Undoes `recycle` within the same delivery: a further part of the buffer has not been taken. */
export function withdraw(buf: Uint8Array): void {
  const list = free.get(buf.length)!;
  const at = list.indexOf(buf as Buffer);
  if (at !== -1) list.splice(at, 1);
}
