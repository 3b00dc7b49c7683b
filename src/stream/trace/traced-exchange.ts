// What a span tells of a finished exchange, as plain values between two threads: flat, because names of fields would be sent with every one.
import type { ReasonCode } from '../../core/reason.js';
import type { Attempt, ExchangeRecord } from '../record.js';

/** Fields of many exchanges, one after the other, each with its attempts behind it. */
export type Packed = (string | number | boolean)[];

export interface TracedExchange {
  readonly traceId: string;
  readonly parentId: string;
  readonly serverId: string;
  readonly clientId: string;
  readonly state: string;
  readonly sofaTrace: string;
  readonly sofaCall: string;
  readonly sofaNext: string;
  readonly method: string;
  readonly path: string;
  readonly authority: string;
  readonly scheme: string;
  readonly service: string;
  readonly rpcMethod: string;
  readonly agent: string;
  readonly contentType: string;
  readonly protocol: string;
  readonly listener: string;
  readonly route: string;
  readonly cluster: string;
  /** Why it ended other than well; ''. */
  readonly code: ReasonCode | '';
  readonly status: number;
  readonly rawStatus: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly flags: number;
  readonly oneway: boolean;
  readonly secure: boolean;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  /** Epoch ms. */
  readonly start: number;
  readonly end: number;
  /** `started` in epoch ms. */
  readonly attempts: readonly Attempt[];
}

/** Appends an exchange; `epoch` is what is added to monotonic ms to get epoch ms. */
export function pack(record: ExchangeRecord, epoch: number, to: Packed): void {
  const t = record.trace!;
  const d = record.downstream;
  to.push(
    t.traceId, t.parentId, t.serverId, t.clientId, t.state, t.sofaTrace, t.sofaCall, t.sofaNext,
    t.method, t.path, t.authority, t.scheme, t.service, t.rpcMethod, t.agent, t.contentType,
    record.protocol, record.listener, record.routeName, record.clusterName, record.code, record.status, record.rawStatus,
    record.bytesIn, record.bytesOut, record.flags, record.oneway,
    d !== null && d.secure, d === null ? '' : d.remoteAddress, d === null ? 0 : d.remotePort, d === null ? '' : d.localAddress, d === null ? 0 : d.localPort,
    record.start + epoch, record.end + epoch, record.attempts,
  );
  for (let i = 0; i < record.attempts; i++) {
    const { host, code, errno, started, duration, reused, status } = record.attempt(i);
    to.push(host, code, errno, started + epoch, duration, reused, status);
  }
}

/** The exchanges of a batch. */
export function unpack(packed: Packed): TracedExchange[] {
  const found: TracedExchange[] = [];
  let p = 0;
  const text = (): string => packed[p++] as string;
  const number = (): number => packed[p++] as number;
  const flag = (): boolean => packed[p++] as boolean;
  const attempt = (): Attempt => ({ host: text(), code: text() as ReasonCode | '', errno: text(), started: number(), duration: number(), reused: flag(), status: number() });
  while (p < packed.length) {
    // In the order of `pack`.
    found.push({
      traceId: text(), parentId: text(), serverId: text(), clientId: text(), state: text(), sofaTrace: text(), sofaCall: text(), sofaNext: text(),
      method: text(), path: text(), authority: text(), scheme: text(), service: text(), rpcMethod: text(), agent: text(), contentType: text(),
      protocol: text(), listener: text(), route: text(), cluster: text(), code: text() as ReasonCode | '', status: number(), rawStatus: number(),
      bytesIn: number(), bytesOut: number(), flags: number(), oneway: flag(),
      secure: flag(), remoteAddress: text(), remotePort: number(), localAddress: text(), localPort: number(),
      start: number(), end: number(), attempts: Array.from({ length: number() }, attempt),
    });
  }
  return found;
}
