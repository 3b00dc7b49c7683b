// How TLS is configured on either side: the `tls` section of a listener and that of a cluster.
import { constants, getCiphers } from 'node:crypto';
import * as z from 'zod';
import { duration, flag, oneOf, option, optionMeta, Refusal, scalar, text } from '../core/config/schema.js';

export const tlsVersions = ['1.0', '1.1', '1.2', '1.3'] as const;
export type TlsVersion = (typeof tlsVersions)[number];

/** A version as YAML gives it: 1.2 is a number there. */
function version(): z.ZodType<TlsVersion, unknown> {
  const expected = `one of ${tlsVersions.join(', ')}`;
  return scalar<TlsVersion>({ expected, input: () => ({ enum: [...tlsVersions, 1.0, 1.1, 1.2, 1.3] }) }, (value) => {
    const word = typeof value === 'number' ? value.toFixed(1) : String(value).replace(/^TLSv?/i, '');
    return tlsVersions.find((known) => known === word) ?? new Refusal(expected);
  });
}

/** An OpenSSL cipher list; names that this OpenSSL does not know are refused, since it would pass over them in silence. */
function ciphers(): z.ZodType<string, unknown> {
  const expected = 'OpenSSL names of ciphers, separated by colons';
  return scalar<string>({ expected, input: () => ({ type: 'string' }) }, (value) => {
    if (typeof value !== 'string' || value === '') return new Refusal(expected);
    const known = new Set(getCiphers().map((cipher) => cipher.toUpperCase()));
    const keywords = new Set([...constants.defaultCoreCipherList.split(':'), 'HIGH', 'MEDIUM', 'LOW', 'ALL', 'DEFAULT']);
    for (const part of value.split(':')) {
      const bare = part.replace(/^[!+-]/, '');
      if (bare.startsWith('@') || keywords.has(bare) || bare.includes('+') || part !== bare) continue;
      if (!known.has(bare.toUpperCase())) return new Refusal(expected, `${bare} is not known to this OpenSSL`);
    }
    return value;
  });
}

const names = z.preprocess((value) => (typeof value === 'string' ? [value] : value), z.array(text()));
const PEM = 'path of a PEM file, or the PEM text itself';

const certificate = z.strictObject({
  cert: option(text(), { doc: `Certificate and the chain behind it: ${PEM}.` }),
  key: option(text(), { doc: `Its private key: ${PEM}.` }),
  names: option(names, { default: [], doc: 'Server names (SNI) it is used for, `*.example.com` for one label. Default: the names in the certificate.' }),
});
optionMeta.add(certificate, { expected: 'a certificate with cert and key' });

const versions = {
  min_version: option(version(), { default: '1.2' as const, doc: 'Oldest TLS version allowed. Default 1.2.' }),
  max_version: option(version(), { default: '1.3' as const, doc: 'Newest TLS version allowed. Default 1.3.' }),
  ciphers: option(ciphers(), { optional: true, doc: 'Ciphers up to TLS 1.2, as OpenSSL writes them. Default: those of Node.' }),
};

const ordered = (tls: { min_version: TlsVersion; max_version: TlsVersion }): boolean => tlsVersions.indexOf(tls.min_version) <= tlsVersions.indexOf(tls.max_version);
const disorder = { message: 'at least min_version', path: ['max_version'] };

/** TLS with clients: the `tls` section of a listener. What is left out decodes to ''. */
export function serverTlsSchema() {
  return z
    .strictObject({
      certificates: option(z.array(certificate).min(1), { doc: 'Certificates; the first is used for clients that name no server or one that no certificate has.' }),
      client_auth: option(oneOf(['none', 'optional', 'required']), { default: 'none' as const, doc: 'Whether clients show a certificate: `none` is not asked for; `optional`: one that is shown must verify; `required`. Default none.' }),
      ca: option(text(), { optional: true, doc: `Authorities that sign the clients' certificates: ${PEM}. Needed with client_auth.` }),
      alpn: option(names, { default: [], doc: 'Protocols offered by ALPN, preferred first, such as http/1.1. Default: ALPN is not answered.' }),
      ...versions,
      handshake_timeout: option(duration(10_000, 1), { doc: 'Time for the handshake. Default 10 s.' }),
    })
    .refine(ordered, disorder)
    .refine((tls) => tls.client_auth === 'none' || tls.ca !== undefined, { message: 'the authorities that client_auth verifies by', path: ['ca'] })
    .transform((tls) => ({ ...tls, ca: tls.ca ?? '', ciphers: tls.ciphers ?? '' }));
}

/** TLS to hosts: the `tls` section of a cluster. What is left out decodes to ''. */
export function clientTlsSchema() {
  return z
    .strictObject({
      ca: option(text(), { optional: true, doc: `Authorities that sign the hosts' certificates: ${PEM}. Default: those that Node brings.` }),
      cert: option(text(), { optional: true, doc: `Certificate shown to hosts that ask for one: ${PEM}.` }),
      key: option(text(), { optional: true, doc: `Its private key: ${PEM}.` }),
      server_name: option(text(), { optional: true, doc: "Name sent to the hosts (SNI) and looked for in their certificates. Default: the host's name; for a host that is an IP address none is sent, and its certificate must name the address." }),
      alpn: option(names, { default: [], doc: 'Protocols offered by ALPN. Default: none.' }),
      insecure_skip_verify: option(flag(), { default: false, doc: 'Takes any certificate of any host: anyone in between can read and change everything. Default false.' }),
      ...versions,
    })
    .refine(ordered, disorder)
    .refine((tls) => (tls.cert === undefined) === (tls.key === undefined), { message: 'cert and key together', path: ['cert'] })
    .transform((tls) => ({ ...tls, ca: tls.ca ?? '', cert: tls.cert ?? '', key: tls.key ?? '', server_name: tls.server_name ?? '', ciphers: tls.ciphers ?? '' }));
}

/** As decoded; plain data. */
export type ServerTlsConfig = z.output<ReturnType<typeof serverTlsSchema>>;
export type ClientTlsConfig = z.output<ReturnType<typeof clientTlsSchema>>;
