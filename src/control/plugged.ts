// Schemas of places where a plug-in is named: `{type: NAME, ...options}`, the options checked by the plug-in's own schema.
import * as z from 'zod';
import { jsonSchemaPart } from '../core/config/json-schema.js';
import { type JsonSchema, optionMeta } from '../core/config/schema.js';
import type { Catalog, Manifest } from '../core/manifest.js';
import { nearest } from '../core/nearest.js';

/** A plug-in as it is used in one place: its name, and its options as its own schema decoded them. */
export interface Plugged {
  readonly type: string;
  readonly options: unknown;
}

/** What a zod transform hands to its function, as far as it is used here. */
type Context = Pick<z.core.$RefinementCtx, 'addIssue'>;

/** The plug-in's schema that describes a value written at a place of `plugged`, for those who walk schemas. */
const chosen = new WeakMap<z.ZodType, (value: unknown) => Manifest | undefined>();

/** The manifest that the value of a `plugged` place names; undefined for other schemas and unknown names. */
export function manifestOf(schema: z.ZodType, value: unknown): Manifest | undefined {
  return chosen.get(schema)?.(value);
}

/**
 * Decodes options by a plug-in's own schema and tells its issues as if they were found by the schema around it. They are passed
 * on as zod made them, unfinished, so that the messages are written by the same hand as all others.
 */
export function decodeOptions(manifest: Manifest, input: unknown, path: readonly (string | number)[], context: Context): unknown {
  const result = manifest.schema._zod.run({ value: input ?? {}, issues: [] }, { async: false });
  if (result instanceof Promise) throw new Error(`the schema of ${manifest.name} is asynchronous`);
  const issues = (context as unknown as { issues: object[] }).issues;
  for (const issue of result.issues) issues.push({ ...issue, path: [...path, ...(issue.path ?? [])] });
  return result.value;
}

/** Refuses a name that no plug-in of the kind has. */
export function refuseName(catalog: Catalog, kind: string, name: unknown, path: readonly (string | number)[], context: Context, words: readonly string[] = []): void {
  const names = [...words, ...catalog.names(kind)];
  const [near] = typeof name === 'string' ? nearest(name, names) : [];
  const expected = names.length === 0 ? `no ${kind} at all: there is none` : `one of ${names.join(', ')}`;
  context.addIssue({ code: 'custom', path: [...path], input: name, params: { expected, hint: near === undefined ? '' : `did you mean ${near}?` } });
}

const isMap = (value: unknown): value is Record<string, unknown> => value !== null && typeof value === 'object' && !Array.isArray(value);

/** A plug-in of a kind: its name alone, or a map with its name as `type` and its options. */
export function plugged(catalog: Catalog, kind: string): z.ZodType<Plugged, unknown> {
  const find = (value: unknown): Manifest | undefined => {
    const type = typeof value === 'string' ? value : isMap(value) ? value['type'] : undefined;
    return typeof type === 'string' ? catalog.find(kind, type) : undefined;
  };
  const schema = z.unknown().transform((value, context): Plugged => {
    const before = (context as unknown as { issues: object[] }).issues.length;
    const { type, ...options } = typeof value === 'string' ? { type: value } : isMap(value) ? value : {};
    if (typeof value !== 'string' && !isMap(value)) {
      context.addIssue({ code: 'custom', params: { expected: `the name of a ${kind}, or a map with its name as type` } });
      return z.NEVER;
    }
    const manifest = find(value);
    if (manifest === undefined) {
      refuseName(catalog, kind, type, typeof value === 'string' ? [] : ['type'], context);
      return z.NEVER;
    }
    const decoded = decodeOptions(manifest, options, [], context);
    return (context as unknown as { issues: object[] }).issues.length > before ? z.NEVER : { type: manifest.name, options: decoded };
  });
  optionMeta.add(schema, { expected: `a ${kind}: one of ${catalog.names(kind).join(', ')}`, input: () => inputOf(catalog, kind) });
  chosen.set(schema, find);
  return schema as unknown as z.ZodType<Plugged, unknown>;
}

function inputOf(catalog: Catalog, kind: string): JsonSchema {
  const names = catalog.names(kind);
  if (names.length === 0) return { not: {} };
  const maps = catalog.all(kind).map((manifest): JsonSchema => {
    const part = jsonSchemaPart(manifest.schema) as { properties?: Record<string, unknown>; required?: string[] };
    return { ...part, type: 'object', description: manifest.doc, properties: { type: { const: manifest.name }, ...part.properties }, required: ['type', ...(part.required ?? [])] };
  });
  return { anyOf: [{ type: 'string', enum: names }, ...maps] };
}
