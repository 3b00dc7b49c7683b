// Durations, sizes and percentages as they are written in the configuration.
import type * as z from 'zod';
import { Refusal, scalar } from './option.js';

const MS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const DURATION = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/;
/** 24 days: what one timer of Node can wait for. */
const MAX_DURATION = 24 * 86_400_000;

/** Milliseconds as they would be written: "250ms", "1.5s", "2m". */
export function showDuration(ms: number): string {
  for (const unit of ['d', 'h', 'm', 's']) if (ms >= MS[unit]! && Number.isInteger((ms / MS[unit]!) * 2) && (unit === 's' || ms % MS[unit]! === 0)) return `${ms / MS[unit]!}${unit}`;
  return `${ms}ms`;
}

const durationMeta = {
  unit: 'duration',
  expected: 'a duration such as 250ms, 1.5s, 2m or 1h',
  input: () => ({ anyOf: [{ type: 'string', pattern: DURATION.source }, { const: 0 }] }),
  show: showDuration,
};

/** "250ms", "1.5s", "2m", "1h", or 0; milliseconds. `least` refuses what is shorter, in milliseconds. */
export function duration(): z.ZodType<number, unknown>;
export function duration(defaultMs: number, least?: number): z.ZodDefault<z.ZodType<number, unknown>>;
export function duration(defaultMs?: number, least = 0): z.ZodType<number, unknown> {
  const schema = scalar<number>(durationMeta, (value) => {
    const match = typeof value === 'string' ? DURATION.exec(value.trim()) : null;
    if (match === null && value !== 0 && value !== '0') {
      const unitless = (typeof value === 'number' && value > 0) || (typeof value === 'string' && /^\d+$/.test(value));
      return new Refusal(durationMeta.expected, unitless ? `a unit is missing: ${value}ms or ${value}s?` : '');
    }
    const ms = match === null ? 0 : Number((Number(match[1]) * MS[match[2]!]!).toFixed(3));
    if (ms < least) return new Refusal(`a duration of at least ${showDuration(least)}`);
    if (ms > MAX_DURATION) return new Refusal(`a duration of at most ${showDuration(MAX_DURATION)}`);
    return ms;
  });
  return defaultMs === undefined ? schema : schema.default(defaultMs);
}

const BYTES: Record<string, number> = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };
const SIZE = /^(\d+(?:\.\d+)?)(B|KiB|MiB|GiB)?$/;

/** Bytes as they would be written: "64KiB". */
export function showSize(bytes: number): string | number {
  for (const unit of ['GiB', 'MiB', 'KiB']) if (bytes >= BYTES[unit]! && bytes % BYTES[unit]! === 0) return `${bytes / BYTES[unit]!}${unit}`;
  return bytes;
}

const sizeMeta = {
  unit: 'bytes',
  expected: 'a size such as 512, 64KiB or 1MiB',
  input: () => ({ anyOf: [{ type: 'string', pattern: SIZE.source }, { type: 'integer', minimum: 0 }] }),
  show: showSize,
};

/** "64KiB", "1MiB", "512" or 512; whole bytes up to 2^53. */
export function size(): z.ZodType<number, unknown>;
export function size(defaultBytes: number): z.ZodDefault<z.ZodType<number, unknown>>;
export function size(defaultBytes?: number): z.ZodType<number, unknown> {
  const schema = scalar<number>(sizeMeta, (value) => {
    const text = typeof value === 'number' || typeof value === 'string' ? String(value).trim() : '';
    const match = SIZE.exec(text);
    if (match === null) {
      const decimal = /^([\d.]+)\s*([kKmMgG])(?:i?[bB])?$/.exec(text);
      return new Refusal(sizeMeta.expected, decimal === null ? '' : `write ${decimal[1]}${decimal[2]!.toUpperCase()}iB, which counts by 1024`);
    }
    const bytes = Number(match[1]) * BYTES[match[2] ?? 'B']!;
    return Number.isSafeInteger(bytes) ? bytes : new Refusal('a whole number of bytes');
  });
  return defaultBytes === undefined ? schema : schema.default(defaultBytes);
}

/** "20%", or 20; a number from 0 to 100. */
export function percent(): z.ZodType<number, unknown>;
export function percent(defaultPercent: number): z.ZodDefault<z.ZodType<number, unknown>>;
export function percent(defaultPercent?: number): z.ZodType<number, unknown> {
  const expected = 'a percentage from 0 to 100, such as 20%';
  const input = () => ({ anyOf: [{ type: 'string', pattern: '^\\d+(?:\\.\\d+)?%?$' }, { type: 'number', minimum: 0, maximum: 100 }] });
  const schema = scalar<number>({ unit: '%', expected, input, show: (value: number) => `${value}%` }, (value) => {
    const match = typeof value === 'number' || typeof value === 'string' ? /^(\d+(?:\.\d+)?)\s*%?$/.exec(String(value)) : null;
    const number = match === null ? NaN : Number(match[1]);
    return number <= 100 ? number : new Refusal(expected);
  });
  return defaultPercent === undefined ? schema : schema.default(defaultPercent);
}
