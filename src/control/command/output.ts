// Where commands write to and what they read of their surroundings; tests put their own behind it.
import { writeSync } from 'node:fs';

/** Exit codes of the program. */
export const DONE = 0;
export const FAILED = 1;
export const MISUSED = 2;
export const REFUSED = 3;

export interface Surroundings {
  /** Standard output and standard error; text is written as it is. */
  out(text: string): void;
  err(text: string): void;
  readonly env: Readonly<Record<string, string | undefined>>;
}

const pause = new Int32Array(new SharedArrayBuffer(4));

/** Writes all of a text before it returns, so that nothing is lost when the process ends; a reader that is gone is no failure. */
export function writeAll(fd: number, text: string): void {
  const bytes = Buffer.from(text, 'utf8');
  for (let at = 0, tries = 0; at < bytes.length && tries < 1000; ) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return;
      // The other end of the pipe is slow and somebody made it non-blocking.
      tries++;
      Atomics.wait(pause, 0, 0, 5);
    }
  }
}
