// The process log: pino to standard error, as JSON or as plain text lines, with a level that can be changed while running.
import { writeSync } from 'node:fs';
import { type Logger, pino } from 'pino';

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];
export type LogFormat = 'text' | 'json';

/** Values of a log line. An Error under `err` or `error` is written with its stack. */
export type LogFields = Readonly<Record<string, unknown>>;

const number: Record<LogLevel, number> = { trace: 10, debug: 20, info: 30, warn: 40, error: 50, fatal: 60, silent: Infinity };

/** Takes whole lines, newline included. */
export interface LogSink {
  write(line: string): void;
}

const standardError: LogSink = {
  write(line) {
    writeAll(2, line);
  },
};

/** Writes synchronously, so that the last line before an end is not lost; a reader that is gone or full loses lines, not the process. */
function writeAll(fd: number, text: string): void {
  const bytes = Buffer.from(text, 'utf8');
  let at = 0;
  for (let tries = 0; at < bytes.length && tries < 100; ) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (e) {
      if ((e as NodeJS.ErrnoException).code !== 'EAGAIN') return;
      tries++;
      Atomics.wait(pause, 0, 0, 1);
    }
  }
}
const pause = new Int32Array(new SharedArrayBuffer(4));

let level = number.info;
let levelName: LogLevel = 'info';
let format: LogFormat = 'text';
let sink: LogSink = standardError;
/** Raised when format or sink change, so that every logger makes its pino anew. */
let generation = 1;

const names = new Map(Object.entries(number).map(([name, value]) => [value, name]));
const plain = /^[^\s"=\\]+$/;

function textValue(value: unknown): string {
  if (typeof value === 'string') return plain.test(value) ? value : JSON.stringify(value);
  if (value !== null && typeof value === 'object') {
    const { message, stack } = value as { message?: unknown; stack?: unknown };
    if (typeof message === 'string') return JSON.stringify(typeof stack === 'string' && level <= number.debug ? stack : message);
  }
  return JSON.stringify(value) ?? String(value);
}

/** `time level [name] message key=value ...` out of a line of pino. */
function textLine(json: string): string {
  const { level: l, time, name, msg, ...fields } = JSON.parse(json) as Record<string, unknown>;
  let line = `${String(time)} ${(names.get(l as number) ?? String(l)).padEnd(5)}`;
  if (name !== undefined) line += ` [${String(name)}]`;
  if (msg !== undefined) line += ` ${String(msg).replaceAll('\n', '\\n')}`;
  for (const [key, value] of Object.entries(fields)) line += ` ${key}=${textValue(value)}`;
  return `${line}\n`;
}

function makePino(name: string): Logger {
  const destination = format === 'json' ? sink : { write: (json: string) => sink.write(textLine(json)) };
  return pino(
    {
      level: 'trace',
      base: name === '' ? null : { name },
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: { error: pino.stdSerializers.err },
      ...(format === 'json' ? { formatters: { level: (label: string) => ({ level: label }) } } : {}),
    },
    destination,
  );
}

/** A named part's logger. Each method takes fields and a message, or a message alone. */
export class Log {
  readonly name: string;
  #pino: Logger | null = null;
  #generation = 0;

  constructor(name: string) {
    this.name = name;
  }

  /** A logger whose name is this one's and `name`, joined by a dot. */
  child(name: string): Log {
    return new Log(this.name === '' ? name : `${this.name}.${name}`);
  }

  /** Whether lines of this level are written; for callers whose fields are dear to make. */
  enabled(at: LogLevel): boolean {
    return number[at] >= level;
  }

  trace(fields: LogFields | string, message?: string): void {
    if (level <= 10) this.#write('trace', fields, message);
  }

  debug(fields: LogFields | string, message?: string): void {
    if (level <= 20) this.#write('debug', fields, message);
  }

  info(fields: LogFields | string, message?: string): void {
    if (level <= 30) this.#write('info', fields, message);
  }

  warn(fields: LogFields | string, message?: string): void {
    if (level <= 40) this.#write('warn', fields, message);
  }

  error(fields: LogFields | string, message?: string): void {
    if (level <= 50) this.#write('error', fields, message);
  }

  fatal(fields: LogFields | string, message?: string): void {
    if (level <= 60) this.#write('fatal', fields, message);
  }

  #write(at: Exclude<LogLevel, 'silent'>, fields: LogFields | string, message: string | undefined): void {
    if (this.#pino === null || this.#generation !== generation) {
      this.#pino = makePino(this.name);
      this.#generation = generation;
    }
    if (typeof fields === 'string') this.#pino[at](fields);
    else this.#pino[at](fields, message);
  }
}

/** The logger of the process; parts take a `child`. */
export const log = new Log('');

export function setLevel(next: LogLevel): void {
  level = number[next];
  levelName = next;
}

export function getLevel(): LogLevel {
  return levelName;
}

/** Applies the configuration's `log`; `to` replaces standard error. What is left out stays as it is. */
export function configureLog(options: { level?: LogLevel; format?: LogFormat; to?: LogSink }): void {
  if (options.level !== undefined) setLevel(options.level);
  format = options.format ?? format;
  sink = options.to ?? sink;
  generation++;
}
