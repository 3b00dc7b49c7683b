// Every value in effect and where it comes from: a line of the file, a variable of the environment, or a default.
import type * as z from 'zod';
import { shownDefault } from '../core/config/json-schema.js';
import type { Loaded } from '../core/config/load.js';
import { optionMeta } from '../core/config/option.js';
import { type Path, pathText } from '../core/config/problem.js';
import type { Catalog, Manifest } from '../core/manifest.js';
import { configSchema } from './model.js';
import { manifestOf } from './plugged.js';
import { redact } from './redact.js';

export interface ExplainedValue {
  readonly path: string;
  /** As it would be written; undefined for what is not set and has no default. */
  readonly value: unknown;
  readonly from: 'file' | 'default';
  /** Place in the file; 0 for defaults. */
  readonly line: number;
  /** Variables of the environment that the value was made with. */
  readonly variables: readonly string[];
}

interface Def {
  readonly type: string;
  readonly innerType?: z.ZodType;
  readonly element?: z.ZodType;
  readonly valueType?: z.ZodType;
  readonly shape?: Record<string, z.ZodType>;
  readonly catchall?: z.ZodType;
  readonly options?: readonly z.ZodType[];
  readonly in?: z.ZodType;
  readonly out?: z.ZodType;
  readonly transform?: (value: unknown, context: object) => unknown;
}

const defOf = (schema: z.ZodType): Def => schema._zod.def as unknown as Def;
const isMap = (value: unknown): value is Record<string, unknown> => value !== null && typeof value === 'object' && !Array.isArray(value);
const WRAPPERS = new Set(['optional', 'default', 'prefault', 'nullable', 'readonly', 'catch', 'nonoptional']);

/** Walks the schema and the file beside each other. */
class Explainer {
  readonly rows: ExplainedValue[] = [];
  private readonly loaded: Loaded;
  private readonly catalog: Catalog;

  constructor(loaded: Loaded, catalog: Catalog) {
    this.loaded = loaded;
    this.catalog = catalog;
  }

  /** `value` undefined: not in the file. */
  walk(schema: z.ZodType, value: unknown, path: Path): void {
    let at = schema;
    let given = value;
    let fallback: unknown;
    let section = false;
    for (let def = defOf(at); ; def = defOf(at)) {
      if (WRAPPERS.has(def.type)) {
        fallback ??= shownDefault(at);
        section ||= def.type === 'prefault';
        at = def.innerType!;
      } else if (def.type === 'pipe' && optionMeta.get(at)?.input === undefined) {
        // A preprocess makes the long form of a short one; its input is a transform. Else the output is.
        const before = defOf(def.in!);
        if (before.type === 'transform') {
          if (given !== undefined) given = before.transform!(given, { issues: [], value: given, addIssue: () => {} });
          at = def.out!;
        } else {
          at = def.in!;
        }
      } else {
        break;
      }
    }
    const def = defOf(at);
    if (given === undefined && !section) {
      this.add(path, fallback, false);
      return;
    }
    const manifest = manifestOf(at, given);
    if (manifest !== undefined) this.plugin(manifest, given, path);
    else if (optionMeta.get(at)?.input !== undefined) this.add(path, given, true);
    else if (def.type === 'object') this.object(def, isMap(given) ? given : {}, path);
    else if (def.type === 'array' && Array.isArray(given) && given.length > 0) for (const [i, one] of given.entries()) this.walk(def.element!, one, [...path, i]);
    else if (def.type === 'record' && isMap(given) && Object.keys(given).length > 0) for (const [key, one] of Object.entries(given)) this.walk(def.valueType!, one, [...path, key]);
    else if (def.type === 'union') this.walk(this.alternative(def.options!, given), given, path);
    else this.add(path, given, true);
  }

  private object(def: Def, given: Readonly<Record<string, unknown>>, path: Path): void {
    for (const [key, schema] of Object.entries(def.shape!)) {
      const manifest = key === 'options' ? this.protocolOf(given) : undefined;
      if (manifest !== undefined) this.walk(manifest.schema, given[key] ?? {}, [...path, key]);
      else if (key === 'filters' && isMap(given[key])) for (const [name, options] of Object.entries(given[key])) this.filter(name, options, [...path, key, name]);
      else this.walk(schema, given[key], [...path, key]);
    }
    for (const [key, value] of Object.entries(given)) if (!Object.hasOwn(def.shape!, key)) this.add([...path, key], value, true);
  }

  /** `options` beside `protocol` are those of the protocol. */
  private protocolOf(given: Readonly<Record<string, unknown>>): Manifest | undefined {
    return typeof given['protocol'] === 'string' ? this.catalog.find('protocol', given['protocol']) : undefined;
  }

  private filter(name: string, options: unknown, path: Path): void {
    const manifest = this.catalog.find('stream-filter', name);
    if (manifest === undefined) this.add(path, options, true);
    else this.walk(manifest.schema, options ?? {}, path);
  }

  private plugin(manifest: Manifest, given: unknown, path: Path): void {
    const { type: _, ...options } = isMap(given) ? given : {};
    this.add(isMap(given) ? [...path, 'type'] : path, manifest.name, true);
    if (Object.keys(options).length > 0 || isMap(given)) this.walk(manifest.schema, options, path);
  }

  private alternative(options: readonly z.ZodType[], given: unknown): z.ZodType {
    return options.find((option) => option.safeParse(given).success) ?? options[0]!;
  }

  /** The map of the file at a path; empty where there is none. */
  private around(path: Path): Record<string, unknown> {
    const found = path.reduce<unknown>((at, step) => (at !== null && typeof at === 'object' ? (at as Record<string | number, unknown>)[step] : undefined), this.loaded.data);
    return isMap(found) ? found : {};
  }

  private add(path: Path, value: unknown, fromFile: boolean): void {
    // Whether a value is a secret may show in what is around it.
    const name = String(path.at(-1));
    const shown = path.at(-2) === 'headers' ? (redact({ ...this.around(path.slice(0, -2)), headers: { [name]: value } }) as { headers: Record<string, unknown> }).headers : (redact({ [name]: value }) as Record<string, unknown>);
    // The long form of a short one has no place of its own.
    const place = exists(this.loaded.data, path) ? path : path.slice(0, -1);
    this.rows.push({
      path: pathText(path),
      value: shown[name],
      from: fromFile ? 'file' : 'default',
      line: fromFile ? this.loaded.at(place).line : 0,
      variables: fromFile ? this.loaded.variables(place) : [],
    });
  }
}

function exists(data: unknown, path: Path): boolean {
  return path.reduce<unknown>((at, step) => (at !== null && typeof at === 'object' ? (at as Record<string | number, unknown>)[step] : undefined), data) !== undefined;
}

/** Every option of the file and of its defaults, in the order of the schema. */
export function explainConfig({ loaded, catalog }: { readonly loaded: Loaded; readonly catalog: Catalog }): ExplainedValue[] {
  const explainer = new Explainer(loaded, catalog);
  explainer.walk(configSchema(catalog), loaded.data, []);
  return explainer.rows;
}

function shown(value: unknown): string {
  if (value === undefined) return '(not set)';
  return typeof value === 'string' && value !== '' && !/[\s"]/.test(value) ? value : JSON.stringify(value);
}

/** The rows as columns of text. */
export function explanationText(rows: readonly ExplainedValue[]): string {
  const cells = rows.map((row) => {
    const variables = row.variables.length === 0 ? '' : `, $${row.variables.join(', $')}`;
    return [row.path, shown(row.value), row.from === 'default' ? 'default' : `line ${row.line}${variables}`] as const;
  });
  const width = Math.min(64, Math.max(0, ...cells.map(([path]) => path.length)));
  const middle = Math.min(48, Math.max(0, ...cells.map(([, value]) => value.length)));
  return cells.map(([path, value, from]) => `${path.padEnd(width)}  ${value.padEnd(middle)}  ${from}\n`).join('');
}
