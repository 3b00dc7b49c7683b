// What an active health check asks of a protocol: one question sent over a fresh or kept connection, one verdict on the bytes that come back.
import type { Output } from '../../core/bytes.js';

export const PROBE_MORE = 0;
export const PROBE_UP = 1;
export const PROBE_DOWN = 2;
export type ProbeVerdict = typeof PROBE_MORE | typeof PROBE_UP | typeof PROBE_DOWN;

/** One health check in flight; made anew for every check. */
export interface Probe {
  /** Writes the question. */
  ask(out: Output): void;
  /** Judges all bytes received so far. */
  judge(buf: Uint8Array, start: number, end: number): ProbeVerdict;
  /** Why the verdict was down, in a few words. */
  readonly cause: string;
}

/** `options` is the cluster's `health_check` section for this protocol (HTTP: path, host, expected statuses). */
export type ProbeFactory = (options: unknown) => Probe;
