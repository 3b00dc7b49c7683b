// Fuzzing of the HTTP/2 codec with a fixed budget and a printed seed: it never throws, splits do not matter, what it keeps is bounded, two of them understand each other.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BlockOutput } from '../../../../src/core/bytes.js';
import type { Head } from '../../../../src/stream/head.js';
import { ListHead } from '../../../../src/stream/list-head.js';
import { Http2ClientCodec } from '../../../../src/stream/protocol/http2/client.js';
import type { Http2Codec } from '../../../../src/stream/protocol/http2/codec.js';
import { Http2ServerCodec } from '../../../../src/stream/protocol/http2/server.js';
import type { Http2Stream, StreamTable } from '../../../../src/stream/protocol/http2/stream.js';
import { fuzzSeed, generator, type Random } from '../../../support/fuzz.js';
import { data, frame, GET, goAway, headers, hello, OK, ping, POST, priority, reset, settings, settingsAck, windowUpdate, type Field } from '../../../support/http2.js';
import { decodeCut, limits, Recorder, server } from './recorder.js';

const seed = fuzzSeed(20241122);

const cutsOf = (random: Random, length: number): number[] => Array.from({ length: random(8) }, () => random(length + 1)).sort((a, b) => a - b);

function someFields(random: Random): Field[] {
  const names = ['a', 'cookie', 'x-long', 'te', 'content-type', 'grpc-timeout'];
  const values = ['', '1', 'trailers', 'application/grpc', 'v'.repeat(random(400)), '5S'];
  return Array.from({ length: random(5) }, () => [names[random(names.length)]!, values[random(values.length)]!] as const).filter(([name, value]) => name !== 'te' || value === 'trailers');
}

/** A few requests (or replies) with all that may come between them. Mostly well-formed. */
function conversation(random: Random, role: 'server' | 'client'): Buffer {
  const parts: Buffer[] = [role === 'server' ? hello([4, 1000 + random(100_000)]) : settings([3, 50])];
  const open: number[] = [];
  let next = 1;
  for (let n = 5 + random(25); n > 0; n--) {
    const id = open.length === 0 || random(3) === 0 ? next : open[random(open.length)]!;
    const pad = random(4) === 0 ? random(30) : undefined;
    switch (random(12)) {
      case 0: case 1: case 2: case 3: {
        const fields = role === 'server' ? (random(2) === 0 ? GET : POST) : OK;
        const end = random(2) === 0;
        const cut = random(4) === 0 ? [random(10), random(10)] : [];
        parts.push(headers(next, [...fields, ...someFields(random)], { end, cut, ...(pad === undefined ? {} : { pad }) }));
        if (!end) open.push(next);
        next += 2;
        break;
      }
      case 4: case 5: parts.push(data(id, 'd'.repeat(random(300)), { end: random(4) === 0, ...(pad === undefined ? {} : { pad }) })); break;
      case 6: parts.push(windowUpdate(random(2) === 0 ? 0 : id, 1 + random(1000))); break;
      case 7: parts.push(reset(id, random(14))); break;
      case 8: parts.push(random(2) === 0 ? ping() : settings([4, random(100_000)])); break;
      case 9: parts.push(random(2) === 0 ? settingsAck : priority(id, id + 2)); break;
      case 10: parts.push(random(6) === 0 ? goAway(random(9)) : frame(20 + random(100), random(256), random(99), 'x'.repeat(random(50)))); break;
      default: parts.push(headers(id, [['x-trailer', '1']], { end: true }));
    }
  }
  return Buffer.concat(parts);
}

function damage(random: Random, bytes: Buffer, from: number): void {
  for (let n = 1 + random(4); n > 0 && bytes.length > from; n--) bytes[from + random(bytes.length - from)] = random(3) === 0 ? random(10) : random(256);
}

/** What has to be true of a codec between two reads. */
function consistent(codec: Http2Codec, what: string): void {
  const { streams, waiting, blockSize, held } = codec as unknown as { streams: StreamTable; waiting: Http2Stream[]; blockSize: number; held: number };
  let count = 0;
  let queued = 0;
  streams.each((s) => {
    count++;
    assert.ok(s.id > 0 && streams.get(s.id) === s, what);
    assert.equal(s.queue.reduce((sum, piece) => sum + piece.length, 0) - s.queueAt, s.queued, what);
    assert.equal(waiting.includes(s), s.queued > 0, `${what}: who waits is in the list`);
    queued += s.queued;
  });
  assert.equal(streams.size, count, what);
  assert.ok(count <= 128, `${what}: ${count} streams`);
  assert.equal(held, queued, what);
  assert.ok(blockSize <= 128 * 1024, what);
}

/** A client that has asked on streams 1 to 99, so that replies find somebody. */
function prepare(lane: { codec: Http2Codec; out: BlockOutput }): void {
  if (lane.codec.role === 'server') return;
  const { heads } = server(Buffer.concat([hello(), headers(1, POST)])).sink;
  for (let id = 1; id <= 50; id++) lane.codec.encodeRequest(lane.out, heads[0]!, id, id % 2 === 0);
}

describe('fuzz', () => {
  for (const role of ['server', 'client'] as const) {
    test(`${role}: plausible, damaged and mad streams: no throw, the same for any split, at most one error and that at the end`, () => {
      const random = generator(seed + (role === 'server' ? 1 : 2));
      let errors = 0;
      const rounds = 3000;
      for (let round = 0; round < rounds; round++) {
        const bytes = conversation(random, role);
        const start = role === 'server' ? 24 : 0;
        if (round % 3 === 1) damage(random, bytes, start);
        if (round % 3 === 2) damage(random, bytes, Math.max(start, bytes.length - 100));
        const what = `${role} round ${round}`;
        const whole = decodeCut(bytes, [], role, prepare);
        consistent(whole.codec, what);
        assert.ok(whole.sink.errors <= 1, what);
        if (whole.sink.errors === 1) assert.match(whole.sink.lines.at(-1)!, /^error/, what);
        errors += whole.sink.errors;
        const split = decodeCut(bytes, cutsOf(random, bytes.length), role, prepare);
        consistent(split.codec, what);
        assert.deepEqual(split.sink.lines.filter((line) => !/frame-flood/.test(line)), whole.sink.lines.filter((line) => !/frame-flood/.test(line)), what);
        assert.deepEqual(split.peer.push(split.out.take()).frames.filter((one) => one.type !== 8).map((one) => one.line).sort(), whole.peer.push(whole.out.take()).frames.filter((one) => one.type !== 8).map((one) => one.line).sort(), what);
      }
      assert.ok(errors > rounds / 20 && errors < rounds, `${errors} of ${rounds} ended by an error`);
    });

    test(`${role}: noise`, () => {
      const random = generator(seed + (role === 'server' ? 3 : 4));
      for (let round = 0; round < 3000; round++) {
        const noise = Buffer.from(Array.from({ length: random(120) }, () => (random(3) === 0 ? random(256) : random(4))));
        const bytes = random(2) === 0 ? noise : Buffer.concat([role === 'server' ? hello() : settings(), noise]);
        const whole = decodeCut(bytes, [], role, prepare);
        consistent(whole.codec, `${role} noise ${round}`);
        assert.deepEqual(decodeCut(bytes, cutsOf(random, bytes.length), role, prepare).sink.lines, whole.sink.lines, `${role} noise ${round}`);
      }
    });
  }

  test('two codecs of ours: random content both ways through random windows arrives whole, and nothing is left behind', () => {
    const random = generator(seed + 5);
    const [request] = server(Buffer.concat([hello(), headers(1, POST)])).sink.heads as [Head];
    for (let round = 0; round < 150; round++) {
      const window = 16_384 + random(60_000);
      const client = new Http2ClientCodec(limits({ streamWindow: window }));
      const host = new Http2ServerCodec(limits({ streamWindow: 16_384 + random(60_000) }));
      const sides = { up: { codec: client, out: new BlockOutput(), rest: Buffer.alloc(0) as Buffer }, down: { codec: host, out: new BlockOutput(), rest: Buffer.alloc(0) as Buffer } };
      /** By id and direction: what is still to be sent, what came, what it is to be. */
      const flows: { side: 'up' | 'down'; id: number; whole: Buffer; at: number; came: Buffer[]; bytes: number; ended: boolean; begun: boolean; sent: boolean; owed: number }[] = [];
      const n = 1 + random(6);
      for (let i = 0; i < n; i++) {
        for (const side of ['up', 'down'] as const) {
          const whole = Buffer.alloc(random(5) === 0 ? random(600_000) : random(3000), 65 + ((i + round) % 26));
          flows.push({ side, id: side === 'up' ? 101 + i : 2 * i + 1, whole, at: 0, came: [], bytes: 0, ended: false, begun: false, sent: false, owed: 0 });
        }
      }
      const flowOf = (side: 'up' | 'down', id: number): (typeof flows)[number] => flows.find((one) => one.side === side && one.id === id)!;
      const sinkOf = (to: 'up' | 'down'): Recorder => {
        const sink = new Recorder();
        // Content for the host comes on the client's flows, named by the stream, and the other way round by the exchange.
        sink.onData = (id, buf, start, end, last) => {
          const flow = to === 'down' ? flowOf('up', 101 + (id - 1) / 2) : flowOf('down', 2 * (id - 101) + 1);
          flow.came.push(Buffer.from(buf.subarray(start, end)));
          flow.bytes += end - start;
          flow.owed += end - start;
          flow.ended = last;
        };
        return sink;
      };
      const sinks = { up: sinkOf('up'), down: sinkOf('down') };
      const carry = (from: 'up' | 'down'): boolean => {
        const to = from === 'up' ? 'down' : 'up';
        const bytes = Buffer.concat([sides[to].rest, sides[from].out.take()]);
        if (bytes.length === sides[to].rest.length) return false;
        const cut = random(3) === 0 ? 1 + random(bytes.length) : bytes.length;
        let at = 0;
        for (const part of [cut, bytes.length]) {
          if (part - at < sides[to].codec.want) continue;
          at += sides[to].codec.decode(bytes, at, part, sinks[to]);
          if (sides[to].codec.due) sides[to].codec.settle(sides[to].out, sinks[to]);
        }
        sides[to].rest = Buffer.from(bytes.subarray(at));
        return true;
      };
      for (let i = 0; i < n; i++) client.encodeRequest(sides.up.out, request, 101 + i, false);
      for (let step = 0; step < 20_000 && flows.some((one) => !one.ended); step++) {
        const flow = flows[random(flows.length)]!;
        const { codec, out } = sides[flow.side];
        if (!flow.begun && flow.side === 'down' && sinks.down.heads.some((head) => head.id === flow.id)) {
          codec.encodeReply(out, new ListHead([], 200), flow.id, false);
          flow.begun = true;
        }
        // A reply that ends before its request would end this as well.
        const mayEnd = flow.side === 'up' || flowOf('up', 101 + (flow.id - 1) / 2).ended;
        if ((flow.begun || flow.side === 'up') && !flow.sent && !codec.stalled(flow.id)) {
          const size = Math.min(random(40_000), flow.whole.length - flow.at);
          flow.sent = mayEnd && flow.at + size === flow.whole.length;
          codec.encodeData(out, flow.id, flow.whole, flow.at, flow.at + size, flow.sent);
          flow.at += size;
        }
        const receiver = flows[random(flows.length)]!;
        const other = sides[receiver.side === 'up' ? 'down' : 'up'];
        if (receiver.owed > 0) {
          other.codec.credit(other.out, receiver.side === 'up' ? 2 * (receiver.id - 101) + 1 : 101 + (receiver.id - 1) / 2, receiver.owed);
          receiver.owed = 0;
        }
        carry(random(2) === 0 ? 'up' : 'down');
        consistent(client, `round ${round}`);
        consistent(host, `round ${round}`);
      }
      for (let n = 0; n < 5; n++) {
        carry('up');
        carry('down');
      }
      for (const one of flows) {
        assert.ok(one.ended, `round ${round}: ${one.side} ${one.id} ended after ${one.bytes} of ${one.whole.length}`);
        assert.ok(Buffer.concat(one.came).equals(one.whole), `round ${round}: ${one.side} ${one.id}`);
      }
      assert.equal(sinks.up.errors + sinks.down.errors, 0);
      assert.ok(client.eof(sinks.up) && host.eof(sinks.down), `round ${round}: streams are left`);
      assert.equal(client.held + host.held, 0);
    }
  });
});
