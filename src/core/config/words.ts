// Names, texts, words and whole numbers as they are written in the configuration.
import * as z from 'zod';
import { Refusal, scalar } from './option.js';

/** Names of listeners, clusters, hosts, plug-ins. */
export const NAME = /^[a-z0-9][a-z0-9._-]*$/;

/** A name: lower-case letters, digits, dot, underscore and hyphen. */
export function name(): z.ZodType<string, unknown> {
  const expected = 'a name of lower-case letters, digits, ".", "_" and "-"';
  return scalar<string>({ expected, input: () => ({ type: 'string', pattern: NAME.source }) }, (value) => {
    const text = typeof value === 'number' ? String(value) : value;
    if (typeof text === 'string' && NAME.test(text)) return text;
    const fixed = typeof text === 'string' ? text.toLowerCase().replace(/[^a-z0-9._-]+/g, '-').replace(/^[^a-z0-9]+/, '') : '';
    return new Refusal(expected, fixed === '' ? '' : `${fixed} would be one`);
  });
}

/** A text; numbers and booleans, which YAML makes of unquoted ones, are taken as they are printed. */
export function text(): z.ZodType<string, unknown> {
  const input = () => ({ type: ['string', 'number', 'boolean'] });
  return scalar<string>({ expected: 'a text', input }, (value) => {
    if (typeof value === 'string') return value;
    return typeof value === 'number' || typeof value === 'boolean' ? String(value) : new Refusal('a text');
  });
}

/** One of several words. */
export function oneOf<const T extends readonly [string, ...string[]]>(words: T): z.ZodType<T[number], unknown> {
  return z.enum(words as unknown as [string, ...string[]]) as unknown as z.ZodType<T[number], unknown>;
}

/** A whole number within bounds. */
export function integer(least: number, most: number): z.ZodType<number, unknown> {
  return z.int().min(least).max(most) as unknown as z.ZodType<number, unknown>;
}

export function flag(): z.ZodType<boolean, unknown> {
  return z.boolean() as unknown as z.ZodType<boolean, unknown>;
}
