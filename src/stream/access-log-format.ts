// Lines of an access log, text or JSON, written as bytes from finished records. Guarded by bench/micro/access-log.ts.
import type { Writer } from '../core/bytes.js';
import { MAX_CAPTURES, type Captures, type ExchangeRecord } from './record.js';
import { BARE, type Escapes, JSON_STRING, QUOTED, RAW, WORST_ESCAPE, putText } from './variable-bytes.js';
import { ATTEMPTS, LITERAL } from './variable-table.js';
import { AT_END, compile, type Part, putAttemptsJson, type Template, writeVariable } from './variables.js';

const DASH = 0x2d;
const QUOTE = 0x22;
const NEWLINE = 0x0a;
const BRACE = 0x7d;

/** The text line of a log that names no format. */
export const defaultText =
  '[%start_time%] %protocol% "%operation%" %response_code% %response_flags% %reason% %where% %bytes_received% %bytes_sent% %duration% ' +
  '%response_received_duration% "%authority%" %downstream_remote_address% %request_id% %listener_name% %route_name% %upstream_cluster% %attempts%';

/** The fields of `format: json`. */
export const defaultFields: Readonly<Record<string, string>> = {
  start_time: '%start_time%',
  protocol: '%protocol%',
  operation: '%operation%',
  authority: '%authority%',
  response_code: '%response_code%',
  response_flags: '%response_flags%',
  reason: '%reason%',
  reason_text: '%reason_text%',
  where: '%where%',
  bytes_received: '%bytes_received%',
  bytes_sent: '%bytes_sent%',
  duration: '%duration%',
  response_received_duration: '%response_received_duration%',
  downstream_remote_address: '%downstream_remote_address%',
  request_id: '%request_id%',
  trace_id: '%trace_id%',
  listener_name: '%listener_name%',
  route_name: '%route_name%',
  upstream_cluster: '%upstream_cluster%',
  attempts: '%attempts%',
};

/** A template, or a map of names to templates that becomes a JSON object. */
export type FormatConfig = string | Readonly<Record<string, string>>;

/** One field of a JSON line. */
class Field {
  /** `"name":` with what separates it from the field before. */
  readonly key: Uint8Array;
  readonly parts: readonly Part[];
  /** A field that is just one variable: a number stays one, a list is an array, and what is absent is null. */
  readonly alone: Part | null;
  readonly bare: boolean;

  constructor(name: string, first: boolean, template: Template) {
    this.key = Buffer.from(`${first ? '{' : ','}${JSON.stringify(name)}:`);
    this.parts = template.parts;
    const [only] = template.parts;
    this.alone = template.parts.length === 1 && only!.variable !== null ? only! : null;
    this.bare = this.alone !== null && this.alone.variable!.kind === 'number';
  }
}

export class LineFormat {
  private readonly parts: readonly Part[];
  /** Escapes of each part of a text line: in and outside quotes. */
  private readonly escapes: readonly Escapes[];
  private readonly fields: readonly Field[] | null;
  /** Most bytes of a line, captured fields left out. */
  private readonly fixed: number;
  /** Most bytes that one byte of captured fields can become. */
  private readonly factor: number;

  constructor(config: FormatConfig, captures: Captures) {
    const templates = typeof config === 'string' ? [compile(config, AT_END, captures)] : Object.values(config).map((text) => compile(text, AT_END, captures));
    this.parts = templates.flatMap((t) => t.parts);
    this.escapes = escapesOf(this.parts);
    this.fields = typeof config === 'string' ? null : Object.keys(config).map((name, i) => new Field(name, i === 0, templates[i]!));
    this.fixed = templates.reduce((sum, t) => sum + t.worst, 0) + (this.fields ?? []).reduce((sum, f) => sum + f.key.length + 8, 8);
    this.factor = WORST_ESCAPE * mostUses(this.parts);
  }

  /** Most bytes that any line of this format takes. */
  get worst(): number {
    return this.fixed + MAX_CAPTURES * this.factor;
  }

  /** Most bytes that the line of this record takes. */
  bound(record: ExchangeRecord): number {
    return this.fixed + record.capturedLength * this.factor;
  }

  /** Stores a line with its newline; the block must have room for `bound`. */
  write(w: Writer, record: ExchangeRecord): void {
    if (this.fields !== null) {
      this.writeJson(w, record, this.fields);
      return;
    }
    const parts = this.parts;
    const escapes = this.escapes;
    for (let i = 0; i < parts.length; i++) {
      const part = parts[i]!;
      if (part.op === LITERAL) w.bytes(part.literal, 0, part.literal.length);
      else writeOrDash(w, part, escapes[i]!, record);
    }
    w.buf[w.pos++] = NEWLINE;
  }

  private writeJson(w: Writer, record: ExchangeRecord, fields: readonly Field[]): void {
    for (let i = 0; i < fields.length; i++) {
      const field = fields[i]!;
      w.bytes(field.key, 0, field.key.length);
      const alone = field.alone;
      if (alone === null) {
        w.buf[w.pos++] = QUOTE;
        for (const part of field.parts) {
          if (part.op === LITERAL) putText(w, part.text, JSON_STRING, part.text.length);
          else writeOrDash(w, part, JSON_STRING, record);
        }
        w.buf[w.pos++] = QUOTE;
      } else if (alone.op === ATTEMPTS) {
        putAttemptsJson(w, record);
      } else {
        const from = w.pos;
        if (!field.bare) w.buf[w.pos++] = QUOTE;
        if (writeVariable(w, alone, field.bare ? RAW : JSON_STRING, record, null, null)) {
          if (!field.bare) w.buf[w.pos++] = QUOTE;
        } else {
          w.pos = from;
          w.latin1('null');
        }
      }
    }
    w.buf[w.pos++] = BRACE;
    w.buf[w.pos++] = NEWLINE;
  }
}

function writeOrDash(w: Writer, part: Part, escapes: Escapes, record: ExchangeRecord): void {
  const from = w.pos;
  if (writeVariable(w, part, escapes, record, null, null) && w.pos > from) return;
  w.pos = from;
  w.buf[w.pos++] = DASH;
}

/** A variable after an odd number of quotes stands inside a pair of them. */
function escapesOf(parts: readonly Part[]): Escapes[] {
  let quotes = 0;
  return parts.map((part) => {
    if (part.op === LITERAL) quotes += part.text.split('"').length - 1;
    return quotes % 2 === 1 ? QUOTED : BARE;
  });
}

/** How often the field that is used most is used. */
function mostUses(parts: readonly Part[]): number {
  const uses = new Map<string, number>();
  for (const part of parts) for (const name of part.names) uses.set(name.name, (uses.get(name.name) ?? 0) + 1);
  return Math.max(0, ...uses.values());
}
