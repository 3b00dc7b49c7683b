// The head of a reply that the proxy makes itself, as a list of headers: so that a route's edits of replies apply to it as to any other.
import { Head, REPLY, type HeaderName } from './head.js';
import type { Headers } from './local-reply.js';

const EMPTY = Buffer.alloc(0);

export class ListHead extends Head {
  list: (readonly [string, string])[];

  constructor(headers: Headers, status: number) {
    super('', EMPTY);
    this.kind = REPLY;
    this.status = status;
    this.list = [...headers];
  }

  find(name: HeaderName): boolean {
    const found = this.list.find(([key]) => key.toLowerCase() === name.lower);
    if (found === undefined) return false;
    this.vbuf = Buffer.from(found[1]);
    this.vstart = 0;
    this.vend = this.vbuf.length;
    return true;
  }

  set(name: HeaderName, value: string): void {
    this.remove(name);
    this.add(name, value);
  }

  add(name: HeaderName, value: string): void {
    this.list.push([name.name, value]);
  }

  remove(name: HeaderName): void {
    this.list = this.list.filter(([key]) => key.toLowerCase() !== name.lower);
  }

  each(visit: (name: string, value: string) => void): void {
    for (const [name, value] of this.list) visit(name, value);
  }

  keep(): Head {
    return this;
  }
}
