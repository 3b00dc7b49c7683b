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

/** A value as it is shown to who sent it. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

export function misfit(expected: string, value: unknown): Misfit {
  return new Misfit(`${expected} was expected, not ${shown(value)}`);
}
