// Long messages that wait for each other on one connection: the one whose turn it is must never stop for those behind it.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BoltProtocol } from '../../src/stream/protocol/bolt/protocol.js';
import { ThriftProtocol, defaultOptions } from '../../src/stream/protocol/thrift/protocol.js';
import type { FakeWire } from '../support/fake-wire.js';
import { Lab, type LabOptions } from '../support/stream-lab.js';
import { replyFrame, requestFrame } from './protocol/bolt/frames.js';
import { decodeAll as boltFrames } from './protocol/bolt/recorder.js';
import { REPLY, frame, text } from './thrift/frames.js';
import { decodeAll as thriftFrames } from './thrift/recorder.js';

const MIB = 1024 * 1024;
/** What a socket gives at once. */
const PIECE = 64 * 1024;
const NONE = { pending: 0, requests: 0, retries: 0, activeRequests: 0, pendingRequests: 0, listenerActive: 0, hostsActive: 0 };

/** Bytes that a peer has to send yet. */
interface Sending {
  readonly wire: FakeWire;
  readonly bytes: Buffer;
  sent: number;
}

interface Scene {
  readonly options: LabOptions;
  request(id: number): Buffer;
  /** The id under which the proxy asked. */
  id(request: Buffer): number;
  reply(id: number, n: number, content: Buffer): Buffer;
}

const thrift: Omit<Scene, 'options'> = {
  request: (id) => frame({ seqid: id, name: `call${id}` }),
  id: (request) => thriftFrames(request).heads[0]!.seqid,
  reply: (id, n, content) => frame({ type: REPLY, seqid: id, name: `call${n}`, content: text('strict', content, 0) }),
};
const scenes: Record<string, Scene> = {
  'Thrift, connections for each call': { ...thrift, options: { protocol: new ThriftProtocol() } },
  'Thrift, in the order of the calls': { ...thrift, options: { protocol: new ThriftProtocol({ ...defaultOptions, replies: 'in-order' }) } },
  'Thrift, a shared connection to each host': { ...thrift, options: { protocol: new ThriftProtocol(), pool: 'multiplex' } },
  'Bolt, connections for each call': {
    options: { protocol: new BoltProtocol(), pool: 'exclusive' },
    request: (id) => requestFrame({ id }),
    id: (request) => boltFrames(request).heads[0]!.id,
    reply: (id, _n, content) => replyFrame({ id, content }),
  },
};
scenes['Bolt, a shared connection to each host'] = { ...scenes['Bolt, connections for each call']!, options: { protocol: new BoltProtocol() } };

const sending = (wire: FakeWire, bytes: Buffer): Sending => ({ wire, bytes, sent: 0 });

/** Every peer sends a piece whenever its connection is read, in the order given by `turns`, until nothing moves any more. */
function pump(all: readonly Sending[], turns: (round: number) => readonly number[], between: () => void = () => {}): void {
  for (let round = 0, idle = 0; idle < 20; round++) {
    let moved = false;
    for (const i of turns(round)) {
      const one = all[i]!;
      if (one.wire.paused || one.sent === one.bytes.length) continue;
      const end = Math.min(one.bytes.length, one.sent + PIECE);
      one.wire.feed(one.bytes.subarray(one.sent, end));
      one.sent = end;
      moved = true;
    }
    between();
    idle = moved ? 0 : idle + 1;
  }
  assert.deepEqual(all.map(({ sent, bytes }) => bytes.length - sent), all.map(() => 0), 'bytes that were never read');
}

const orders: Readonly<Record<string, (round: number) => readonly number[]>> = {
  'all alike': () => [0, 1, 2],
  'the last far ahead': (round) => (round < 6 ? [2] : [0, 1, 2]),
  'the last two ahead of the first': (round) => (round === 0 ? [0] : round < 8 ? [2, 1] : [0, 1, 2]),
  'the first ends while the last waits': (round) => (round < 12 ? [2, 0] : [2, 1, 0]),
};

for (const [order, turns] of Object.entries(orders)) {
  for (const slow of [false, true]) {
    describe(`${order}, the receiver ${slow ? 'slow' : 'quick'}`, () => {
      for (const [name, scene] of Object.entries(scenes)) {
        test(`three long replies to one client: ${name}`, () => {
          const lab = new Lab({ ...scene.options, hosts: 3 });
          const client = lab.client();
          client.feed(Buffer.concat([1, 2, 3].map((id) => scene.request(id))));
          assert.equal(lab.dialled.length, 3);
          const hosts = [0, 1, 2].map((i) => lab.upstream(i));
          const contents = hosts.map((_, i) => Buffer.alloc(2 * MIB + i, 97 + i));
          const replies = hosts.map((host, i) => sending(host, scene.reply(scene.id(host.take()), i + 1, contents[i]!)));
          const expected = contents.map((content, i) => scene.reply(i + 1, i + 1, content));
          const got: Buffer[] = [];
          const take = (): void => {
            got.push(client.take());
            client.drain();
            client.stuck = slow;
          };
          take();
          pump(replies, turns, take);
          take();
          // In any order, each whole and under its own number.
          const all = Buffer.concat(got);
          const seen: number[] = [];
          for (let from = 0; from < all.length; from += expected[seen.at(-1)!]!.length) {
            const n = expected.findIndex((bytes) => all.subarray(from, from + bytes.length).equals(bytes));
            assert.ok(n >= 0, `no reply at ${from}`);
            seen.push(n);
          }
          assert.deepEqual(seen.sort((a, b) => a - b), [0, 1, 2]);
          assert.deepEqual(lab.finished.map(({ status, code }) => [status, code]), [[200, ''], [200, ''], [200, '']]);
          // A shared connection that a long reply holds up is left by the others, and ends behind it.
          const { connections, ...levels } = lab.levels();
          assert.deepEqual(levels, NONE);
          assert.ok(scene.options.pool === 'exclusive' ? connections === 3 : connections! <= 3);
          for (const wire of [client, ...hosts]) assert.ok(wire.destroyed || !wire.paused);
        });
      }
    });
  }
}
