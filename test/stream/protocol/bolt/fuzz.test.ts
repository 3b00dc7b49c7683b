// Fuzzing of the Bolt codec with a fixed budget and a printed seed: it never throws, splits do not matter, what is decoded encodes to what it was.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BlockOutput } from '../../../../src/core/bytes.js';
import { headerName } from '../../../../src/stream/head.js';
import { BoltCodec } from '../../../../src/stream/protocol/bolt/codec.js';
import { CallReply } from '../../../../src/stream/protocol/bolt/call.js';
import { BoltEcho } from '../../../../src/stream/protocol/bolt/echo.js';
import { HessianReader } from '../../../../src/stream/protocol/bolt/hessian.js';
import { BoltProtocol } from '../../../../src/stream/protocol/bolt/protocol.js';
import { fuzzSeed, generator, type Random } from '../../../support/fuzz.js';
import { block, pattern, replyFrame, requestFrame } from './frames.js';
import { heartbeat, layouts, request, response } from './peer.js';
import { decodeAll, decodeCut } from './recorder.js';

const seed = fuzzSeed(20240607);

function randomBlock(random: Random): Buffer {
  const names = ['service', 'a', 'sofa_head_method_name', '', null, 'x-ü'];
  const values = ['', null, 'v', 'com.example.A:1.0', 'w'.repeat(random(300))];
  return block(Array.from({ length: random(6) }, () => [names[random(names.length)]!, values[random(values.length)]!] as const));
}

function randomFrame(random: Random, longOnes: boolean): Buffer {
  const proto = 1 + random(2);
  const size = longOnes && random(12) === 0 ? 262_000 + random(60_000) : random(300);
  const parts = {
    proto, ver1: proto === 2 ? 1 + random(2) : 1, switches: random(3), id: random(0xffffffff), codec: [1, 11, 12, 255][random(4)]!, headers: randomBlock(random),
    className: Buffer.from('c'.repeat(random(60))), content: pattern(size), timeoutOrStatus: random(20),
  };
  const control = { ...parts, content: pattern(random(20)) };
  switch (random(8)) {
    case 0: return requestFrame({ ...control, command: 0 });
    case 1: return replyFrame({ ...control, command: 0 });
    case 2: return requestFrame({ ...control, command: 100 });
    case 3: return requestFrame({ ...parts, type: 2 });
    case 4:
    case 5: return replyFrame(parts);
    default: return requestFrame(parts);
  }
}

function randomCuts(random: Random, length: number): number[] {
  return Array.from({ length: random(8) }, () => random(length + 1)).sort((a, b) => a - b);
}

/** Changes that keep much of the stream plausible: single bytes, most often in the first frame's fixed part. */
function damage(random: Random, bytes: Buffer): void {
  for (let n = 1 + random(4); n > 0; n--) bytes[random(random(2) === 0 ? Math.min(30, bytes.length) : bytes.length)] = random(3) === 0 ? random(4) : random(256);
}

describe('fuzz', () => {
  test('valid streams: any split tells the same, and requests and replies encode to their own bytes', () => {
    const random = generator(seed);
    for (let round = 0; round < 400; round++) {
      const frames = Array.from({ length: 1 + random(12) }, () => randomFrame(random, round % 4 === 0));
      const bytes = Buffer.concat(frames);
      const whole = decodeAll(bytes);
      assert.equal(whole.errors, 0, `round ${round}: ${whole.lines.at(-1)}`);
      assert.equal(whole.lines.length, frames.length);
      const kept = frames.filter((frame) => [1, 2].includes(frame.readUInt16BE(frame[0] === 2 ? 3 : 2)));
      assert.ok(whole.again.take().equals(Buffer.concat(kept)), `round ${round}`);
      const split = decodeCut(bytes, randomCuts(random, bytes.length));
      assert.deepEqual(split.lines, whole.lines, `round ${round}`);
      assert.ok(split.again.take().equals(Buffer.concat(kept)), `round ${round}`);
    }
  });

  test('damaged streams: no throw, one error at most and at the end, the same for any split', () => {
    const random = generator(seed + 1);
    let errors = 0;
    for (let round = 0; round < 4000; round++) {
      const bytes = Buffer.concat(Array.from({ length: 1 + random(5) }, () => randomFrame(random, false)));
      damage(random, bytes);
      const max = random(3) === 0 ? 400 : 1 << 24;
      const whole = decodeCut(bytes, [], 'server', max);
      assert.ok(whole.errors <= 1);
      if (whole.errors === 1) assert.match(whole.lines.at(-1)!, /^error/);
      errors += whole.errors;
      const split = decodeCut(bytes, randomCuts(random, bytes.length), 'server', max);
      assert.deepEqual(split.lines, whole.lines, `round ${round}`);
    }
    assert.ok(errors > 400 && errors < 4000, `${errors} of 4000 found malformed`);
  });

  test('noise: no throw, nothing read beyond the end', () => {
    const random = generator(seed + 2);
    for (let round = 0; round < 4000; round++) {
      const bytes = Buffer.from(Array.from({ length: random(80) }, () => random(4) === 0 ? random(256) : random(3)));
      const whole = decodeAll(bytes);
      assert.deepEqual(decodeCut(bytes, randomCuts(random, bytes.length)).lines, whole.lines);
      new BoltProtocol().match(bytes, 0, bytes.length);
      new BoltProtocol().probe({}).judge(bytes, 0, bytes.length);
    }
  });

  test('edits of random heads: found again in a frame that decodes', () => {
    const random = generator(seed + 3);
    const names = ['service', 'a', 'new', ':service', ':rpc-method', 'x-ü', 'bolt-class', ''];
    for (let round = 0; round < 1500; round++) {
      const damaged = random(4) === 0;
      const headers = randomBlock(random);
      if (damaged && headers.length > 0) damage(random, headers);
      const frame = requestFrame({ proto: 2, ver1: 2, switches: 1, headers, content: pattern(random(100)) });
      const head = decodeAll(frame).heads[0]!;
      const expected = new Map<string, string | undefined>();
      for (let n = random(6); n > 0; n--) {
        const name = names[random(names.length)]!;
        const refused = head.refused;
        if (random(3) === 0) {
          head.remove(headerName(name));
          expected.set(name, name === 'bolt-class' ? '' : undefined);
        } else {
          const value = 'v'.repeat(random(10) === 0 ? random(70_000) : random(20));
          head.set(headerName(name), value);
          if (head.refused === null) expected.set(name, value);
        }
        if (name === ':service') expected.delete('service');
        if (name === 'service') expected.delete(':service');
        if (head.refused !== refused || head.refused !== null) break;
      }
      const out = new BlockOutput();
      new BoltCodec('client').encodeRequest(out, head, 1, true);
      const again = decodeAll(out.take());
      assert.equal(again.errors, 0, `round ${round}`);
      assert.equal(again.heads.length, 1);
      assert.equal(again.heads[0]!.length, head.length);
      if (head.refused === null) {
        for (const [name, value] of expected) assert.equal(again.heads[0]!.get(headerName(name)) ?? '', value ?? '', `round ${round}: ${name}`);
      }
    }
  });

  test('content that only looks like Hessian: echo, call and reader never throw', () => {
    const random = generator(seed + 4);
    const samples = layouts.flatMap(([, options]) => [request(1, options), response(1, options, { a: [1, 'b', null, 2.5] }), heartbeat(1, options)]);
    for (let round = 0; round < 3000; round++) {
      const bytes = Buffer.from(samples[random(samples.length)]!);
      for (let n = 1 + random(3); n > 0; n--) bytes[20 + random(bytes.length - 20)] = random(256);
      const out = new BlockOutput();
      new BoltEcho('one', out).receive(bytes, 0, bytes.length);
      new CallReply(1).receive(bytes, 0, bytes.length);
      const reader = new HessianReader(bytes, 20, bytes.length);
      for (let n = 0; n < 5 && reader.read() !== undefined; n++);
      assert.ok(reader.pos <= bytes.length);
    }
  });
});
