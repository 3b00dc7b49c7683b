// The active health check of HTTP/2 hosts: grpc.health.v1.Health/Check, the health protocol of gRPC; hosts that do not speak gRPC are judged by their status.
import type { Output } from '../../../core/bytes.js';
import { sentence, type ReasonCode, type ReasonContext } from '../../../core/reason.js';
import { PROBE_DOWN, PROBE_MORE, PROBE_UP, type Probe, type ProbeVerdict } from '../../../network/upstream/probe.js';
import { headerName, type Head } from '../../head.js';
import type { CodecSink } from '../../protocol.js';
import { Http2ClientCodec } from './client.js';
import { GRPC_NOT_FOUND, GRPC_OK, GRPC_UNIMPLEMENTED, grpcNames } from './grpc.js';
import type { Http2Head } from './head.js';
import { madeRequest } from './made.js';
import { defaultLimits } from './limits.js';

const STATUS = headerName(':status');
/** HealthCheckResponse.status: SERVING. */
const SERVING = 1;
/** Most bytes of an answer that are looked at: it has two. */
const MAX_ANSWER = 1024;

/**
 * Options: `service` is the name asked for, and '' (default) asks for the host as a whole; `answer` is "serving" (default) or "any". Up:
 * SERVING. Down: any other status, a service or a health protocol that the host does not have, and, from hosts that answer without
 * gRPC, statuses of 400 and above. With "any" every reply is up: servers of Dubbo and SOFARPC have no health protocol.
 */
export class GrpcProbe implements Probe, CodecSink {
  cause = '';
  private readonly service: string;
  private readonly any: boolean;
  private readonly mistake: string;
  private readonly codec = new Http2ClientCodec(defaultLimits);
  private verdict: ProbeVerdict = PROBE_MORE;
  private seen = 0;
  private grpc = false;
  private content = Buffer.alloc(0);

  constructor(options: unknown = {}) {
    const { service = '', answer = 'serving' } = (options ?? {}) as Readonly<Record<string, unknown>>;
    this.mistake = mistakeOf(options);
    this.service = typeof service === 'string' ? service : '';
    this.any = answer === 'any';
  }

  ask(out: Output): void {
    const name = Buffer.from(this.service);
    // HealthCheckRequest: field 1, a string with its length as a varint; names of 16 KiB and more are not sent.
    const n = Math.min(name.length, 0x3fff);
    const message = n === 0 ? name : Buffer.concat([Buffer.from(n < 128 ? [0x0a, n] : [0x0a, (n & 127) | 128, n >>> 7]), name.subarray(0, n)]);
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(message.length, 1);
    const framed = Buffer.concat([prefix, message]);
    const head = madeRequest({ method: 'POST', path: '/grpc.health.v1.Health/Check', authority: 'health-check' }, [['content-type', 'application/grpc'], ['te', 'trailers'], ['user-agent', 'sluice']]);
    head.setBody(framed);
    this.codec.encodeRequest(out, head, 0, true);
  }

  judge(buf: Uint8Array, start: number, end: number): ProbeVerdict {
    if (this.mistake !== '') this.end(false, this.mistake);
    const from = start + this.seen;
    if (end > from) this.seen += this.codec.decode(buf, from, end, this);
    return this.verdict;
  }

  onReply(head: Head, last: boolean): void {
    const h2 = head as Http2Head;
    if (head.interim) return;
    if (this.any) {
      this.end(true, '');
      return;
    }
    const status = Number(head.get(STATUS));
    this.grpc = h2.meaning.grpc || h2.meaning.grpcStatus >= 0;
    if (status !== 200 || !this.grpc) this.end(!this.grpc && status < 400, `it answered with status ${status}`);
    else if (last) this.judgeStatus(h2.meaning.grpcStatus);
  }

  onData(_id: number, buf: Uint8Array, start: number, end: number, last: boolean): void {
    if (this.content.length < MAX_ANSWER) this.content = Buffer.concat([this.content, buf.subarray(start, end)]);
    if (last) this.end(false, 'its answer ended without a status');
  }

  onTrailers(_id: number, head: Head): void {
    this.judgeStatus((head as Http2Head).meaning.grpcStatus);
  }

  private judgeStatus(status: number): void {
    if (status === GRPC_OK) {
      // Prefix of five bytes, then field 1, a varint; an absent field is 0, UNKNOWN.
      const serving = this.content.length >= 7 && this.content[5] === 0x08 ? this.content[6]! : 0;
      this.end(serving === SERVING, serving === 2 ? 'it says NOT_SERVING' : `it says it is in state ${serving}`);
    } else if (status === GRPC_UNIMPLEMENTED) {
      this.end(false, 'it has no service grpc.health.v1.Health');
    } else if (status === GRPC_NOT_FOUND) {
      this.end(false, `it does not know the service ${this.service}`);
    } else {
      this.end(false, `it answered with ${grpcNames[status] ?? `grpc-status ${status}`}`);
    }
  }

  private end(up: boolean, cause: string): void {
    if (this.verdict !== PROBE_MORE) return;
    this.verdict = up ? PROBE_UP : PROBE_DOWN;
    if (!up) this.cause = cause;
  }

  onReset(): void {
    this.end(false, 'it reset the question');
  }

  onGoAway(): void {
    this.end(false, 'it is going away');
  }

  onError(_id: number, code: ReasonCode, context: ReasonContext): void {
    this.end(false, sentence(code, context));
  }

  onRequest(): void {}
  onPing(): void {}
  onPong(): void {}
}

/** What is wrong with the options, or ''; the configuration cannot check them, so that the cause of an ill host has to tell. */
function mistakeOf(options: unknown): string {
  for (const [key, value] of Object.entries((options ?? {}) as Readonly<Record<string, unknown>>)) {
    if (key !== 'service' && key !== 'answer') return `${key} is no option of this probe`;
    if (typeof value !== 'string') return `option ${key} is not a text`;
    if (key === 'answer' && value !== 'serving' && value !== 'any') return `option answer is ${value}, not one of serving, any`;
  }
  return '';
}
