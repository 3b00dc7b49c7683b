// TLS connections that make one request and stay open: what `load hold` is for plain ones, in this process because TLS in C would need OpenSSL's headers.
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type TLSSocket } from 'node:tls';
import type { RunningLoad } from './tools.js';

/** Handshakes under way at a time. */
const IN_FLIGHT = 32;
const REPLY_LIMIT_MS = 10_000;

function open(port: number): Promise<TLSSocket> {
  return new Promise((done, fail) => {
    // The certificate is made by the bench and signed by itself.
    const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, servername: 'bench.local', ALPNProtocols: ['http/1.1'] });
    socket.setTimeout(REPLY_LIMIT_MS, () => socket.destroy(new Error('no reply')));
    socket.once('error', fail);
    socket.once('close', () => fail(new Error('closed')));
    socket.once('secureConnect', () => socket.write('GET / HTTP/1.1\r\nHost: bench.local\r\n\r\n'));
    let text = '';
    const read = (chunk: Buffer): void => {
      text += chunk.toString('latin1');
      const head = text.indexOf('\r\n\r\n');
      if (head < 0) return;
      const length = Number(/\r\ncontent-length: *(\d+)/i.exec(text)?.[1] ?? NaN);
      if (!text.startsWith('HTTP/1.1 200') || Number.isNaN(length)) socket.destroy(new Error('refused'));
      else if (text.length >= head + 4 + length) {
        socket.setTimeout(0);
        socket.removeListener('data', read);
        done(socket);
      }
    };
    socket.on('data', read);
  });
}

/** Holds `count` connections; the lines are those of `load hold`. They are let go by `end`, or after `seconds`. */
export function holdTls(port: number, count: number, seconds: number): RunningLoad {
  const sockets: TLSSocket[] = [];
  let errors = 0;
  let closed = 0;
  let begun = 0;
  const began = performance.now();
  const worker = async (): Promise<void> => {
    while (begun < count) {
      begun++;
      try {
        const socket = await open(port);
        socket.on('error', () => {});
        socket.once('close', () => closed++);
        sockets.push(socket);
      } catch {
        errors++;
      }
    }
  };
  const hold = async (): Promise<Record<string, unknown>> => {
    await Promise.all(Array.from({ length: Math.min(IN_FLIGHT, count) }, worker));
    return { mode: 'hold', held: sockets.length, took_ms: performance.now() - began, errors };
  };
  const letGo = new AbortController();
  const held = hold();
  const release = async (): Promise<Record<string, unknown>> => {
    await held;
    await sleep(seconds * 1000, undefined, { signal: letGo.signal }).catch(() => {});
    const report = { mode: 'released', closed };
    for (const socket of sockets) socket.destroy();
    return report;
  };
  const released = release();
  const lines: Promise<Record<string, unknown>>[] = [held, released];
  return {
    next: () => lines.shift() ?? Promise.reject(new Error('no more lines')),
    async end() {
      letGo.abort();
      await released;
    },
  };
}
