// The published JSON Schema of a configuration: what a file may hold, with every accepted form, default and description.
import * as z from 'zod';
import { type JsonSchema, optionMeta } from './option.js';

type Mutable = Record<string, unknown>;

/** A whole value may be a variable: "${PORT}". */
const VARIABLE = { type: 'string', pattern: '^\\$\\{.*\\}$' };

/** The default of a schema as it would be written; undefined where it has none or is written by its parts. */
export function shownDefault(schema: z.core.$ZodType): unknown {
  const def = schema._zod.def as unknown as { type: string; innerType?: z.core.$ZodType; defaultValue?: unknown };
  if (def.type !== 'default' || def.innerType === undefined) return undefined;
  const show = optionMeta.get(def.innerType as z.ZodType)?.show as ((value: unknown) => unknown) | undefined;
  return show === undefined ? def.defaultValue : show(def.defaultValue);
}

function override(context: { zodSchema: z.core.$ZodTypes; jsonSchema: object }): void {
  const json = context.jsonSchema as Mutable;
  const schema = context.zodSchema as unknown as z.ZodType;
  const type = context.zodSchema._zod.def.type;
  const meta = optionMeta.get(schema);
  const wrapper = type === 'default' || type === 'optional' || type === 'prefault';
  if (meta?.input !== undefined && !wrapper) {
    for (const key of Object.keys(json)) if (key !== 'description') delete json[key];
    Object.assign(json, meta.input());
  }
  const shown = shownDefault(schema);
  if (shown !== undefined) json['default'] = shown;
  if (type === 'boolean' || type === 'number' || type === 'enum') orVariable(json);
}

/** Lets a value that is no text also be a variable. */
function orVariable(json: Mutable): void {
  const own: Mutable = {};
  for (const key of Object.keys(json)) {
    if (key === 'description' || key === 'default') continue;
    own[key] = json[key];
    delete json[key];
  }
  json['anyOf'] = [own, VARIABLE];
}

/** The schema of a part, without the dialect, to be put into another. */
export function jsonSchemaPart(schema: z.ZodType): JsonSchema {
  const { $schema: _, ...part } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', override }) as Mutable;
  return part;
}

/** The JSON Schema (2020-12) of what a file may hold. */
export function toJsonSchema(schema: z.ZodType, title: string): JsonSchema {
  return { $schema: 'https://json-schema.org/draft/2020-12/schema', title, ...jsonSchemaPart(schema) };
}
