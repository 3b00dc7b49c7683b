// A head over a plain list of headers, for tests of routes, filters and logs that need no protocol.
import { Head, type HeaderName, headerName } from '../../src/stream/head.js';

const parts = [':method', ':path', ':authority', ':scheme', ':status', ':service', ':rpc-method', ':version', ':group'];

export class FakeHead extends Head {
  /** Names are compared without case, as in HTTP; parts are kept under their names with the colon. */
  headers: [name: string, value: string][];
  finds = 0;

  constructor(headers: Readonly<Record<string, string | readonly string[]>> = {}, protocol = 'fake') {
    super(protocol, Buffer.alloc(0));
    this.headers = Object.entries(headers).flatMap(([name, value]) => (typeof value === 'string' ? [value] : value).map((one): [string, string] => [name, one]));
  }

  override find(name: HeaderName): boolean {
    this.finds++;
    const found = this.headers.find(([n]) => n.toLowerCase() === name.lower);
    if (found === undefined) return false;
    // Not at 0: a reader that ignores vstart must fail.
    this.vbuf = Buffer.from(`..${found[1]}..`);
    this.vstart = 2;
    this.vend = this.vbuf.length - 2;
    return true;
  }

  override set(name: HeaderName, value: string): void {
    const at = this.headers.findIndex(([n]) => n.toLowerCase() === name.lower);
    this.headers = this.headers.filter(([n], i) => i === at || n.toLowerCase() !== name.lower);
    if (at < 0) this.add(name, value);
    else this.headers[at] = [name.name, FakeHead.checked(value)];
    this.edited = true;
  }

  override add(name: HeaderName, value: string): void {
    this.headers.push([name.name, FakeHead.checked(value)]);
    this.edited = true;
  }

  override remove(name: HeaderName): void {
    this.headers = this.headers.filter(([n]) => n.toLowerCase() !== name.lower);
    this.edited = true;
  }

  override each(visit: (name: string, value: string) => void): void {
    for (const [name, value] of this.headers) if (!parts.includes(name)) visit(name, value);
  }

  override keep(): Head {
    const copy = new FakeHead({}, this.protocol);
    copy.headers = this.headers.map(([name, value]) => [name, value]);
    return copy;
  }

  /** All values of a header, in order. */
  all(name: string): string[] {
    return this.headers.filter(([n]) => n.toLowerCase() === name.toLowerCase()).map(([, value]) => value);
  }

  value(name: string): string | undefined {
    return this.get(headerName(name));
  }

  private static checked(value: string): string {
    if (/[\r\n\0]/.test(value)) throw new TypeError('a header value with CR, LF or NUL');
    return value;
  }
}

/** The head of an HTTP request. */
export function httpHead(method: string, path: string, headers: Readonly<Record<string, string>> = {}, authority = 'example.com'): FakeHead {
  return new FakeHead({ ':method': method, ':path': path, ':authority': authority, ...headers }, 'http1');
}

/** The head of an RPC. */
export function rpcHead(service: string, method: string, headers: Readonly<Record<string, string>> = {}): FakeHead {
  return new FakeHead({ ':service': service, ':rpc-method': method, ...headers }, 'bolt');
}
