// IP addresses as numbers, and the blocks (CIDR) and port ranges that rules match them against.
import { isIPv4, isIPv6 } from 'node:net';

/** An address parsed once for many comparisons. IPv4 is held as its IPv6 form ::ffff:a.b.c.d, so that both compare alike. */
export class ParsedAddress {
  readonly words = new Uint32Array(4);
  valid = false;

  /** Takes over another address; an invalid one (a unix socket, for instance) lies in no block. */
  parse(text: string): this {
    this.valid = fillWords(text, this.words);
    return this;
  }
}

function fillWords(text: string, words: Uint32Array): boolean {
  if (isIPv4(text)) {
    words[0] = 0;
    words[1] = 0;
    words[2] = 0xffff;
    words[3] = ipv4Word(text);
    return true;
  }
  const bare = text.includes('%') ? text.slice(0, text.indexOf('%')) : text;
  if (!isIPv6(bare)) return false;
  const dotted = bare.lastIndexOf(':') + 1;
  const hex = bare.includes('.') ? `${bare.slice(0, dotted)}${ipv4Groups(bare.slice(dotted))}` : bare;
  const [head = '', tail] = hex.split('::');
  const front = head === '' ? [] : head.split(':');
  const back = tail === undefined || tail === '' ? [] : tail.split(':');
  const groups = [...front, ...Array<string>(8 - front.length - back.length).fill('0'), ...back].map((group) => parseInt(group, 16));
  for (let i = 0; i < 4; i++) words[i] = ((groups[2 * i]! << 16) | groups[2 * i + 1]!) >>> 0;
  return true;
}

function ipv4Word(text: string): number {
  let word = 0;
  for (const part of text.split('.')) word = (word << 8) | Number(part);
  return word >>> 0;
}

function ipv4Groups(text: string): string {
  const word = ipv4Word(text);
  return `${(word >>> 16).toString(16)}:${(word & 0xffff).toString(16)}`;
}

/** A block of addresses: "10.0.0.0/8", "fd00::/8", or one address. */
export class Cidr {
  readonly text: string;
  readonly prefix: number;
  private readonly words = new Uint32Array(4);
  private readonly masks = new Uint32Array(4);

  /** Null where the text is none; the bits behind the prefix may be set and mean nothing. */
  static parse(text: string): Cidr | null {
    const [address = '', length, more] = text.trim().split('/');
    const v4 = isIPv4(address);
    if ((!v4 && !isIPv6(address)) || more !== undefined) return null;
    const longest = v4 ? 32 : 128;
    const bits = length === undefined ? longest : /^\d{1,3}$/.test(length) ? Number(length) : NaN;
    if (!(bits >= 0 && bits <= longest)) return null;
    return new Cidr(text.trim(), address, v4 ? bits + 96 : bits);
  }

  private constructor(text: string, address: string, prefix: number) {
    this.text = text;
    this.prefix = prefix;
    fillWords(address, this.words);
    for (let i = 0; i < 4; i++) {
      const bits = Math.min(Math.max(prefix - 32 * i, 0), 32);
      this.masks[i] = bits === 0 ? 0 : (0xffffffff << (32 - bits)) >>> 0;
      this.words[i] = (this.words[i]! & this.masks[i]!) >>> 0;
    }
  }

  has(address: ParsedAddress): boolean {
    if (!address.valid) return false;
    const { words, masks } = this;
    const other = address.words;
    for (let i = 0; i < 4; i++) if ((other[i]! & masks[i]!) >>> 0 !== words[i]) return false;
    return true;
  }
}

/** Ports: "80", "8000-8999", "80,443,8000-8999". */
export class PortRanges {
  readonly text: string;
  private readonly bounds: readonly (readonly [number, number])[];

  static parse(text: string): PortRanges | null {
    const bounds: [number, number][] = [];
    for (const part of text.split(',')) {
      const match = /^\s*(\d{1,5})(?:\s*-\s*(\d{1,5}))?\s*$/.exec(part);
      if (match === null) return null;
      const low = Number(match[1]);
      const high = match[2] === undefined ? low : Number(match[2]);
      if (low > high || high > 65535) return null;
      bounds.push([low, high]);
    }
    return new PortRanges(text, bounds);
  }

  private constructor(text: string, bounds: readonly (readonly [number, number])[]) {
    this.text = text;
    this.bounds = bounds;
  }

  has(port: number): boolean {
    for (const [low, high] of this.bounds) if (port >= low && port <= high) return true;
    return false;
  }
}
