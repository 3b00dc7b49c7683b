// The health check of type http: one HTTP/1.1 request, judged by the status of its reply; independent of the HTTP of the data path.
import { latin1, type Output } from '../../core/bytes.js';
import type { HealthCheckConfig, StatusRange } from './health-config.js';
import { PROBE_DOWN, PROBE_MORE, PROBE_UP, type Probe, type ProbeVerdict } from './probe.js';

const MAX_HEAD = 64 * 1024;
const STATUS_LINE = /^HTTP\/1\.[01] ([1-5]\d\d)(?: [^\r\n]*)?$/;

/** Makes the probes of one host: `authority` is its name and port, for the Host header where the configuration gives none. */
export function httpProbes(config: HealthCheckConfig, authority: string): () => Probe {
  const lines = [`${config.method} ${config.path} HTTP/1.1`, `host: ${config.host === '' ? authority : config.host}`];
  const given = new Set(Object.keys(config.headers).map((name) => name.toLowerCase()));
  if (!given.has('user-agent')) lines.push('user-agent: sluice-health-check');
  if (!given.has('accept')) lines.push('accept: */*');
  for (const [name, value] of Object.entries(config.headers)) lines.push(`${name}: ${value}`);
  if (!config.keep_connection && !given.has('connection')) lines.push('connection: close');
  const question = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
  return () => new HttpProbe(question, config.expect, config.keep_connection, config.method === 'HEAD');
}

/** With `whole`, up is only told at the end of the reply, because the next question will follow on the same connection. */
class HttpProbe implements Probe {
  cause = '';
  private readonly question: Buffer;
  private readonly expect: readonly StatusRange[];
  private readonly whole: boolean;
  private readonly bodiless: boolean;

  constructor(question: Buffer, expect: readonly StatusRange[], whole: boolean, bodiless: boolean) {
    this.question = question;
    this.expect = expect;
    this.whole = whole;
    this.bodiless = bodiless;
  }

  ask(out: Output): void {
    out.write(this.question, 0, this.question.length);
  }

  judge(buf: Uint8Array, start: number, end: number): ProbeVerdict {
    let from = start;
    for (;;) {
      const headEnd = indexOf(buf, '\r\n\r\n', from, end);
      const lineEnd = indexOf(buf, '\r\n', from, end);
      if (lineEnd < 0) return end - from > MAX_HEAD || !plausible(buf, from, end) ? this.down('the answer is not HTTP') : PROBE_MORE;
      const line = latin1(buf, from, lineEnd);
      const match = STATUS_LINE.exec(line);
      if (match === null) return this.down('the answer is not HTTP');
      const status = Number(match[1]);
      if (status < 200 && status !== 101) {
        // An interim reply; the one that counts follows.
        if (headEnd < 0) return PROBE_MORE;
        from = headEnd + 4;
        continue;
      }
      if (!this.expect.some((range) => status >= range.from && status <= range.to)) return this.down(`status ${status}`);
      if (!this.whole) return PROBE_UP;
      if (headEnd < 0) return end - from > MAX_HEAD ? this.down('the head of the answer is too long') : PROBE_MORE;
      if (this.bodiless || status === 204 || status === 304) return PROBE_UP;
      return this.complete(buf, headEnd + 4, end, latin1(buf, lineEnd, headEnd)) ? PROBE_UP : PROBE_MORE;
    }
  }

  private complete(buf: Uint8Array, body: number, end: number, head: string): boolean {
    if (/\r\ntransfer-encoding:[^\r\n]*chunked/i.test(head)) return lastChunkSeen(buf, body, end);
    const length = /\r\ncontent-length:[ \t]*(\d+)/i.exec(head);
    return length === null || end - body >= Number(length[1]);
  }

  private down(cause: string): ProbeVerdict {
    this.cause = cause;
    return PROBE_DOWN;
  }
}

function plausible(buf: Uint8Array, start: number, end: number): boolean {
  const begin = latin1(buf, start, Math.min(end, start + 5));
  return 'HTTP/'.startsWith(begin);
}

function lastChunkSeen(buf: Uint8Array, start: number, end: number): boolean {
  for (let at = start; ; ) {
    const lineEnd = indexOf(buf, '\r\n', at, end);
    if (lineEnd < 0) return false;
    const size = parseInt(latin1(buf, at, lineEnd), 16);
    if (size === 0) return indexOf(buf, '\r\n\r\n', lineEnd, end) >= 0;
    // A bad size: the connection closes or the check times out, as with any answer that never ends.
    if (!(size > 0)) return false;
    at = lineEnd + 2 + size + 2;
  }
}

function indexOf(buf: Uint8Array, mark: string, start: number, end: number): number {
  const at = (buf as Buffer).indexOf(mark, start, 'latin1');
  return at >= 0 && at + mark.length <= end ? at : -1;
}
