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

/**
 * A number within bounds, in the form that YAML prints or any other that reads as one (1.0, 1e3): the loader leaves what it could
 * not print again the same way as text.
 */
function numeric(whole: boolean, least: number, most: number): z.ZodType<number, unknown> {
  const kind = whole ? 'a whole number' : 'a number';
  const upper = most === Infinity || most === Number.MAX_SAFE_INTEGER ? '' : ` to ${most}`;
  const expected = upper === '' ? `${kind} from ${least}` : `${kind} from ${least}${upper}`;
  const bounds = { minimum: least, ...(upper === '' ? {} : { maximum: most }) };
  const input = () => ({ anyOf: [{ type: whole ? 'integer' : 'number', ...bounds }, { type: 'string', pattern: '^\\$\\{.*\\}$' }] });
  return scalar<number>({ expected, input }, (value) => {
    const number = typeof value === 'string' && /^[-+\d.]/.test(value) ? Number(value) : value;
    const fits = typeof number === 'number' && number >= least && number <= most && (!whole || Number.isInteger(number));
    return fits ? number : new Refusal(expected);
  });
}

/** A whole number within bounds. */
export function integer(least = 0, most: number = Number.MAX_SAFE_INTEGER): z.ZodType<number, unknown> {
  return numeric(true, least, most);
}

/** A number within bounds. */
export function number(least = 0, most = Infinity): z.ZodType<number, unknown> {
  return numeric(false, least, most);
}

/** true or false. */
export function flag(): z.ZodType<boolean, unknown> {
  return z.boolean() as unknown as z.ZodType<boolean, unknown>;
}
