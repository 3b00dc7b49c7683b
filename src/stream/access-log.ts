// Access logs: one line for each finished exchange, all of them or those worth a line, to a file or standard output.
import * as z from 'zod';
import { option, Refusal, scalar, text } from '../core/config/schema.js';
import { reasons } from '../core/reason.js';
import { defaultFields, defaultText, type FormatConfig, LineFormat } from './access-log-format.js';
import { BLOCK_BYTES, type LineSink, type LineSinks } from './access-log-sink.js';
import { Captures, type ExchangeRecord } from './record.js';
import { template } from './route-config.js';
import { AT_END, templateProblems } from './variables.js';

export { LineSinks, WriteGate } from './access-log-sink.js';

/** Which exchanges get a line: `errors` those that failed, besides one in `every` of the others (0: none, 1: all). */
export interface WhenConfig {
  readonly every: number;
}

const whenExpected = 'all, errors, or "sample N"';

const when = scalar<WhenConfig>(
  {
    expected: whenExpected,
    input: () => ({ type: 'string', pattern: '^(all|errors|sample [1-9][0-9]*)$' }),
    show: ({ every }: WhenConfig) => (every === 0 ? 'errors' : every === 1 ? 'all' : `sample ${every}`),
  },
  (value) => {
    if (value === 'all') return { every: 1 };
    if (value === 'errors') return { every: 0 };
    const sample = typeof value === 'string' ? /^sample ([1-9]\d{0,8})$/.exec(value) : null;
    return sample === null ? new Refusal(whenExpected) : { every: Number(sample[1]) };
  },
);

const ready: Readonly<Record<string, FormatConfig>> = { text: defaultText, json: defaultFields };
const lineExpected = 'text, json, or a text with %variables%';

const fields = z.record(text(), template(AT_END));

const format = z
  .union([z.string(), fields])
  .superRefine((value, context) => {
    const refuse = (expected: string, hint = ''): void => context.addIssue({ code: 'custom', params: { expected, hint } });
    if (typeof value === 'string') {
      if (Object.hasOwn(ready, value)) return;
      const [problem] = templateProblems(value, AT_END);
      if (problem !== undefined || !value.includes('%')) return refuse(lineExpected, problem);
    } else if (Object.keys(value).length === 0) return refuse('at least one field');
    if (new LineFormat(value, new Captures()).worst > BLOCK_BYTES) refuse('a format that uses each header at most four times and is not so long');
  })
  .transform((value): FormatConfig => (typeof value !== 'string' ? value : Object.hasOwn(ready, value) ? ready[value]! : value.replace(/\n+$/, '')));

const accessLog = z.strictObject({
  path: option(text(), { default: 'stdout', doc: 'File that lines are appended to, or stdout or stderr. Default stdout.' }),
  format: option(format, {
    default: defaultText,
    doc: 'text and json are ready-made; a text with %variables% is a format of its own, a map of names to such texts becomes a JSON object, in which numbers are numbers and what is absent is null. Default text.',
  }),
  when: option(when, { default: { every: 1 }, doc: 'all; errors: exchanges with a reason or a status from 500; "sample N": errors, and one in N of the others. Default all.' }),
});
export type AccessLogConfig = z.output<typeof accessLog>;

/** The section `access_log`: one log, a list, the path of one, or false for none. */
export const accessLogSchema = z.union([
  z.literal(false).transform((): AccessLogConfig[] => []),
  z.string().transform((path): AccessLogConfig[] => [accessLog.parse({ path })]),
  z.array(accessLog),
  accessLog.transform((one): AccessLogConfig[] => [one]),
]);

/** What a configuration without `access_log` means: every exchange as text to standard output. */
export const defaultAccessLogs: readonly AccessLogConfig[] = [accessLog.parse({})];

/** Whether an exchange counts as failed. */
export function isError(record: ExchangeRecord): boolean {
  return record.status >= 500 || (record.code !== '' && reasons[record.code].kind !== 'ok');
}

export class AccessLog {
  private readonly format: LineFormat;
  private readonly sink: LineSink;
  private readonly sinks: LineSinks;
  private readonly every: number;
  private sinceSample = 0;

  /** `captures`: the set of the listener; fields of heads that the format needs are added to it. */
  constructor(config: AccessLogConfig, deps: { readonly sinks: LineSinks; readonly captures: Captures }) {
    this.format = new LineFormat(config.format, deps.captures);
    this.every = config.when.every;
    this.sinks = deps.sinks;
    this.sink = deps.sinks.open(config.path);
  }

  /** Appends the line of a finished exchange; never waits, never throws. */
  write(record: ExchangeRecord): void {
    if (this.every !== 1 && !this.wanted(record)) return;
    this.sink.write(this.format, record);
  }

  private wanted(record: ExchangeRecord): boolean {
    if (isError(record)) return true;
    if (this.every === 0 || ++this.sinceSample < this.every) return false;
    this.sinceSample = 0;
    return true;
  }

  /** Lets go of the file; resolves when what was appended is written, if nobody else uses it. */
  close(): Promise<void> {
    return this.sinks.release(this.sink);
  }
}
