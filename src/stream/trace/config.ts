// How traces are configured: what is recorded, in which headers a trace travels, and where finished spans go.
import * as z from 'zod';
import { duration, flag, integer, oneOf, option, percent, Refusal, scalar, text } from '../../core/config/schema.js';

export const formatNames = ['w3c', 'b3', 'b3multi', 'sofa'] as const;
export type FormatName = (typeof formatNames)[number];

const urlExpected = 'the URL of an OTLP receiver, such as http://127.0.0.1:4318/v1/traces';

const url = scalar<string>({ expected: urlExpected, input: () => ({ type: 'string', pattern: '^(https?://|\\$\\{.*\\}$)' }) }, (value) => {
  if (typeof value !== 'string' || !URL.canParse(value)) return new Refusal(urlExpected);
  const { protocol, pathname } = new URL(value);
  if (protocol !== 'http:' && protocol !== 'https:') return new Refusal(urlExpected);
  // The path that receivers have unless they are told otherwise.
  return pathname === '/' ? new URL('/v1/traces', value).href : value;
});

const exporterMap = z.strictObject({
  url: option(url, { default: 'http://127.0.0.1:4318/v1/traces', doc: 'Where spans are sent, as OTLP over HTTP with protobuf bodies; without a path, to its /v1/traces. Default http://127.0.0.1:4318/v1/traces.' }),
  headers: option(z.record(text(), text()), { default: {}, doc: 'Headers of these requests, for receivers that ask for a key.' }),
  timeout: option(duration(10_000, 1), { doc: 'Time for one batch, with the repetitions that the receiver asks for; after it the batch is lost and counted. Default 10 s.' }),
  compression: option(oneOf(['none', 'gzip']), { default: 'none' as const, doc: 'none or gzip. Default none.' }),
  interval: option(duration(1000, 10), { doc: 'Longest time that a finished span waits for others to be sent with. Default 1 s.' }),
  batch: option(integer(1, 65_536), { default: 512, doc: 'Most spans that are sent at once. Default 512.' }),
  queue: option(integer(1, 1_048_576), { default: 8192, doc: 'Most spans that wait to be sent; what comes beyond is lost and counted. Default 8192.' }),
});
export type ExporterConfig = z.output<typeof exporterMap>;
const exporter = z.union([url.transform((value): ExporterConfig => exporterMap.parse({ url: value })), exporterMap]);

const formats = z.union([oneOf(formatNames).transform((one): FormatName[] => [one]), z.array(oneOf(formatNames))]);

const tracing = z.strictObject({
  exporter: option(exporter.prefault({}), { doc: 'Where finished spans go. The URL alone is enough.' }),
  sampling: option(percent(), { default: 100, doc: 'Share of the requests that are recorded, of those that nobody has decided on. Default 100%.', unit: '%' }),
  propagation: option(formats.refine((list) => list.length > 0, { params: { expected: 'at least one of the formats' } }), {
    default: ['w3c', 'b3', 'b3multi', 'sofa'],
    doc: 'Headers in which a request may bring its trace, looked for in this order; a trace that begins here is written as the first. Bolt uses sofa, the other protocols the others. Default w3c, b3, b3multi, sofa.',
  }),
  trust: option(formats, {
    default: ['w3c', 'b3', 'b3multi'],
    doc: 'Formats whose flag decides whether a request is recorded; the flag of others counts as none, and the share decides by the trace id. SOFATracer sets its flag whether or not anybody decided. Default w3c, b3, b3multi.',
  }),
  inject: option(formats, { default: [], doc: 'Formats that are written into each recorded request besides those it came with. Default none.' }),
  always_propagate: option(flag(), { default: false, doc: 'Gives requests that bring no trace one that is not recorded, so that what comes next decides the same. Default false: they stay as they came.' }),
  service_name: option(text(), { default: 'sluice', doc: 'Name under which spans are shown (service.name). Default sluice.' }),
  resource: option(z.record(text(), text()), { default: {}, doc: 'Further attributes of the process, such as deployment.environment.name.' }),
});

export type TracingConfig = z.output<typeof tracing>;

/** The section `tracing`; null and false turn it off. */
export const tracingSchema = z.union([z.literal(false).transform((): TracingConfig | null => null), z.null(), tracing.transform((on): TracingConfig | null => on)]);
