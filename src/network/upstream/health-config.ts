// How active health checks are configured.
import * as z from 'zod';
import { duration, flag, integer, name, oneOf, option, percent, Refusal, scalar } from '../../core/config/schema.js';

export interface StatusRange {
  readonly from: number;
  readonly to: number;
}

function statusRange(): z.ZodType<StatusRange, unknown> {
  const expected = 'a status such as 204, or a range such as 200-299';
  const input = () => ({ anyOf: [{ type: 'integer', minimum: 100, maximum: 599 }, { type: 'string', pattern: '^\\d{3}(-\\d{3})?$' }] });
  return scalar<StatusRange>({ expected, input, show: ({ from, to }: StatusRange) => (from === to ? from : `${from}-${to}`) }, (value) => {
    const match = /^([1-5]\d\d)(?:\s*-\s*([1-5]\d\d))?$/.exec(String(value));
    if (match === null) return new Refusal(expected);
    const from = Number(match[1]);
    const to = Number(match[2] ?? from);
    return from <= to ? { from, to } : new Refusal(expected, `${to}-${from}?`);
  });
}

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** A part of a request that is sent as it stands, so nothing may break out of its line. */
function safe(expected: string, pattern: RegExp): z.ZodType<string, unknown> {
  return scalar<string>({ expected, input: () => ({ type: 'string' }) }, (value) => (typeof value === 'string' && pattern.test(value) ? value : new Refusal(expected)));
}

export function healthCheck() {
  const http = {
    method: option(oneOf(['GET', 'HEAD', 'OPTIONS']), { optional: true, doc: 'Type http: method of the request. Default GET.' }),
    path: option(safe('a path such as /healthz', /^\/[\x21-\x7e]*$/), { optional: true, doc: 'Type http: path and query of the request. Default /.' }),
    host: option(safe('a host name', /^[\x21-\x7e]+$/), { optional: true, doc: "Type http: the Host header. Default: the host's name and port." }),
    headers: option(z.record(safe('a header name', TOKEN), safe('a header value in one line', /^[\x20-\x7e\t]*$/)), { optional: true, doc: 'Type http: further headers.' }),
    expect: option(z.array(statusRange()).min(1), { optional: true, doc: 'Type http: statuses that mean healthy, such as [200-299, 404]. Default 200-299.' }),
  };
  const shape = z.strictObject({
    type: option(name(), { default: 'tcp', doc: "What is asked: `tcp` whether a connection is accepted (with TLS where the cluster has it), `http` for a status, `protocol` whatever the cluster's protocol has for it, or the name of another protocol that has a probe. Default tcp." }),
    interval: option(duration(5000, 10), { doc: 'Time between checks of a host. Default 5 s.' }),
    retry_interval: option(duration(1000, 10), { doc: 'Time to the next check while the results contradict the state and the threshold is not reached. Default 1 s.' }),
    jitter: option(percent(10), { doc: 'By how much the intervals vary, so that checks do not fall together. Default 10 %.' }),
    timeout: option(duration(1000, 1), { doc: 'Time for the whole of a check, connecting included. Default 1 s.' }),
    healthy_threshold: option(integer(1, 1000), { default: 2, doc: 'Successes in a row that make an unhealthy host healthy. Default 2.' }),
    unhealthy_threshold: option(integer(1, 1000), { default: 3, doc: 'Failures in a row that make a healthy host unhealthy. Default 3. The very first check decides alone.' }),
    initial: option(oneOf(['healthy', 'unhealthy']), { default: 'healthy' as const, doc: 'What a host counts as until its first check has ended. Default healthy.' }),
    keep_connection: option(flag(), { default: false, doc: 'Keeps the connection open between checks, for http and protocols. Default false.' }),
    port: option(integer(1, 65535), { optional: true, doc: "Port that is asked instead of the host's own." }),
    options: option(z.record(z.string(), z.unknown()), { optional: true, doc: 'Options of the probe of a protocol.' }),
    ...http,
  });
  const short = z.preprocess((value) => (typeof value === 'string' ? { type: value } : value), shape);
  return short.transform((check, context) => {
    const refuse = (path: string, expected: string): void => context.addIssue({ code: 'custom', path: [path], params: { expected } });
    for (const key of Object.keys(http)) if (check.type !== 'http' && key in check) refuse(key, `nothing here: it belongs to type http, not ${check.type}`);
    if (check.options !== undefined && (check.type === 'http' || check.type === 'tcp')) refuse('options', `nothing here: it belongs to the probe of a protocol, not to ${check.type}`);
    if (check.keep_connection && check.type === 'tcp') refuse('keep_connection', 'false: with type tcp the connection itself is the check');
    return {
      ...check,
      port: check.port ?? 0,
      options: check.options ?? {},
      method: check.method ?? 'GET',
      path: check.path ?? '/',
      host: check.host ?? '',
      headers: check.headers ?? {},
      expect: check.expect ?? [{ from: 200, to: 299 }],
    };
  });
}

/** Times in ms; `port` 0 is the host's own, `host` '' the host's name. */
export type HealthCheckConfig = z.output<ReturnType<typeof healthCheck>>;
