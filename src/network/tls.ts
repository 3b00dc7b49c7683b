// TLS contexts out of configured files, for both sides: chosen by server name, read again when files change, the last good ones kept.
import { createHash, hkdfSync, randomBytes, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import type { SecureContext, SecureContextOptions, SecureVersion } from 'node:tls';
import { createSecureContext } from 'node:tls';
import type { Log } from '../core/log.js';
import { SluiceError } from '../core/reason.js';
import type { ClientTlsConfig, ServerTlsConfig, TlsVersion } from './tls-config.js';
import { FileWatch, isPem, readPem } from './tls-files.js';
import { transport } from './transport/current.js';
import type { ClientHandshake, ServerHandshake, Target, TlsAcceptor } from './transport/transport.js';

const secureVersion = (version: TlsVersion): SecureVersion => (version === '1.0' ? 'TLSv1' : `TLSv${version}`) as SecureVersion;

const messageOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown));

/** Seed of session tickets where nobody gives a secret that all threads share: sessions are then resumed within a thread only. */
const ownSecret = randomBytes(32);

interface Loaded {
  readonly cert: string;
  readonly key: string;
  readonly names: readonly string[];
  readonly keyType: string;
}

/** Server names in a certificate, lower case: its DNS alternative names, or the common name where it has none. */
export function certificateNames(pem: string): string[] {
  const certificate = new X509Certificate(pem);
  const names = (certificate.subjectAltName ?? '').split(/, (?=[A-Za-z ]+:)/).filter((name) => name.startsWith('DNS:'));
  if (names.length > 0) return names.map((name) => name.slice(4).toLowerCase());
  const common = /^CN=(.+)$/m.exec(certificate.subject)?.[1];
  return common === undefined ? [] : [common.toLowerCase()];
}

const sameNames = (a: Loaded, b: Loaded): boolean => a.names.toSorted().join() === b.names.toSorted().join();

function load(certificate: ServerTlsConfig['certificates'][number]): Loaded {
  const cert = readPem(certificate.cert);
  const key = readPem(certificate.key);
  try {
    const names = certificate.names.length > 0 ? certificate.names.map((name) => name.toLowerCase()) : certificateNames(cert);
    return { cert, key, names, keyType: new X509Certificate(cert).publicKey.asymmetricKeyType ?? '' };
  } catch (e) {
    throw new Error(`${isPem(certificate.cert) ? 'the certificate' : certificate.cert} cannot be read: ${messageOf(e)}`, { cause: e });
  }
}

/** The server's side of one version of the files: contexts by name, and the handshakes made with them. */
class Contexts implements ServerHandshake {
  readonly defaults: SecureContextOptions;
  readonly alpn: readonly string[];
  readonly clientAuth: ServerTlsConfig['client_auth'];
  private readonly exact = new Map<string, SecureContext | null>();
  /** By what follows the first label, its dot included. */
  private readonly wildcard = new Map<string, SecureContext | null>();

  /** Throws an Error that says which file is at fault. */
  constructor(config: ServerTlsConfig, secret: Uint8Array) {
    this.alpn = config.alpn;
    this.clientAuth = config.client_auth;
    const ca = config.client_auth === 'none' ? '' : readPem(config.ca);
    const loaded = config.certificates.map(load);
    // A ticket stands for a verified client: one made under other certificates or authorities must not be taken.
    const digest = createHash('sha256').update(JSON.stringify([loaded.map((l) => l.cert), ca, config.client_auth])).digest();
    const shared: SecureContextOptions = {
      ca: ca === '' ? undefined : ca,
      ciphers: config.ciphers === '' ? undefined : config.ciphers,
      minVersion: secureVersion(config.min_version),
      maxVersion: secureVersion(config.max_version),
      honorCipherOrder: true,
      sessionIdContext: digest.toString('hex').slice(0, 32),
      ticketKeys: Buffer.from(hkdfSync('sha256', secret, digest, 'sluice tickets', 48)),
    };
    const contextOptions = (group: readonly Loaded[]): SecureContextOptions => ({ ...shared, cert: group.map((one) => one.cert), key: group.map((one) => one.key) });
    const first: Loaded[] = [];
    loaded.forEach((one, i) => {
      let context: SecureContext;
      try {
        context = createSecureContext(contextOptions([one]));
      } catch (e) {
        throw new Error(`certificate ${i + 1} does not work: ${messageOf(e)}`, { cause: e });
      }
      if (i === 0 || (sameNames(one, first[0]!) && !first.some((other) => other.keyType === one.keyType))) {
        first.push(one);
        for (const name of one.names) this.name(name, null);
        return;
      }
      let used = false;
      for (const name of one.names) used = this.name(name, context) || used;
      // Node chooses one certificate of a context by name, so kinds of keys (RSA, EC) can be offered together by the default only.
      if (!used && one.names.length > 0) throw new Error(`certificate ${i + 1} is never used: earlier ones have its names ${one.names.join(', ')}; two kinds of key serve together for the names of the first certificate only`);
    });
    this.defaults = contextOptions(first);
  }

  /** Null stands for the default context. False: an earlier certificate has the name. */
  private name(name: string, context: SecureContext | null): boolean {
    const [map, key] = name.startsWith('*.') ? [this.wildcard, name.slice(1)] : [this.exact, name];
    if (map.has(key)) return false;
    map.set(key, context);
    return true;
  }

  select(serverName: string): SecureContext | null {
    const exact = this.exact.get(serverName);
    if (exact !== undefined) return exact;
    const dot = serverName.indexOf('.');
    return dot <= 0 ? null : (this.wildcard.get(serverName.slice(dot)) ?? null);
  }
}

/** TLS of a listener. `acceptor` is what new connections use; connections keep the one they began with. */
export class ServerTls {
  readonly config: ServerTlsConfig;
  acceptor: TlsAcceptor;
  private readonly log: Log;
  private readonly secret: Uint8Array;
  private readonly watch: FileWatch;
  private complaint = '';

  /**
   * Throws an Error that names the file at fault. `secret`: the same 32 bytes or more in every thread that serves the listener, so
   * that a session begun in one is resumed in another.
   */
  constructor(config: ServerTlsConfig, log: Log, secret: Uint8Array = ownSecret) {
    this.config = config;
    this.log = log;
    this.secret = secret;
    const files = [config.ca, ...config.certificates.flatMap(({ cert, key }) => [cert, key])];
    this.watch = new FileWatch(files, () => this.reload() === null);
    this.acceptor = transport().tlsAcceptor(new Contexts(config, secret));
    this.watch.poll();
  }

  /** Reads the files again; null, or what is wrong with them (then what was in force stays). */
  reload(): string | null {
    try {
      this.acceptor = transport().tlsAcceptor(new Contexts(this.config, this.secret));
    } catch (e) {
      const complaint = messageOf(e);
      if (complaint !== this.complaint) this.log.error({ error: complaint }, 'changed TLS files are not usable; the former ones stay in force');
      this.complaint = complaint;
      this.watch.settle(false);
      return complaint;
    }
    this.complaint = '';
    this.log.info('TLS files were read again');
    return null;
  }

  /** Looks at the files now instead of at the next poll. */
  look(): boolean {
    return this.watch.look();
  }

  close(): void {
    this.watch.close();
  }
}

/** Sessions kept for resumption, for each ClientTls; the oldest goes first. */
const MAX_SESSIONS = 1024;

/** TLS of a cluster. */
export class ClientTls {
  readonly config: ClientTlsConfig;
  private readonly log: Log | null;
  private readonly watch: FileWatch;
  private context: SecureContext | null = null;
  private complaint = '';
  private readonly sessions = new Map<string, Buffer>();

  /** Never throws: with unusable files each handshake says so, until they are usable. */
  constructor(config: ClientTlsConfig, log: Log | null) {
    this.config = config;
    this.log = log;
    this.watch = new FileWatch([config.ca, config.cert, config.key], () => this.reload() === null);
    this.reload();
  }

  /** Reads the files again; null, or what is wrong with them (then what was in force stays). */
  reload(): string | null {
    const { config } = this;
    try {
      this.context = createSecureContext({
        ca: config.ca === '' ? undefined : readPem(config.ca),
        cert: config.cert === '' ? undefined : readPem(config.cert),
        key: config.key === '' ? undefined : readPem(config.key),
        ciphers: config.ciphers === '' ? undefined : config.ciphers,
        minVersion: secureVersion(config.min_version),
        maxVersion: secureVersion(config.max_version),
      });
    } catch (e) {
      const complaint = messageOf(e);
      if (complaint !== this.complaint) this.log?.error({ error: complaint }, 'TLS files of a cluster are not usable');
      this.complaint = complaint;
      this.watch.settle(false);
      return complaint;
    }
    this.complaint = '';
    // A resumed session is not verified again, so none outlives the authorities it was verified by.
    this.sessions.clear();
    return null;
  }

  look(): boolean {
    return this.watch.look();
  }

  /** What connecting to `target`, known by `hostname`, needs; an error while the files have never been usable. */
  handshake(target: Target, hostname: string): ClientHandshake | SluiceError {
    this.watch.lookIfDue();
    const { config, context, sessions } = this;
    const address = target.path === undefined ? `${target.host}:${target.port}` : `unix:${target.path}`;
    if (context === null) return new SluiceError('upstream-tls-failed', { host: address, detail: this.complaint });
    const named = config.server_name !== '' ? config.server_name : hostname;
    const serverName = isIP(named) === 0 ? named : '';
    const key = `${address} ${serverName}`;
    return {
      context,
      serverName,
      alpn: config.alpn,
      verify: !config.insecure_skip_verify,
      session: sessions.get(key) ?? null,
      keepSession: (session) => {
        // One that was made before the files were read again would resume what the new ones may not allow.
        if (this.context !== context) return;
        sessions.delete(key);
        if (sessions.size >= MAX_SESSIONS) sessions.delete(sessions.keys().next().value!);
        sessions.set(key, session);
      },
    };
  }
}

const clients = new Map<string, WeakRef<ClientTls>>();

/**
 * The ClientTls of a decoded `tls` section of a cluster; clusters whose sections say the same share one in each thread, with its
 * sessions. It looks at its files when it is asked for a handshake, so there is nothing to close.
 */
export function clientTls(config: unknown, log: Log | null = null): ClientTls {
  const key = JSON.stringify(config);
  let client = clients.get(key)?.deref();
  if (client === undefined) {
    client = new ClientTls(config as ClientTlsConfig, log);
    for (const [other, held] of clients) if (held.deref() === undefined) clients.delete(other);
    clients.set(key, new WeakRef(client));
  }
  return client;
}

/** Reads the files of every ClientTls of this thread again; what is wrong with them. */
export function reloadClientTls(): string[] {
  return [...clients.values()].map((held) => held.deref()?.reload() ?? null).filter((complaint) => complaint !== null);
}
