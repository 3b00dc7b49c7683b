// The upgrade from HTTP/1.1 to h2c (RFC 7540 section 3.2): the first request of a connection asks for it and becomes stream 1.
import type { Codec, CodecSink, Upgrade } from '../../protocol.js';
import { FieldBlockBuilder, type FieldBlock } from './hpack/field-block.js';
import { Http2ServerCodec } from './server.js';

const GREETING = Buffer.from('HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: h2c\r\n\r\n');
const SETTINGS_HEADER = 'http2-settings:';
const REQUEST_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+) (\/[\x21-\x7e]*) HTTP\/1\.1$/;
const HEADER = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*$/;
/** Meant for this connection, or what framed an HTTP/1 message. */
const LEFT_OUT = new Set(['connection', 'upgrade', 'http2-settings', 'keep-alive', 'proxy-connection', 'te', 'host']);

/**
 * Grants the upgrade to a request without content; one with content, or that is in any way unusual, is left to HTTP/1.1, which has
 * the checks against malformed heads, and goes on without the upgrade, as the client must expect.
 */
export function upgradeOf(buf: Uint8Array, start: number, end: number): Upgrade | 'more' | null {
  const text = (buf as Buffer).latin1Slice(start, end);
  if (!text.toLowerCase().includes(SETTINGS_HEADER)) return null;
  const stop = text.indexOf('\r\n\r\n');
  if (stop < 0) return 'more';
  const [first, ...lines] = text.slice(0, stop).split('\r\n');
  const request = REQUEST_LINE.exec(first!);
  if (request === null) return null;
  const fields: [string, string][] = [];
  let host: string | null = null;
  let settings: string | null = null;
  let upgrade = '';
  let connection = '';
  for (const line of lines) {
    const header = HEADER.exec(line);
    if (header === null) return null;
    const name = header[1]!.toLowerCase();
    const value = header[2]!;
    if (name === 'content-length' || name === 'transfer-encoding' || name === 'expect') return null;
    if (name === 'host' || name === 'http2-settings') {
      if ((name === 'host' ? host : settings) !== null) return null;
      if (name === 'host') host = value;
      else settings = value;
    } else if (name === 'upgrade') upgrade += `,${value}`;
    else if (name === 'connection') connection += `,${value}`;
    if (!LEFT_OUT.has(name)) fields.push([name, value]);
  }
  const named = (list: string): string[] => list.split(',').map((part) => part.trim().toLowerCase());
  if (host === null || settings === null || !named(upgrade).includes('h2c')) return null;
  const options = named(connection);
  if (!options.includes('upgrade') || !options.includes('http2-settings') || !/^[A-Za-z0-9_-]*$/.test(settings)) return null;
  const payload = Buffer.from(settings, 'base64url');
  if (payload.length % 6 !== 0) return null;
  const kept = fields.filter(([name]) => !options.includes(name));
  return {
    length: stop + 4,
    greeting: GREETING,
    begin(codec: Codec, sink: CodecSink): void {
      if (!(codec instanceof Http2ServerCodec)) throw new TypeError('not the codec of an HTTP/2 server');
      codec.upgrade(payload, sink);
      codec.beginUpgraded(blockOf(request[1]!, request[2]!, host, kept), sink);
    },
  };
}

function blockOf(method: string, path: string, authority: string, fields: readonly (readonly [string, string])[]): FieldBlock {
  const builder = new FieldBlockBuilder();
  const add = (name: string, value: string): void => {
    const key = Buffer.from(name);
    const bytes = Buffer.from(value, 'latin1');
    builder.bytes(key, 0, key.length, bytes, 0, bytes.length);
  };
  add(':method', method);
  add(':scheme', 'http');
  add(':path', path);
  add(':authority', authority);
  for (const [name, value] of fields) add(name, value);
  return builder.build();
}
