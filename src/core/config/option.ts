// An option of the configuration: a zod schema that states default, unit and effect, and how it is written in a file.
import * as z from 'zod';

// zod compiles a function for each schema otherwise: a file is read once, and a start waits for it.
z.config({ jitless: true });

/** A fragment of JSON Schema. */
export type JsonSchema = { readonly [key: string]: unknown };

/** What the project keeps beside a zod schema. */
export interface OptionMeta {
  /** Effect, one or two sentences. */
  readonly doc?: string;
  readonly unit?: string;
  /** In words, for messages: "a duration such as 250ms". */
  readonly expected?: string;
  /** What is accepted in a file, where that differs from what zod can tell. */
  readonly input?: () => JsonSchema;
  /** A value as it would be written in a file. */
  readonly show?: (value: never) => unknown;
}

/** OptionMeta by schema; a schema derived from another (`describe`, `check`) has its metadata too. */
export const optionMeta = z.registry<OptionMeta>();

/** A refusal within a `scalar` parser. */
export class Refusal {
  readonly expected: string;
  readonly hint: string;

  constructor(expected: string, hint = '') {
    this.expected = expected;
    this.hint = hint;
  }
}

/** A value that is written in one form and used in another. `parse` gets what the file holds, never undefined. */
export function scalar<T>(meta: OptionMeta & { readonly expected: string }, parse: (value: unknown) => T | Refusal): z.ZodType<T, unknown> {
  const schema = z.unknown().transform((value, context): T => {
    const parsed = value === undefined ? new Refusal(meta.expected) : parse(value);
    if (!(parsed instanceof Refusal)) return parsed;
    context.addIssue({ code: 'custom', params: { expected: parsed.expected, hint: parsed.hint } });
    return z.NEVER;
  });
  optionMeta.add(schema, meta);
  return schema as unknown as z.ZodType<T, unknown>;
}

/** How an option is presented: `doc` is its effect in a sentence or two; durations and sizes know their unit. */
interface Presented {
  readonly doc: string;
  readonly unit?: string;
}

/**
 * An option of a section. Without `default` or `optional` it must be given, unless the schema has a default already
 * (`duration(3000)`). A default is in the form that the program uses, not in the form of the file.
 */
export function option<S extends z.ZodType>(schema: S, about: Presented & { readonly optional: true }): z.ZodOptional<S>;
export function option<S extends z.ZodType>(schema: S, about: Presented & { readonly default: z.output<S> }): z.ZodDefault<S>;
export function option<S extends z.ZodType>(schema: S, about: Presented): S;
export function option(schema: z.ZodType, about: Presented & { readonly optional?: true; readonly default?: unknown }): z.ZodType {
  let made = schema;
  if ('default' in about) made = made.default(about.default as never);
  else if (about.optional === true) made = made.optional();
  made = made.describe(about.doc);
  optionMeta.add(made, about.unit === undefined ? { doc: about.doc } : { doc: about.doc, unit: about.unit });
  return made;
}

/** A group of options, unknown keys refused. Left out it is as if it were there and empty, so its options have their defaults. */
export function section<T extends z.ZodRawShape>(shape: T, doc: string): z.ZodPrefault<z.ZodObject<T, z.core.$strict>> {
  const made = z.strictObject(shape).prefault({} as never).describe(doc);
  optionMeta.add(made, { doc });
  return made as z.ZodPrefault<z.ZodObject<T, z.core.$strict>>;
}
