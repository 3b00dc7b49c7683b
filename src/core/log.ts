// The process log on standard error: JSON lines by pino or plain text lines, with a level that can be changed while running.
import { writeSync } from 'node:fs';
import type { Logger, pino } from 'pino';
import { clock } from './clock.js';

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];
export type LogFormat = 'text' | 'json';

/** Values of a log line. Of an Error, text lines show the message, and the stack from level error on or while debugging. */
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
/** Makes a pino; null while lines are text. It is loaded only for JSON: that takes 15 ms, which a start as text need not wait for. */
let json: ((name: string) => Logger) | null = null;
/** Raised when format or sink change, so that every logger makes its pino anew. */
let generation = 1;

type LineLevel = Exclude<LogLevel, 'silent'>;

const plain = /^[^\s"=\\]+$/;

function textValue(value: unknown, withStack: boolean): string {
  if (typeof value === 'string') return plain.test(value) ? value : JSON.stringify(value);
  if (value instanceof Error) return JSON.stringify(withStack ? (value.stack ?? value.message) : value.message);
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return JSON.stringify(String(value));
  }
}

/** `time level [name] message key=value ...` */
function textLine(at: LineLevel, name: string, fields: LogFields | null, message: string | undefined): string {
  let line = `${new Date(clock.wall()).toISOString()} ${at.padEnd(5)}`;
  if (name !== '') line += ` [${name}]`;
  if (message !== undefined) line += ` ${message.replaceAll('\n', '\\n')}`;
  if (fields !== null) {
    const withStack = number[at] >= number.error || level <= number.debug;
    for (const key of Object.keys(fields)) {
      if (fields[key] !== undefined) line += ` ${key}=${textValue(fields[key], withStack)}`;
    }
  }
  return `${line}\n`;
}

function jsonBy(make: typeof pino): (name: string) => Logger {
  return (name) =>
    make(
      {
        level: 'trace',
        base: name === '' ? null : { name },
        timestamp: () => `,"time":"${new Date(clock.wall()).toISOString()}"`,
        serializers: { err: make.stdSerializers.err, error: make.stdSerializers.err },
        formatters: { level: (label) => ({ level: label }) },
      },
      sink,
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

  #write(at: LineLevel, fields: LogFields | string, message: string | undefined): void {
    if (json === null) {
      sink.write(typeof fields === 'string' ? textLine(at, this.name, null, fields) : textLine(at, this.name, fields, message));
      return;
    }
    if (this.#pino === null || this.#generation !== generation) {
      this.#pino = json(this.name);
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

/**
 * Applies the configuration's `log`; `to` replaces standard error. What is left out stays as it is. Level and sink are in force
 * at once, JSON when the promise resolves.
 */
export async function configureLog(options: { level?: LogLevel; format?: LogFormat; to?: LogSink }): Promise<void> {
  if (options.level !== undefined) setLevel(options.level);
  sink = options.to ?? sink;
  generation++;
  format = options.format ?? format;
  if (format === 'text') json = null;
  if (format === 'json' && json === null) {
    // The default export: a bundle has no other of a CommonJS module.
    const { default: make } = await import('pino');
    // Another call may have asked for text meanwhile.
    if (format !== 'json') return;
    json = jsonBy(make);
    generation++;
  }
}
