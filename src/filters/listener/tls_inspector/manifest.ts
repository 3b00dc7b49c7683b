// The listener filter tls_inspector: finds out whether a client begins with TLS, and for which name and protocols, without taking a byte.
import * as z from 'zod';
import { duration, option } from '../../../core/config/schema.js';
import { SluiceError } from '../../../core/reason.js';
import { type ListenerFilter, type ListenerFilterManifest, MORE } from '../../../network/filter.js';
import type { ConnectionInfo } from '../../../network/wire.js';
import { ClientHello, HELLO_BAD, HELLO_MORE, HELLO_NOT_TLS } from './client-hello.js';

const schema = z.strictObject({
  timeout: option(duration(10_000, 1), {
    doc: 'Time for the first bytes to arrive; a client that is silent for so long is taken for one without TLS. Keep it short where the server speaks first. Default 10 s.',
  }),
});

type Options = z.output<typeof schema>;

const hello = new ClientHello();

class TlsInspector implements ListenerFilter {
  readonly name = 'tls_inspector';
  readonly timeout: number;

  constructor({ timeout }: Options) {
    this.timeout = timeout;
  }

  inspect(info: ConnectionInfo, buf: Uint8Array, start: number, end: number): number | SluiceError {
    const found = hello.read(buf, start, end);
    if (found === HELLO_MORE) return MORE;
    if (found === HELLO_BAD) return new SluiceError('downstream-tls-failed', { detail: `ClientHello: ${hello.fault}` });
    if (found === HELLO_NOT_TLS) {
      info.detected = 'plain';
      return 0;
    }
    info.detected = 'tls';
    info.serverName = hello.serverName;
    info.alpn = hello.alpn[0] ?? '';
    return 0;
  }

  late(info: ConnectionInfo): SluiceError | null {
    info.detected = 'plain';
    return null;
  }
}

export const manifest: ListenerFilterManifest = {
  kind: 'listener-filter',
  name: 'tls_inspector',
  doc: 'Finds out whether a client begins with TLS, so that one port serves both, and for which name and protocols it asks.',
  schema,
  create: (options) => new TlsInspector(options as Options),
};
