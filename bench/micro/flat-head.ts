// A head whose fields lie in one block and are found by a short scan: what routing and logging cost without any protocol below them.
import { Head, type HeaderName } from '../../src/stream/head.js';

export class FlatHead extends Head {
  private readonly names: string[];
  private readonly ranges: number[] = [];

  constructor(fields: Readonly<Record<string, string>>) {
    super('flat', Buffer.from(Object.values(fields).join('')));
    this.names = Object.keys(fields);
    this.vbuf = this.buf;
    let at = 0;
    for (const value of Object.values(fields)) {
      this.ranges.push(at, (at += Buffer.byteLength(value)));
    }
  }

  override find(name: HeaderName): boolean {
    const wanted = name.name;
    const names = this.names;
    for (let i = 0; i < names.length; i++) {
      if (names[i] !== wanted) continue;
      this.vstart = this.ranges[i * 2]!;
      this.vend = this.ranges[i * 2 + 1]!;
      return true;
    }
    return false;
  }

  override set(): void {
    throw new Error('a flat head cannot be edited');
  }

  override add(): void {
    throw new Error('a flat head cannot be edited');
  }

  override remove(): void {
    throw new Error('a flat head cannot be edited');
  }

  override each(): void {}

  override keep(): Head {
    return this;
  }
}
