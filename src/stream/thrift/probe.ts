// The active health check of a Thrift host: a call of a method that need not exist; any message that answers it is a sign of life.
import type { Output } from '../../core/bytes.js';
import { PROBE_DOWN, PROBE_MORE, PROBE_UP, type Probe, type ProbeVerdict } from '../../network/upstream/probe.js';
import {
  CALL, COMPACT, COMPACT_BYTE, EXCEPTION, type Form, MESSAGE_START, OLD, REPLY_MESSAGE, STRICT, STRICT_BYTE, buildFrame, i32, messageAt, u16,
} from './frame.js';

/** No host has it: servers answer with an exception message of type "unknown method". */
export const PROBE_METHOD = 'sluice_health_check';
const MAX_ANSWER = 16 * 1024 * 1024;
const forms: Readonly<Record<string, Form>> = { binary: STRICT, 'old-binary': OLD, compact: COMPACT };

/**
 * Options: `method` (default PROBE_METHOD), called without arguments; `protocol`, one of binary, old-binary and compact (default binary);
 * with Dubbo's header also `service`.
 */
export class ThriftProbe implements Probe {
  cause = '';
  private readonly dubbo: boolean;
  private readonly options: Readonly<Record<string, unknown>>;

  constructor(options: unknown, dubbo: boolean) {
    this.options = (options ?? {}) as Record<string, unknown>;
    this.dubbo = dubbo;
  }

  ask(out: Output): void {
    const { method = PROBE_METHOD, protocol = 'binary', service = PROBE_METHOD } = this.mistake() === '' ? this.options : {};
    const frame = buildFrame({
      form: forms[protocol as string]!,
      type: CALL,
      seqid: 1,
      name: Buffer.from(method as string),
      content: Buffer.from([0]),
      dubbo: this.dubbo ? { service: Buffer.from(service as string), high: 0, low: 1 } : null,
    });
    out.write(frame, 0, frame.length);
  }

  /** What is wrong with the options, or ''; the configuration cannot check them, so that the cause of an ill host has to tell. */
  private mistake(): string {
    for (const [key, value] of Object.entries(this.options)) {
      if (key !== 'method' && !(key === 'protocol' && !this.dubbo) && !(key === 'service' && this.dubbo)) return `${key} is no option of this probe`;
      if (typeof value !== 'string') return `option ${key} is not a text`;
      if (key === 'protocol' && !Object.hasOwn(forms, value)) return `option protocol is ${value}, not one of ${Object.keys(forms).join(', ')}`;
    }
    return '';
  }

  judge(buf: Uint8Array, start: number, end: number): ProbeVerdict {
    if (end - start < 4) return PROBE_MORE;
    const mistake = this.mistake();
    if (mistake !== '') return this.down(mistake);
    const length = i32(buf, start);
    if (length < 5 || length > MAX_ANSWER) return this.down();
    if (this.dubbo && end - start < 12) return PROBE_MORE;
    if (this.dubbo && u16(buf, start + 4) !== 0xdabc) return this.down();
    const m = messageAt(buf, start, this.dubbo);
    const stop = start + 4 + length;
    if (m + 5 > stop) return this.down();
    if (end < Math.min(stop, m + MESSAGE_START)) return PROBE_MORE;
    const type = typeOf(buf, m, stop, end);
    if (type < 0) return PROBE_MORE;
    return type === REPLY_MESSAGE || type === EXCEPTION ? PROBE_UP : this.down();
  }

  private down(cause = 'the answer is no framed Thrift message'): ProbeVerdict {
    this.cause = cause;
    return PROBE_DOWN;
  }
}

/** The type of the message at buf[m], 0 where it is none, -1 where more bytes are needed. */
function typeOf(buf: Uint8Array, m: number, stop: number, end: number): number {
  if (buf[m] === STRICT_BYTE) return buf[m + 1] === 1 ? buf[m + 3]! : 0;
  if (buf[m] === COMPACT_BYTE) return (buf[m + 1]! & 0x1f) === 1 ? buf[m + 1]! >> 5 : 0;
  const name = buf[m] === 0 ? i32(buf, m) : -1;
  if (name < 0 || m + 4 + name >= stop) return 0;
  return m + 4 + name < end ? buf[m + 4 + name]! : -1;
}
