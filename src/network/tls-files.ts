// Certificates, keys and CAs as they stand in files: read together, watched by polling, read again when any of them changed.
import { readFileSync, statSync } from 'node:fs';
import { now } from '../core/clock.js';
import { Deadline, type DeadlineOwner } from '../core/deadline.js';

/** How often watched files are looked at. Polling also sees a Kubernetes secret change, which is a symbolic link that moves. */
export const POLL_MS = 2000;

/** Whether a configured value is the PEM text itself rather than the path of a file. */
export function isPem(value: string): boolean {
  return value.includes('-----BEGIN ');
}

/** The PEM text of a configured value: itself, or the file's content. Throws an Error that names the file. */
export function readPem(value: string): string {
  if (isPem(value)) return value;
  let text: string;
  try {
    text = readFileSync(value, 'utf8');
  } catch (e) {
    throw new Error(`cannot read ${value}: ${(e as NodeJS.ErrnoException).code ?? String(e)}`, { cause: e });
  }
  if (!isPem(text)) throw new Error(`${value} is not in PEM form`);
  return text;
}

function signatureOf(paths: readonly string[]): string {
  return paths
    .map((path) => {
      try {
        const s = statSync(path);
        return `${s.ino}:${s.size}:${s.mtimeMs}`;
      } catch (e) {
        return String((e as NodeJS.ErrnoException).code);
      }
    })
    .join(' ');
}

/**
 * Calls `changed` when a file's identity, size or time differs from the last look. While `changed` answers false (what the files
 * hold now does not go together, for they are replaced one after the other) it is called at every look.
 */
export class FileWatch implements DeadlineOwner {
  private readonly paths: readonly string[];
  private readonly changed: () => boolean;
  private deadline: Deadline | null = null;
  private signature: string;
  private lookedAt = now();
  private settled = true;

  /** Values that are PEM text or empty are left out. Nothing is looked at before `poll` or `lookIfDue`. */
  constructor(values: readonly string[], changed: () => boolean) {
    this.paths = [...new Set(values.filter((value) => value !== '' && !isPem(value)))];
    this.changed = changed;
    this.signature = signatureOf(this.paths);
  }

  /** Looks every POLL_MS until `close`. */
  poll(): void {
    if (this.paths.length === 0) return;
    this.deadline ??= new Deadline(this, 0);
    this.deadline.set(POLL_MS);
  }

  /** Looks if the last look is POLL_MS old; for whoever asks often enough and does not close. */
  lookIfDue(): void {
    if (now() - this.lookedAt >= POLL_MS) this.look();
  }

  /** Looks now; true when something was different and is in force. */
  look(): boolean {
    this.lookedAt = now();
    if (this.paths.length === 0) return false;
    const signature = signatureOf(this.paths);
    if (signature === this.signature && this.settled) return false;
    this.signature = signature;
    this.settled = this.changed();
    return this.settled;
  }

  onDeadline(): void {
    this.look();
    this.deadline?.set(POLL_MS);
  }

  /** False makes the next look call `changed` in any case. */
  settle(settled: boolean): void {
    this.settled = settled;
  }

  close(): void {
    this.deadline?.cancel();
    this.deadline = null;
  }
}
