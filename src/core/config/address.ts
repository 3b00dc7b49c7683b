// Addresses and hosts as they are written in the configuration.
import { isIP } from 'node:net';
import * as z from 'zod';
import { jsonSchemaPart } from './json-schema.js';
import { type JsonSchema, option, optionMeta, Refusal, scalar } from './option.js';
import { integer, text } from './words.js';

/** Where to listen or connect. `host` is empty where none was given; with `path`, a unix socket, host is empty and port 0. */
export interface Address {
  readonly host: string;
  readonly port: number;
  readonly path?: string;
}

const ADDRESS = 'an address such as 127.0.0.1:80, [::1]:80, :80 or unix:/path';
const HOST_NAME = /^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?$/;

/** Parses any form of an address. */
export function parseAddress(value: unknown): Address | Refusal {
  if (typeof value === 'number') return port(value, '');
  if (typeof value !== 'string') return new Refusal(ADDRESS);
  if (value.startsWith('unix:')) return value.length > 5 ? { host: '', port: 0, path: value.slice(5) } : new Refusal(ADDRESS, 'the path is missing');
  if (/^\d+$/.test(value)) return port(Number(value), '');
  const colon = value.lastIndexOf(':');
  const host = value.slice(0, Math.max(colon, 0));
  const digits = value.slice(colon + 1);
  // Two colons at least: the first address that is looked for as IPv6 costs milliseconds of a start.
  if (value.indexOf(':') !== colon && isIP(value) === 6) return new Refusal(ADDRESS, `an IPv6 address stands in brackets: ${/^\d+$/.test(digits) && isIP(host) === 6 ? `[${host}]:${digits}` : `[${value}]:80`}`);
  if (colon === -1) return new Refusal(ADDRESS, isIP(value) !== 0 || HOST_NAME.test(value) ? `the port is missing: ${value}:80` : '');
  if (!/^\d+$/.test(digits)) return new Refusal(ADDRESS, 'the port must be a number');
  if (host.startsWith('[')) {
    const inner = host.slice(1, -1);
    return host.endsWith(']') && isIP(inner) === 6 ? port(Number(digits), inner) : new Refusal(ADDRESS, 'what stands in brackets is no IPv6 address');
  }
    if (host === '' || isIP(host) === 4 || (HOST_NAME.test(host) && !/^[\d.]+$/.test(host))) return port(Number(digits), host);
  return new Refusal(ADDRESS);
}

function port(number: number, host: string): Address | Refusal {
  return Number.isInteger(number) && number >= 0 && number <= 65535 ? { host, port: number } : new Refusal(ADDRESS, 'a port is a whole number from 0 to 65535');
}

/** An address as it would be written. */
export function showAddress({ host, port, path }: Address): string {
  if (path !== undefined) return `unix:${path}`;
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

const addressInput = (): JsonSchema => ({ anyOf: [{ type: 'string' }, { type: 'integer', minimum: 0, maximum: 65535 }] });

/** "host:port", "[::1]:80", ":port", "unix:/path" or a port number. */
export function address(): z.ZodType<Address, unknown> {
  return scalar<Address>({ expected: ADDRESS, input: addressInput, show: showAddress }, parseAddress);
}

/** A host of a cluster as the configuration names it. */
export interface HostConfig {
  readonly address: Address;
  /** Share of the work in proportion to the other hosts' weights; 0 takes none. */
  readonly weight: number;
  readonly metadata: Readonly<Record<string, string>>;
  /** Name for TLS (SNI, certificate) and the Host header, where it differs from the address. */
  readonly hostname?: string;
}

/** An address that can be connected to: with a host and a port other than 0. */
function target(): z.ZodType<Address, unknown> {
  const expected = 'a host such as 10.0.0.1:80, name:80, [::1]:80 or unix:/path';
  return scalar<Address>({ expected, input: addressInput, show: showAddress }, (value) => {
    const parsed = parseAddress(value);
    if (parsed instanceof Refusal) return new Refusal(expected, parsed.hint);
    if (parsed.path !== undefined || (parsed.host !== '' && parsed.port !== 0)) return parsed;
    return new Refusal(expected, parsed.port === 0 ? 'the port must not be 0' : `the host is missing: 127.0.0.1:${parsed.port}`);
  });
}

const hostObject = z.strictObject({
  address: option(target(), { doc: 'Where the host listens.' }),
  weight: option(integer(0, 1_000_000), { default: 1, doc: 'Share of the work in proportion to the weights of the other hosts; 0 takes none.' }),
  metadata: option(z.record(z.string(), text()), { default: {}, doc: 'Labels that subsets of a cluster select by.' }),
  hostname: option(text(), { optional: true, doc: 'Name for TLS and the Host header, where it is not the one of the address.' }),
});

/** Hosts as "a:1,b:2", or a list of such addresses or of objects with address, weight, metadata and hostname. */
export function hosts(): z.ZodType<HostConfig[], unknown> {
  const one = z.preprocess((value) => (typeof value === 'string' || typeof value === 'number' ? { address: value } : value), hostObject);
  const array = z.array(one);
  const list = z.preprocess((value) => {
    if (typeof value === 'number') return [value];
    if (typeof value !== 'string') return value;
    return value.split(',').map((part) => part.trim()).filter((part) => part !== '');
  }, array);
  const object = (): JsonSchema => jsonSchemaPart(hostObject);
  const expected = 'hosts as "a:1,b:2" or a list';
  optionMeta.add(array, { expected });
  optionMeta.add(list, {
    expected,
    input: () => ({ anyOf: [{ type: 'string' }, { type: 'array', items: { anyOf: [...(addressInput()['anyOf'] as JsonSchema[]), object()] } }] }),
  });
  return list as unknown as z.ZodType<HostConfig[], unknown>;
}
