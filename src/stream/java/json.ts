// JSON as it is needed for calls of Java: faults with their place, whole numbers of any size told from fractions, no names with a meaning.

/** A number with a fraction or an exponent, so that 1.0 is none of Java's integers. */
export class Fraction {
  readonly value: number;

  constructor(value: number) {
    this.value = value;
  }
}

/** `number`s are whole and exact; larger ones are `bigint`s. Of equal names in an object the last counts. */
export type Json = null | boolean | number | bigint | string | Fraction | readonly Json[] | JsonObject;
export type JsonObject = ReadonlyMap<string, Json>;

export class JsonFault extends Error {}

const MAX_DEPTH = 64;
/** More would hold up others for long. */
const MAX_VALUES = 250_000;
const NUMBER = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y;
/** More digits than any number of Java needs; the time to read them grows by their square. */
const MAX_DIGITS = 400;
const escapes: Readonly<Record<string, string>> = { '"': '"', '\\': '\\', '/': '/', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };
const decoder = new TextDecoder('utf-8', { fatal: true });

/** The value in `bytes`, which are UTF-8. JsonFault: they are no JSON, nested over 64 deep, or hold over 250 000 values; the message ends in line and column. */
export function parseJson(bytes: Uint8Array): Json {
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    throw new JsonFault('it is not UTF-8');
  }
  return new Parser(text).whole();
}

class Parser {
  private readonly text: string;
  private at = 0;
  private values = 0;

  constructor(text: string) {
    this.text = text;
  }

  whole(): Json {
    const value = this.value(0);
    this.space();
    if (this.at < this.text.length) this.fault('the end was expected');
    return value;
  }

  private fault(what: string, at = this.at): never {
    const before = this.text.slice(0, at);
    const line = before.split('\n').length;
    throw new JsonFault(`${what} at line ${line}, column ${at - before.lastIndexOf('\n')}`);
  }

  private space(): void {
    const { text } = this;
    for (;;) {
      const c = text.charCodeAt(this.at);
      if (c !== 0x20 && c !== 0x0a && c !== 0x0d && c !== 0x09) return;
      this.at++;
    }
  }

  private value(depth: number): Json {
    if (depth > MAX_DEPTH) this.fault(`more than ${MAX_DEPTH} levels`);
    if (++this.values > MAX_VALUES) this.fault(`more than ${MAX_VALUES} values`);
    this.space();
    switch (this.text[this.at]) {
      case '{': return this.object(depth);
      case '[': return this.array(depth);
      case '"': return this.string();
      case 't': return this.word('true', true);
      case 'f': return this.word('false', false);
      case 'n': return this.word('null', null);
      case undefined: return this.fault('a value is missing');
      default: return this.number();
    }
  }

  private word<T>(word: string, value: T): T {
    if (!this.text.startsWith(word, this.at)) this.fault('no value begins so');
    this.at += word.length;
    return value;
  }

  private number(): Json {
    NUMBER.lastIndex = this.at;
    const match = NUMBER.exec(this.text);
    if (match === null) return this.fault('no value begins so');
    const [digits, fraction, exponent] = match;
    if (digits.length > MAX_DIGITS) this.fault('too many digits');
    const value = Number(digits);
    if (!Number.isFinite(value)) this.fault('the number is too large');
    this.at += digits.length;
    if (fraction !== undefined || exponent !== undefined || Object.is(value, -0)) return new Fraction(value);
    return Number.isSafeInteger(value) ? value : BigInt(digits);
  }

  private string(): string {
    const { text } = this;
    const start = this.at++;
    let value = '';
    for (;;) {
      // Up to the next character that means something.
      const from = this.at;
      let to = from;
      for (let code = text.charCodeAt(to); code >= 0x20 && code !== 0x22 && code !== 0x5c; code = text.charCodeAt(++to));
      if (to > from) value += text.slice(from, to);
      this.at = to;
      const c = text[this.at];
      if (c === undefined) this.fault('a text has no end; it begins', start);
      if (c === '"') {
        this.at++;
        return value;
      }
      if (c !== '\\') this.fault('a control character in a text');
      const escape = text[this.at + 1] ?? '';
      if (escape === 'u') {
        const hex = text.slice(this.at + 2, this.at + 6);
        if (!/^[\da-fA-F]{4}$/.test(hex)) this.fault('\\u without four hexadecimal digits');
        value += String.fromCharCode(parseInt(hex, 16));
        this.at += 6;
      } else {
        const meant = Object.hasOwn(escapes, escape) ? escapes[escape]! : this.fault('an unknown escape');
        value += meant;
        this.at += 2;
      }
    }
  }

  private array(depth: number): Json[] {
    const items: Json[] = [];
    this.at++;
    this.space();
    if (this.text[this.at] === ']') {
      this.at++;
      return items;
    }
    for (;;) {
      items.push(this.value(depth + 1));
      this.space();
      const c = this.text[this.at];
      if (c !== ',' && c !== ']') this.fault('"," or "]" was expected');
      this.at++;
      if (c === ']') return items;
    }
  }

  private object(depth: number): JsonObject {
    const object = new Map<string, Json>();
    this.at++;
    this.space();
    if (this.text[this.at] === '}') {
      this.at++;
      return object;
    }
    for (;;) {
      this.space();
      if (this.text[this.at] !== '"') this.fault('a name in quotes was expected');
      const name = this.string();
      this.space();
      if (this.text[this.at] !== ':') this.fault('":" was expected');
      this.at++;
      object.set(name, this.value(depth + 1));
      this.space();
      const c = this.text[this.at];
      if (c !== ',' && c !== '}') this.fault('"," or "}" was expected');
      this.at++;
      if (c === '}') return object;
    }
  }
}
