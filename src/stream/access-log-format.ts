// Lines of an access log, text or JSON, written as bytes from finished records; the default line takes 0.5 us (bench/micro/access-log.ts).
import { Writer } from '../core/bytes.js';
import { MAX_CAPTURES, type Captures, type ExchangeRecord } from './record.js';
import { BARE, type Escapes, JSON_STRING, putAll, putInt, putMs, putText, QUOTED, RAW, WORST_ESCAPE } from './variable-bytes.js';
import * as op from './variable-table.js';
import { AT_END, capturedLieAt, compile, type Part, putAttemptsJson, type Template, writeCaptured, writeVariable } from './variables.js';

const DASH = 0x2d;
const QUOTE = 0x22;

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

// How an atom is written.
const AS_LITERAL = 0;
/** The value, or a dash where there is none. */
const AS_TEXT = 1;
/** A JSON string, or null. */
const AS_STRING = 2;
/** A JSON number, or null. */
const AS_NUMBER = 3;
const AS_ATTEMPTS = 4;

/** The smallest part of a line. */
class Atom {
  readonly part: Part | null;
  readonly form: number;
  readonly escapes: Escapes;
  readonly literal: Uint8Array;
  /** One or two bytes that come before the value, 0 for none: most separators, for which a step of their own would cost more than they do. */
  lead1 = 0;
  lead2 = 0;
  /** The variable, where `writeHot` may know it; 0 otherwise. */
  readonly hot: number;
  /** Goes by the shorter way of `writeCaptured`. */
  readonly isField: boolean;
  /** Bits of the facts of a record on which alone the value depends, see Run; -1 where it depends on more. */
  readonly facts: number;

  constructor(part: Part | null, form: number, escapes: Escapes, literal = '') {
    this.part = part;
    this.form = form;
    this.escapes = escapes;
    this.literal = Buffer.from(literal);
    this.hot = part !== null && (form === AS_TEXT || form === AS_NUMBER) ? part.op : 0;
    this.isField = part !== null && fieldOps.includes(part.op);
    this.facts = part === null ? 0 : (factsOf.get(part.op) ?? -1);
  }
}

const fieldOps: readonly number[] = [op.REQUEST_FIELD, op.REQUEST_ID, op.OPERATION];

const FACT_PROTOCOL = 1;
const FACT_LISTENER = 2;
const FACT_ROUTE = 4;
const FACT_CLUSTER = 8;
const FACT_CODE = 16;
const FACT_STATUS = 32;
const FACT_RAW_STATUS = 64;
const FACT_ONEWAY = 128;

const factsOf: ReadonlyMap<number, number> = new Map([
  [op.PROTOCOL, FACT_PROTOCOL],
  [op.LISTENER_NAME, FACT_LISTENER],
  [op.ROUTE_NAME, FACT_ROUTE],
  [op.UPSTREAM_CLUSTER, FACT_CLUSTER],
  [op.FLAGS, FACT_CODE],
  [op.REASON, FACT_CODE],
  [op.WHERE, FACT_CODE],
  [op.RESPONSE_CODE, FACT_STATUS],
  [op.RAW_STATUS, FACT_STATUS | FACT_RAW_STATUS],
  [op.KIND, FACT_ONEWAY],
]);

/** A run as it was written last for certain facts. */
class Written {
  protocol = '';
  listener = '';
  route = '';
  cluster = '';
  code = '';
  status = -1;
  rawStatus = -1;
  oneway = false;
  bytes: Uint8Array = Buffer.alloc(0);
}

const REMEMBERED = 8;

/** Atoms in a row whose values are the same for most exchanges of a listener: written once and copied from then on. */
class Run {
  readonly atoms: readonly Atom[];
  private readonly facts: number;
  private readonly written: Written[] = [];
  private last = new Written();
  private next = 0;

  constructor(atoms: readonly Atom[]) {
    this.atoms = atoms;
    this.facts = atoms.reduce((all, atom) => all | atom.facts, 0);
    if (this.facts === 0) this.last.bytes = this.make(null);
  }

  write(w: Writer, record: ExchangeRecord): void {
    if (this.facts !== 0 && !this.fits(this.last, record)) this.find(record);
    putAll(w, this.last.bytes);
  }

  private fits(w: Written, r: ExchangeRecord): boolean {
    const facts = this.facts;
    return (
      ((facts & FACT_STATUS) === 0 || r.status === w.status) &&
      ((facts & FACT_CODE) === 0 || r.code === w.code) &&
      ((facts & FACT_ROUTE) === 0 || r.routeName === w.route) &&
      ((facts & FACT_CLUSTER) === 0 || r.clusterName === w.cluster) &&
      ((facts & FACT_LISTENER) === 0 || r.listener === w.listener) &&
      ((facts & FACT_PROTOCOL) === 0 || r.protocol === w.protocol) &&
      ((facts & FACT_RAW_STATUS) === 0 || r.rawStatus === w.rawStatus) &&
      ((facts & FACT_ONEWAY) === 0 || r.oneway === w.oneway) &&
      w.bytes.length > 0
    );
  }

  private find(record: ExchangeRecord): void {
    for (const one of this.written) {
      if (!this.fits(one, record)) continue;
      this.last = one;
      return;
    }
    const made = new Written();
    made.protocol = record.protocol;
    made.listener = record.listener;
    made.route = record.routeName;
    made.cluster = record.clusterName;
    made.code = record.code;
    made.status = record.status;
    made.rawStatus = record.rawStatus;
    made.oneway = record.oneway;
    made.bytes = this.make(record);
    this.written[this.next] = made;
    this.next = (this.next + 1) % REMEMBERED;
    this.last = made;
  }

  private make(record: ExchangeRecord | null): Uint8Array {
    const w = new Writer(Buffer.alloc(this.atoms.reduce((sum, { part, literal }) => sum + literal.length + (part?.worst ?? 0) + 8, 0)));
    for (const atom of this.atoms) {
      if (record === null || atom.part === null) putAll(w, atom.literal);
      else writeAtom(w, atom, atom.part, record);
    }
    return Buffer.from(w.buf.subarray(0, w.pos));
  }
}

/** What is done to write a line: a run, or one atom whose value is another each time. */
class Step {
  readonly run: Run | null;
  readonly atom: Atom | null;

  constructor(run: Run | null, atom: Atom | null) {
    this.run = run;
    this.atom = atom;
  }
}

export class LineFormat {
  private readonly steps: readonly Step[];
  /** Most bytes of a line, captured fields left out. */
  private readonly fixed: number;
  /** Most bytes that one byte of captured fields can become; 0 for a format that uses none. */
  private readonly factor: number;

  constructor(config: FormatConfig, captures: Captures) {
    const json = typeof config !== 'string';
    const templates = (json ? Object.values(config) : [config]).map((text) => compile(text, AT_END, captures));
    const parts = templates.flatMap((t) => t.parts);
    const atoms = json ? jsonAtoms(Object.keys(config), templates) : textAtoms(parts);
    this.steps = stepsOf(atoms);
    this.fixed = atoms.reduce((sum, { part, literal }) => sum + literal.length + (part?.worst ?? 0) + 8, 0);
    this.factor = WORST_ESCAPE * mostUses(parts);
  }

  /** Most bytes that any line of this format takes. */
  get worst(): number {
    return this.fixed + MAX_CAPTURES * (this.factor + 2);
  }

  /** Room that the line of this record needs, besides for a copy of what it captured. */
  bound(record: ExchangeRecord): number {
    return this.factor === 0 ? this.fixed : this.fixed + record.capturedLength * this.factor + record.captured.length;
  }

  /** Stores a line with its newline; the block must have room for `bound`. */
  write(w: Writer, record: ExchangeRecord): void {
    if (this.factor > 0) {
      // At the end of the block, where lines come last: the bytes stay in the processor's cache from line to line.
      const at = w.buf.length - record.captured.length;
      w.buf.set(record.captured, at);
      capturedLieAt(at);
    }
    const steps = this.steps;
    for (let i = 0; i < steps.length; i++) {
      const { run, atom } = steps[i]!;
      if (run !== null) run.write(w, record);
      else writeHot(w, atom!, record);
    }
    capturedLieAt(-1);
  }
}

/** The variables of most lines by ways of their own, because the general one costs them as much again; the rest goes there. */
function writeHot(w: Writer, atom: Atom, record: ExchangeRecord): void {
  if (atom.lead1 !== 0) {
    w.buf[w.pos++] = atom.lead1;
    if (atom.lead2 !== 0) w.buf[w.pos++] = atom.lead2;
  }
  switch (atom.hot) {
    case op.BYTES_IN:
      return putInt(w, record.bytesIn);
    case op.BYTES_OUT:
      return putInt(w, record.bytesOut);
    case op.DURATION:
      if (record.end !== 0) return putMs(w, record.end - record.start);
      break;
    case op.REPLY_DURATION:
      if (record.firstReplyByte !== 0) return putMs(w, record.firstReplyByte - record.start);
      break;
    case op.ATTEMPTS:
      if (record.attempts === 1 && record.firstCode === '' && record.firstHost !== '') return putText(w, record.firstHost, atom.escapes);
      break;
    default:
  }
  writeAtom(w, atom, atom.part!, record);
}

function writeAtom(w: Writer, atom: Atom, part: Part, record: ExchangeRecord): void {
  const from = w.pos;
  switch (atom.form) {
    case AS_TEXT:
      if (writeValue(w, atom, part, record) && w.pos > from) return;
      w.pos = from;
      w.buf[w.pos++] = DASH;
      return;
    case AS_STRING:
      w.buf[w.pos++] = QUOTE;
      if (writeValue(w, atom, part, record)) {
        w.buf[w.pos++] = QUOTE;
        return;
      }
      break;
    case AS_ATTEMPTS:
      putAttemptsJson(w, record);
      return;
    default:
      if (writeValue(w, atom, part, record)) return;
  }
  w.pos = from;
  w.latin1('null');
}

function writeValue(w: Writer, atom: Atom, part: Part, record: ExchangeRecord): boolean {
  return atom.isField ? writeCaptured(w, part, atom.escapes, record) : writeVariable(w, part, atom.escapes, record, null, null);
}

const literal = (text: string): Atom => new Atom(null, AS_LITERAL, RAW, text);

/** A variable after an odd number of quotes stands inside a pair of them. */
function textAtoms(parts: readonly Part[]): Atom[] {
  let quotes = 0;
  const atoms = parts.map((part) => {
    if (part.op !== op.LITERAL) return new Atom(part, AS_TEXT, quotes % 2 === 1 ? QUOTED : BARE);
    quotes += part.text.split('"').length - 1;
    return literal(part.text);
  });
  return [...atoms, literal('\n')];
}

/** A field that is just one variable keeps its type; any other is a string, with dashes for what is absent. */
function jsonAtoms(names: readonly string[], templates: readonly Template[]): Atom[] {
  const atoms: Atom[] = [];
  names.forEach((name, i) => {
    const { parts } = templates[i]!;
    atoms.push(literal(`${i === 0 ? '{' : ','}${JSON.stringify(name)}:`));
    const [only] = parts;
    if (parts.length === 1 && only!.variable !== null) {
      const { kind } = only!.variable;
      atoms.push(kind === 'list' ? new Atom(only!, AS_ATTEMPTS, JSON_STRING) : kind === 'number' ? new Atom(only!, AS_NUMBER, RAW) : new Atom(only!, AS_STRING, JSON_STRING));
      return;
    }
    atoms.push(literal('"'));
    for (const part of parts) atoms.push(part.op === op.LITERAL ? literal(JSON.stringify(part.text).slice(1, -1)) : new Atom(part, AS_TEXT, JSON_STRING));
    atoms.push(literal('"'));
  });
  return [...atoms, literal('}\n')];
}

function stepsOf(atoms: readonly Atom[]): Step[] {
  const steps: Step[] = [];
  let run: Atom[] = [];
  for (const atom of atoms) {
    if (atom.facts >= 0) {
      run.push(atom);
      continue;
    }
    const [only] = run;
    if (run.length === 1 && only!.part === null && only!.literal.length <= 2) {
      atom.lead1 = only!.literal[0]!;
      atom.lead2 = only!.literal[1] ?? 0;
    } else if (run.length > 0) {
      steps.push(new Step(new Run(run), null));
    }
    run = [];
    steps.push(new Step(null, atom));
  }
  if (run.length > 0) steps.push(new Step(new Run(run), null));
  return steps;
}

/** How often the field that is used most is used. */
function mostUses(parts: readonly Part[]): number {
  const uses = new Map<string, number>();
  for (const part of parts) for (const name of part.names) uses.set(name.name, (uses.get(name.name) ?? 0) + 1);
  return Math.max(0, ...uses.values());
}
