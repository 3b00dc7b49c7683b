// Every option of a schema as a flat list: for the reference, for `check --explain`, and for the test that none lacks a description.
import type * as z from 'zod';
import { shownDefault } from './json-schema.js';
import { optionMeta } from './option.js';

export interface OptionRow {
  /** `listeners[].filters.NAME`: `[]` stands for an index, a word in capitals for a name that the user chooses. */
  readonly path: string;
  /** "duration", "bytes", "text", "a | b", ... */
  readonly type: string;
  readonly unit: string;
  /** Effect; empty where the schema states none. */
  readonly doc: string;
  /** As it would be written; undefined where there is none. */
  readonly default: unknown;
  readonly required: boolean;
}

interface Def {
  readonly type: string;
  readonly innerType?: z.ZodType;
  readonly element?: z.ZodType;
  readonly valueType?: z.ZodType;
  readonly shape?: Record<string, z.ZodType>;
  readonly options?: readonly z.ZodType[];
  readonly in?: z.ZodType;
  readonly out?: z.ZodType;
  readonly left?: z.ZodType;
  readonly right?: z.ZodType;
  readonly getter?: () => z.ZodType;
  readonly entries?: Record<string, string>;
  readonly values?: readonly unknown[];
}

const defOf = (schema: z.ZodType): Def => schema._zod.def as unknown as Def;
const WRAPPERS = new Set(['optional', 'default', 'prefault', 'nullable', 'readonly', 'catch', 'nonoptional']);
const OPTIONAL = new Set(['optional', 'default', 'prefault', 'catch']);

/** What stands behind wrappers and conversions; a schema that says itself what it accepts is left as it is. */
function unwrap(schema: z.ZodType): z.ZodType {
  for (let at = schema; ; ) {
    const def = defOf(at);
    if (WRAPPERS.has(def.type)) at = def.innerType!;
    else if (def.type === 'lazy') at = def.getter!();
    else if (def.type === 'pipe' && optionMeta.get(at)?.input === undefined) at = defOf(def.in!).type === 'transform' ? def.out! : def.in!;
    else return at;
  }
}

/** The first thing that any of the wrappers around a schema says of it. */
function about<K extends 'doc' | 'unit'>(schema: z.ZodType, what: K): string {
  for (let at: z.ZodType | undefined = schema; at !== undefined; at = WRAPPERS.has(defOf(at).type) ? defOf(at).innerType : undefined) {
    const said = optionMeta.get(at)?.[what] ?? (what === 'doc' ? at.description : undefined);
    if (said !== undefined) return said;
  }
  return '';
}

function typeText(schema: z.ZodType): string {
  const meta = optionMeta.get(schema);
  if (meta?.expected !== undefined) return meta.unit ?? meta.expected.replace(/^an? /, '').replace(/ (such as|of lower).*/, '');
  const def = defOf(schema);
  if (def.type === 'enum') return Object.values(def.entries!).join(' | ');
  if (def.type === 'literal') return def.values!.map(String).join(' | ');
  if (def.type === 'array') return `list of ${typeText(unwrap(def.element!))}`;
  if (def.type === 'union') return [...new Set(def.options!.map((o) => typeText(unwrap(o))))].join(' | ');
  if (def.type === 'object') return 'section';
  if (def.type === 'record') return 'map';
  return def.type === 'string' ? 'text' : def.type;
}

class Walker {
  readonly rows: OptionRow[] = [];
  readonly #open = new Set<z.ZodType>();

  walk(schema: z.ZodType, path: string): void {
    const at = unwrap(schema);
    // A schema within itself (a route of routes) is told once.
    if (this.#open.has(at)) return;
    this.#open.add(at);
    const def = defOf(at);
    if (def.type === 'object') {
      for (const [key, value] of Object.entries(def.shape!)) this.#option(value, path === '' ? key : `${path}.${key}`);
    } else if (def.type === 'array') {
      this.walk(def.element!, `${path}[]`);
    } else if (def.type === 'record') {
      this.walk(def.valueType!, `${path}.NAME`);
    } else if (def.type === 'union') {
      for (const one of def.options!) this.walk(one, path);
    } else if (def.type === 'intersection') {
      this.walk(def.left!, path);
      this.walk(def.right!, path);
    }
    this.#open.delete(at);
  }

  #option(schema: z.ZodType, path: string): void {
    // The word by which a list of alternatives is told apart explains itself.
    if (defOf(unwrap(schema)).type === 'literal' && about(schema, 'doc') === '') return;
    let value: unknown;
    let required = true;
    for (let at = schema; WRAPPERS.has(defOf(at).type); at = defOf(at).innerType!) {
      value ??= shownDefault(at);
      if (OPTIONAL.has(defOf(at).type)) required = false;
    }
    this.rows.push({
      path,
      type: typeText(unwrap(schema)),
      unit: about(schema, 'unit') || (optionMeta.get(unwrap(schema))?.unit ?? ''),
      doc: about(schema, 'doc'),
      default: value,
      required,
    });
    this.walk(schema, path);
  }
}

/** Every option below `schema`, sections before their parts. */
export function listOptions(schema: z.ZodType): OptionRow[] {
  const walker = new Walker();
  walker.walk(schema, '');
  return walker.rows;
}
