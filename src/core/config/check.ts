// Checks loaded data against a schema and tells every problem at once, each with its place, what was expected and the nearest name.
import type * as z from 'zod';
import { nearest } from '../nearest.js';
import type { Loaded } from './load.js';
import { optionMeta } from './option.js';
import { type Path, pathText, type Problem, sortProblems } from './problem.js';

export { formatProblem, formatProblems, type Path, pathText, type Problem, problemsJson } from './problem.js';

/** `value` is deeply frozen. */
export type Checked<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problems: readonly Problem[] };

/** What is known of an issue while zod still has the schema and the input at hand; carried through zod as the issue's message. */
interface Note {
  readonly expected: string;
  readonly got: string;
  readonly hint: string;
  /** For unknown keys: those that are known. */
  readonly known?: readonly string[];
  /** For alternatives: how many of them there are and that the input fits none by its very type. */
  readonly type?: true;
}

const SECRET = /pass(word|wd)?|secret|token|private|credential/i;
const MARK = '\u0001';

/** A value as a message shows it. */
function show(value: unknown): string {
  if (value === undefined) return '';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (value !== null && typeof value === 'object') return 'a map';
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

const TYPES: Record<string, string> = {
  array: 'a list',
  boolean: 'true or false',
  int: 'a whole number',
  null: 'nothing',
  number: 'a number',
  object: 'a map',
  record: 'a map',
  string: 'a text',
  tuple: 'a list',
};

const words = (values: readonly unknown[]): string => (values.length === 1 ? String(values[0]) : `one of ${values.map(String).join(', ')}`);

function amount(origin: string, limit: unknown, side: 'least' | 'most', inclusive: boolean): string {
  const bound = inclusive ? `at ${side} ${String(limit)}` : `${side === 'least' ? 'more' : 'less'} than ${String(limit)}`;
  if (origin === 'string') return `a text of ${bound} characters`;
  if (origin === 'array' || origin === 'set') return `a list of ${bound} entries`;
  if (origin === 'map' || origin === 'record' || origin === 'object') return `${bound} entries`;
  return `a number of ${bound}`;
}

function note(issue: z.core.$ZodRawIssue): Note {
  const raw = issue as z.core.$ZodRawIssue & Record<string, unknown>;
  const schema = (raw.schema ?? raw.inst) as z.ZodType | undefined;
  const said = schema !== undefined && '_zod' in schema ? optionMeta.get(schema)?.expected : undefined;
  const got = show(raw.input);
  switch (issue.code) {
    case 'invalid_type':
      return { expected: said ?? TYPES[issue.expected] ?? String(issue.expected), got, hint: '', type: true };
    case 'unrecognized_keys': {
      const shape = (raw.inst as z.core.$ZodObject | undefined)?._zod.def.shape;
      return { expected: '', got: '', hint: '', known: shape === undefined ? [] : Object.keys(shape) };
    }
    case 'invalid_value': {
      const values = issue.values as unknown[];
      return { expected: words(values), got, hint: meant(raw.input, values) };
    }
    case 'invalid_union': {
      const options = (raw['options'] as unknown[] | undefined) ?? [];
      if (options.length === 0) return { expected: said ?? '', got, hint: '' };
      const value = (raw.input as Record<string, unknown> | null)?.[raw['discriminator'] as string];
      return { expected: words(options), got: show(value), hint: meant(value, options) };
    }
    case 'too_small':
      return { expected: amount(issue.origin, issue.minimum, 'least', issue.inclusive !== false), got, hint: '' };
    case 'too_big':
      return { expected: amount(issue.origin, issue.maximum, 'most', issue.inclusive !== false), got, hint: '' };
    case 'not_multiple_of':
      return { expected: `a multiple of ${String(issue.divisor)}`, got, hint: '' };
    case 'invalid_format':
      return { expected: said ?? (issue.pattern === undefined ? `a text of the form ${issue.format}` : `a text that matches ${issue.pattern}`), got, hint: '' };
    case 'invalid_key':
      return { expected: said ?? 'another key', got: show(raw.input), hint: '' };
    case 'custom': {
      const params = issue.params as { expected?: string; hint?: string } | undefined;
      return { expected: params?.expected ?? said ?? 'another value', got, hint: params?.hint ?? '' };
    }
    default:
      return { expected: said ?? 'another value', got, hint: '' };
  }
}

function meant(value: unknown, values: readonly unknown[]): string {
  const [near] = typeof value === 'string' ? nearest(value, values.map(String)) : [];
  return near === undefined ? '' : `did you mean ${near}?`;
}

function noteOf(issue: z.core.$ZodIssue): Note {
  if (issue.message.startsWith(MARK)) return JSON.parse(issue.message.slice(1)) as Note;
  // A sentence of the schema's own, given to `refine`.
  return { expected: issue.message, got: '', hint: '' };
}

/** The alternative of a union that the input was most likely meant to be: not of another type at its root, then with the fewest faults. */
function likeliest(alternatives: readonly (readonly z.core.$ZodIssue[])[]): readonly z.core.$ZodIssue[] | null {
  const fitting = alternatives.filter((issues) => !issues.some((i) => i.path.length === 0 && (noteOf(i).type === true || i.code === 'custom' || i.code === 'invalid_value')));
  if (fitting.length === 0) return null;
  const faults = (issues: readonly z.core.$ZodIssue[]): number => issues.reduce((n, i) => n + (i.code === 'unrecognized_keys' ? i.keys.length : 1), 0);
  return fitting.reduce((best, issues) => (faults(issues) < faults(best) ? issues : best));
}

class Collector {
  readonly problems: Problem[] = [];
  readonly #loaded: Loaded;

  constructor(loaded: Loaded) {
    this.#loaded = loaded;
  }

  take(issues: readonly z.core.$ZodIssue[], base: Path): void {
    for (const issue of issues) this.#take(issue, [...base, ...(issue.path as Path)]);
  }

  #take(issue: z.core.$ZodIssue, path: Path): void {
    // What an unset variable left behind is not the user's mistake a second time.
    if (this.#loaded.faulty.some((faulty) => startsWith(path, faulty))) return;
    const said = noteOf(issue);
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys) this.#unknown([...path, key], key, said.known ?? []);
    } else if (issue.code === 'invalid_union' && issue.errors.length > 0) {
      const chosen = likeliest(issue.errors);
      if (chosen !== null) return this.take(chosen, path);
      const expected = [...new Set(issue.errors.flatMap((errors) => errors.slice(0, 1).map((e) => noteOf(e).expected)))];
      this.#add(path, { ...said, expected: said.expected === '' ? expected.join(', or ') : said.expected });
    } else if (issue.code === 'invalid_key' && issue.issues.length > 0) {
      const inner = noteOf(issue.issues[0]!);
      this.#add(path, { expected: `${inner.expected} as key`, got: said.got, hint: inner.hint });
    } else {
      this.#add(path, issue.code === 'custom' && said.got !== '' ? { ...said, got: this.#found(path, said.got) } : said);
    }
  }

  /** What stands at the path. A schema that refuses a part of its value has zod report the whole; where the data has another shape than the schema that is all there is. */
  #found(path: Path, reported: string): string {
    const around = path.slice(0, -1).reduce<unknown>((at, step) => (at !== null && typeof at === 'object' ? (at as Record<string | number, unknown>)[step] : undefined), this.#loaded.data);
    const last = path.at(-1);
    return last === undefined || around === null || typeof around !== 'object' ? reported : show((around as Record<string | number, unknown>)[last]);
  }

  #unknown(path: Path, key: string, known: readonly string[]): void {
    const [near] = nearest(key, known);
    const hint = near !== undefined ? `did you mean ${near}?` : known.length > 0 && known.length <= 12 ? `known are ${known.join(', ')}` : '';
    this.problems.push({ file: this.#loaded.file, ...this.#loaded.keyAt(path), path: pathText(path), expected: 'unknown key', got: '', hint });
  }

  #add(path: Path, { expected, got, hint }: Note): void {
    const last = path.at(-1);
    const hidden = got !== '' && typeof last === 'string' && SECRET.test(last) ? 'a hidden value' : got;
    const missing = got === '' && !exists(this.#loaded.data, path);
    this.problems.push({
      file: this.#loaded.file,
      ...this.#loaded.at(path),
      path: pathText(path),
      expected: missing ? `is missing, expected ${expected}` : got === '' ? expected : `expected ${expected}`,
      got: hidden,
      hint,
    });
  }
}

function exists(data: unknown, path: Path): boolean {
  let at = data;
  for (const step of path) {
    if (at === null || typeof at !== 'object' || !Object.hasOwn(at, step)) return false;
    at = (at as Record<string | number, unknown>)[step];
  }
  return at !== undefined;
}

const startsWith = (path: Path, base: Path): boolean => base.every((step, i) => path[i] === step);

/** Checks what was loaded; the problems of loading come first in the list where there are any. */
export function check<T>(schema: z.ZodType<T>, loaded: Loaded): Checked<T> {
  if (loaded.data === undefined) return { ok: false, problems: sortProblems(loaded.problems) };
  const result = schema.safeParse(loaded.data, { error: (issue) => MARK + JSON.stringify(note(issue)) });
  if (result.success && loaded.problems.length === 0) return { ok: true, value: deepFreeze(result.data) };
  const collector = new Collector(loaded);
  if (!result.success) collector.take(result.error.issues, []);
  return { ok: false, problems: sortProblems([...loaded.problems, ...collector.problems]) };
}

/** A problem found outside a schema, such as a reference to what does not exist; `known` gives the nearest name as hint. */
export function problemAt(loaded: Loaded, path: Path, expected: string, got: unknown = undefined, known: Iterable<string> = []): Problem {
  const [near] = typeof got === 'string' ? nearest(got, known) : [];
  return {
    file: loaded.file,
    ...loaded.at(path),
    path: pathText(path),
    expected,
    got: show(got),
    hint: near === undefined ? '' : `did you mean ${near}?`,
  };
}

/** Freezes plain objects and arrays all the way down; what else there is (buffers, expressions, class instances) is left as it is. */
export function deepFreeze<T>(value: T): T {
  if (value === null || typeof value !== 'object' || Object.isFrozen(value)) return value;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== Array.prototype && prototype !== null) return value;
  Object.freeze(value);
  for (const part of Object.values(value)) deepFreeze(part);
  return value;
}
