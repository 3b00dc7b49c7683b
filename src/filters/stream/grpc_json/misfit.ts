// What is said of input that does not fit a message: where it is, from the outermost name inwards, and what was expected.
export class Misfit extends Error {
  /** `parts[2].count`; '' for the whole. */
  where = '';

  /** The same, seen from one level further out. */
  at(name: string): this {
    this.where = name + (this.where === '' || this.where.startsWith('[') ? '' : '.') + this.where;
    return this;
  }

  override toString(): string {
    return this.where === '' ? this.message : `${this.where}: ${this.message}`;
  }
}

/** A value as it is shown to who sent it: never more than a few words, however much was sent. */
export function shown(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (value !== null && typeof value === 'object') return 'an object';
  if (typeof value !== 'string') return String(value);
  return JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}...` : value);
}

export function misfit(expected: string, value: unknown): Misfit {
  return new Misfit(`${expected} was expected, not ${shown(value)}`);
}
