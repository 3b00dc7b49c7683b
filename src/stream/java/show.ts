// Values of Java as JSON: dates and numbers beyond what JSON readers hold exactly as texts, bytes as base64, cycles refused.

/** An object of Java, or a map where its class is ''. */
export interface JavaObject {
  readonly className: string;
  readonly fields: ReadonlyMap<string, JavaValue>;
}

export type JavaValue = null | boolean | number | bigint | string | Date | Uint8Array | readonly JavaValue[] | JavaObject;

/** A value that has no form in JSON: it contains itself, or is larger than allowed. */
export class ShowFault extends Error {}

const MAX_DEPTH = 200;

/** `classes`: objects say their class as "$class". `limit`: most characters; a value that is referred to often is written as often. */
export function showJson(value: JavaValue, classes: boolean, limit: number): string {
  const shower = new Shower(classes, limit);
  shower.value(value, 0);
  shower.check();
  return shower.text;
}

class Shower {
  text = '';
  private readonly classes: boolean;
  private readonly limit: number;
  private readonly open = new Set<object>();

  constructor(classes: boolean, limit: number) {
    this.classes = classes;
    this.limit = limit;
  }

  check(): void {
    if (this.text.length > this.limit) throw new ShowFault(`the value is longer than ${this.limit} characters as JSON`);
  }

  value(value: JavaValue, depth: number): void {
    this.check();
    if (typeof value === 'string') this.text += JSON.stringify(value);
    else if (typeof value === 'number') this.text += Number.isFinite(value) ? String(value) : `"${value}"`;
    else if (typeof value === 'bigint') this.text += value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? String(value) : `"${value}"`;
    else if (value === null || typeof value === 'boolean') this.text += String(value);
    else if (value instanceof Date) this.text += Number.isNaN(value.getTime()) ? 'null' : `"${value.toISOString()}"`;
    else if (value instanceof Uint8Array) this.text += `"${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')}"`;
    else this.compound(value, depth);
  }

  private compound(value: readonly JavaValue[] | JavaObject, depth: number): void {
    if (this.open.has(value)) throw new ShowFault('the value contains itself');
    if (depth >= MAX_DEPTH) throw new ShowFault(`the value has more than ${MAX_DEPTH} levels`);
    this.open.add(value);
    if (Array.isArray(value)) this.list(value as readonly JavaValue[], depth);
    else this.object(value as JavaObject, depth);
    this.open.delete(value);
  }

  private list(items: readonly JavaValue[], depth: number): void {
    this.text += '[';
    for (let i = 0; i < items.length; i++) {
      if (i > 0) this.text += ',';
      this.value(items[i]!, depth + 1);
    }
    this.text += ']';
  }

  private object({ className, fields }: JavaObject, depth: number): void {
    const number = className.startsWith('java.math.Big') ? bigNumber(fields) : undefined;
    if (number !== undefined) {
      this.text += JSON.stringify(number);
      return;
    }
    this.text += '{';
    let first = true;
    if (this.classes && className !== '') {
      this.text += `"$class":${JSON.stringify(className)}`;
      first = false;
    }
    for (const [name, field] of fields) {
      // What an inner class knows of the object around it.
      if (className !== '' && /^this\$\d+$/.test(name)) continue;
      this.text += `${first ? '' : ','}${JSON.stringify(name)}:`;
      first = false;
      this.value(field, depth + 1);
    }
    this.text += '}';
  }
}

/** A BigDecimal is sent as its text, a BigInteger mostly as sign and magnitude in ints, the highest first. */
function bigNumber(fields: ReadonlyMap<string, JavaValue>): string | undefined {
  const text = fields.get('value');
  if (typeof text === 'string') return text;
  const sign = fields.get('signum');
  const words = fields.get('mag');
  if (typeof sign !== 'number' || !Array.isArray(words)) return undefined;
  let hex = '';
  for (const word of words as readonly JavaValue[]) {
    if (typeof word !== 'number') return undefined;
    hex += (word >>> 0).toString(16).padStart(8, '0');
  }
  return `${sign < 0 ? '-' : ''}${BigInt(`0x0${hex}`)}`;
}

/** Whether an object is an exception of Java, by the fields that all of them have. */
export function isThrowable(value: JavaValue): value is JavaObject {
  return value !== null && typeof value === 'object' && 'fields' in value && value.fields.has('detailMessage') && value.fields.has('stackTrace');
}
