// Fuzzing of the Thrift codecs with a fixed budget and a printed seed: they never throw, splits do not matter, what is decoded encodes to what it was.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BlockOutput } from '../../../src/core/bytes.js';
import { headerName, type Head } from '../../../src/stream/head.js';
import type { CodecSink } from '../../../src/stream/protocol.js';
import { AS_ASKED, BY_IDS, IN_ORDER, ThriftCodec } from '../../../src/stream/thrift/codec.js';
import { matchDubboThrift, matchThrift } from '../../../src/stream/thrift/match.js';
import { ThriftProbe } from '../../../src/stream/thrift/probe.js';
import { fuzzSeed, generator, type Random } from '../../support/fuzz.js';
import { CALL, EXCEPTION, ONEWAY, REPLY, failure, forms, frame, pattern, type Parts } from './frames.js';
import { Recorder, decodeAll, decodeCut, type Reading } from './recorder.js';

const seed = fuzzSeed(20240611);

function randomParts(random: Random, reading: Reading, longOnes: boolean): Parts {
  const form = forms[random(reading.dubbo === true ? 2 : 3)]!;
  const names = ['', 'a', 'say', 'Service:say', ':', 'n'.repeat(random(500)), `${random(1e9)}`];
  const client = reading.role === 'client';
  const type = client ? [REPLY, EXCEPTION][random(2)]! : [CALL, CALL, ONEWAY][random(3)]!;
  const size = longOnes && random(12) === 0 ? 262_000 + random(60_000) : random(300);
  return {
    form, type, seqid: random(0xffffffff) | 0, name: names[random(names.length)],
    content: type === EXCEPTION && random(3) > 0 ? failure(form, 'x'.repeat(random(50)), random(15) - 1) : pattern(size),
    dubbo: reading.dubbo === true ? { id: BigInt(random(0xffffffff)) << BigInt(random(32)), service: names[random(names.length)], path: random(2) === 0 ? 'p'.repeat(random(30)) : undefined } : undefined,
  };
}

const readings: readonly Reading[] = [{ role: 'server' }, { role: 'client' }, { role: 'server', dubbo: true }, { role: 'client', dubbo: true }];

function randomCuts(random: Random, length: number): number[] {
  return Array.from({ length: random(8) }, () => random(length + 1)).sort((a, b) => a - b);
}

/** Changes that keep much of the stream plausible: single bytes, most often in the first frame's prefix. */
function damage(random: Random, bytes: Buffer): void {
  for (let n = 1 + random(4); n > 0; n--) bytes[random(random(2) === 0 ? Math.min(40, bytes.length) : bytes.length)] = random(3) === 0 ? random(4) : random(256);
}

describe('fuzz', () => {
  test('valid streams: any split tells the same, and messages encode to what they were, under the number they are given', () => {
    const random = generator(seed);
    for (let round = 0; round < 600; round++) {
      const reading = readings[round % 4]!;
      const parts = Array.from({ length: 1 + random(12) }, () => randomParts(random, reading, round % 16 < 4));
      const bytes = Buffer.concat(parts.map(frame));
      const whole = decodeAll(bytes, reading);
      assert.equal(whole.errors, 0, `round ${round}: ${whole.lines.at(-1)}`);
      assert.equal(whole.lines.length, parts.length);
      const wanted = Buffer.concat(parts.map((one) => frame({ ...one, width: 5, dubbo: one.dubbo === undefined ? undefined : { ...one.dubbo, id: BigInt(one.seqid! >>> 0) } })));
      assert.ok(whole.again.take().equals(wanted), `round ${round}`);
      const split = decodeCut(bytes, randomCuts(random, bytes.length), reading);
      assert.deepEqual(split.lines, whole.lines, `round ${round}`);
      assert.ok(split.again.take().equals(wanted), `round ${round}`);
    }
  });

  test('damaged streams: no throw, one error at most and at the end, the same for any split', () => {
    const random = generator(seed + 1);
    let errors = 0;
    for (let round = 0; round < 6000; round++) {
      const reading = { ...readings[round % 4]!, max: random(3) === 0 ? 400 : 1 << 24 };
      const bytes = Buffer.concat(Array.from({ length: 1 + random(5) }, () => frame(randomParts(random, reading, false))));
      damage(random, bytes);
      const whole = decodeCut(bytes, [], reading);
      assert.ok(whole.errors <= 1);
      if (whole.errors === 1) assert.match(whole.lines.at(-1)!, /^error/);
      errors += whole.errors;
      const split = decodeCut(bytes, randomCuts(random, bytes.length), reading);
      assert.deepEqual(split.lines, whole.lines, `round ${round}`);
    }
    assert.ok(errors > 600 && errors < 6000, `${errors} of 6000 found malformed`);
  });

  test('noise: no throw, nothing read beyond the end', () => {
    const random = generator(seed + 2);
    for (let round = 0; round < 6000; round++) {
      const bytes = Buffer.from(Array.from({ length: random(80) }, () => (random(4) === 0 ? random(256) : random(3))));
      if (bytes.length > 6 && random(2) === 0) Buffer.from([0, 0, 0, bytes.length - 4, [0x80, 0x82, 0, 0xda][random(4)]!, [1, 0x21, 0, 0xbc][random(4)]!]).copy(bytes);
      const reading = readings[round % 4]!;
      const whole = decodeAll(bytes, reading);
      assert.deepEqual(decodeCut(bytes, randomCuts(random, bytes.length), reading).lines, whole.lines);
      matchThrift(bytes, 0, bytes.length);
      matchDubboThrift(bytes, 0, bytes.length);
      new ThriftProbe({}, random(2) === 0).judge(bytes, 0, bytes.length);
    }
  });

  test('edits of random heads: found again in a frame that decodes', () => {
    const random = generator(seed + 3);
    const service = headerName(':service');
    const method = headerName(':rpc-method');
    for (let round = 0; round < 2000; round++) {
      const reading = readings[(round % 2) * 2]!;
      const [head] = decodeAll(frame(randomParts(random, reading, false)), reading).heads;
      for (let n = 1 + random(4); n > 0; n--) {
        const value = 'v'.repeat(random(10) === 0 ? random(5000) : random(20));
        if (random(2) === 0) head!.set(service, value);
        else if (random(3) > 0) head!.set(method, value);
        else head!.remove(service);
      }
      const out = new BlockOutput();
      new ThriftCodec('client', reading.dubbo === true).encodeRequest(out, head!, 1, true);
      const again = decodeAll(out.take(), reading);
      assert.equal(again.errors, 0, `round ${round}: ${again.lines.at(-1)}`);
      assert.equal(again.heads.length, 1);
      for (const name of [service, method]) assert.equal(again.heads[0]!.get(name), head!.get(name), `round ${round} ${name.name}`);
      assert.equal(again.heads[0]!.length, head!.length);
    }
  });

  test('random conversations: every call gets its own reply once, in order where that was asked for', () => {
    const random = generator(seed + 4);
    for (let round = 0; round < 300; round++) {
      const dubbo = round % 4 === 3;
      const order = dubbo ? BY_IDS : ([BY_IDS, IN_ORDER, AS_ASKED] as const)[round % 3]!;
      const zeros = random(2) === 0;
      const unique = order === BY_IDS;
      const calls = Array.from({ length: 1 + random(300) }, (_, i) => ({
        form: forms[random(dubbo ? 2 : 3)]!, seqid: unique ? i * 7 : zeros ? 0 : random(40), name: `m${i}`, type: random(8) === 0 ? ONEWAY : CALL,
        dubbo: dubbo ? { id: BigInt(i) * 0x1_0000_0001n } : undefined,
      }));
      const bytes = Buffer.concat(calls.map(frame));
      const codec = new ThriftCodec('server', dubbo, undefined, order);
      const waiting: { id: number; name: string; form: Parts['form'] }[] = [];
      const long: { id: number; content: Buffer }[] = [];
      const out = new BlockOutput();
      const sink = Object.assign(Object.create(Recorder.prototype) as CodecSink, {
        onRequest: (head: Head) => void (head.kind === 0 && waiting.push({ id: head.id, name: head.get(headerName(':rpc-method'))!, form: forms[(head as unknown as { form: number }).form]! })),
      });
      let at = 0;
      let most = 0;
      while (at < bytes.length || waiting.length > 0 || long.length > 0) {
        const more = Math.min(bytes.length, at + 1 + random(400));
        if (at < bytes.length) at += codec.decode(bytes, at, codec.want > more - at ? Math.min(bytes.length, at + codec.want) : more, sink);
        most = Math.max(most, waiting.length);
        for (let n = random(6); n > 0 && waiting.length > 0; n--) {
          const [one] = waiting.splice(random(waiting.length), 1) as [(typeof waiting)[0]];
          if (random(5) === 0) {
            codec.encodeLocalReply(out, one.id, { code: 'internal', status: 500, body: one.name, headers: [], mirror: -1, close: false });
            continue;
          }
          const reply: Parts = { form: one.form, type: REPLY, name: one.name, seqid: 5, content: Buffer.from(one.name), dubbo: dubbo ? {} : undefined };
          const [head] = decodeAll(frame(reply), { role: 'client', dubbo }).heads;
          if (random(6) === 0) {
            head!.whole = false;
            codec.encodeReply(out, head!, one.id, false);
            long.push({ id: one.id, content: Buffer.from(one.name) });
          } else codec.encodeReply(out, head!, one.id, true);
        }
        for (let n = random(4); n > 0 && long.length > 0; n--) {
          const [one] = long.splice(random(long.length), 1) as [(typeof long)[0]];
          codec.encodeData(out, one.id, one.content, 0, one.content.length, true);
        }
      }
      const { heads, errors, lines } = decodeAll(out.take(), { role: 'client', dubbo });
      assert.equal(errors, 0, lines.at(-1));
      const asked = calls.filter((call) => call.type === CALL);
      const told = heads.map((head) => `${head.get(headerName(':rpc-method'))} ${head.seqid} ${head.form} ${dubbo ? `${head.idHigh} ${head.idLow}` : ''}`);
      const expected = asked.map((call) => `${call.name} ${call.seqid} ${forms.indexOf(call.form)} ${dubbo ? `${Number(call.name.slice(1))} ${Number(call.name.slice(1))}` : ''}`);
      if (order === IN_ORDER || (order === AS_ASKED && zeros)) assert.deepEqual(told, expected, `round ${round}`);
      else assert.deepEqual(told.sort(), expected.sort(), `round ${round}`);
      assert.equal(codec.held, 0);
      if (order === IN_ORDER) assert.ok(most <= 128);
    }
  });
});
