// Fuzzing of the Tars codec with a fixed budget and a printed seed: it never throws, splits do not matter, what is decoded encodes to what it was.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BlockOutput } from '../../../../src/core/bytes.js';
import { headerName } from '../../../../src/stream/head.js';
import { TarsCodec } from '../../../../src/stream/protocol/tars/codec.js';
import { JceBuilder, skipField } from '../../../../src/stream/protocol/tars/jce.js';
import { TarsProtocol } from '../../../../src/stream/protocol/tars/protocol.js';
import { fuzzSeed, generator, type Random } from '../../../support/fuzz.js';
import { pattern, replyFrame, requestFrame } from './frames.js';
import { decodeAll, decodeCut, headOf } from './recorder.js';

const seed = fuzzSeed(20240607);

function pairs(random: Random): (readonly [string, string])[] {
  const names = ['user', 'a', '', 'x-ü', 'STATUS_DYED_KEY', 'k'.repeat(random(400)), 'STATUS_RESULT_CODE'];
  const values = ['', 'v', '-3', 'w'.repeat(random(400)), '7', 'ü'];
  return Array.from({ length: random(5) }, () => [names[random(names.length)]!, values[random(values.length)]!] as const);
}

function number(random: Random): number {
  const widths = [1, 200, 70_000, 0xffffffff];
  return random(widths[random(4)]!);
}

/** Fields that nobody knows, of any type, behind those that are known. */
function strange(random: Random, depth = 0): Buffer {
  const w = new JceBuilder();
  let tag = 11;
  for (let n = random(3); n > 0; n--) {
    tag += 1 + random(depth === 0 ? 6 : 2);
    const head = (type: number): Buffer => (tag < 15 ? Buffer.of((tag << 4) | type) : Buffer.of(0xf0 | type, tag));
    const type = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13][random(depth > 2 ? 8 : 13)]!;
    const sizes: Record<number, number> = { 0: 1, 1: 2, 2: 4, 3: 8, 4: 4, 5: 8, 12: 0 };
    w.raw(head(type));
    if (type in sizes) w.raw(pattern(sizes[type]!));
    else if (type === 6) w.raw(Buffer.concat([Buffer.of(3), pattern(3)]));
    else if (type === 7) w.raw(Buffer.concat([Buffer.of(0, 0, 1, 0), pattern(256)]));
    else if (type === 13) w.raw(Buffer.of(0)).int(0, 5).raw(pattern(5));
    else if (type === 8) w.int(0, 1).string(0, 'k').int(1, 7);
    else if (type === 9) w.int(0, 2).int(0, 300).string(0, 'x');
    else w.raw(strange(random, depth + 1)).raw(Buffer.of(0x0b));
  }
  return w.take();
}

function randomRequest(random: Random, long: boolean): Buffer {
  const content = pattern(long && random(12) === 0 ? 262_000 + random(60_000) : random(300));
  const parts = { version: [1, 2, 3, 5][random(4)]!, type: random(3), messageType: number(random), id: number(random), servant: 's'.repeat(random(300)), name: 'f'.repeat(random(300)), content };
  if (random(3) > 0) return requestFrame({ ...parts, timeout: number(random) | 0, context: pairs(random), status: pairs(random) });
  return requestFrame({ ...parts, tail: new JceBuilder().int(8, number(random) | 0).map(9, pairs(random)).map(10, pairs(random)).raw(strange(random)).take() });
}

function randomReply(random: Random, long: boolean): Buffer {
  if (random(3) === 0) return requestFrame({ version: 2 + random(2), id: 1 + number(random), content: pattern(random(300)), context: pairs(random), status: pairs(random) });
  const content = pattern(long && random(12) === 0 ? 262_000 + random(60_000) : random(300));
  return replyFrame({ id: 1 + random(0x7fffffff), code: -random(15), content, status: pairs(random), ...(random(2) === 0 ? { description: 'd'.repeat(random(300)) } : {}), ...(random(2) === 0 ? { context: pairs(random) } : {}) });
}

function randomCuts(random: Random, length: number): number[] {
  return Array.from({ length: random(8) }, () => random(length + 1)).sort((a, b) => a - b);
}

/** Changes that keep much of the stream plausible: single bytes, most often at the beginning of the first frame. */
function damage(random: Random, bytes: Buffer): void {
  for (let n = 1 + random(4); n > 0; n--) bytes[random(random(2) === 0 ? Math.min(40, bytes.length) : bytes.length)] = random(3) === 0 ? random(16) : random(256);
}

/** The same request with an id of full width, as it is sent to a host. */
function widened(frame: Buffer): Buffer {
  const head = headOf(frame);
  const id = Buffer.alloc(5, 0x42);
  id.writeUInt32BE(head.id, 1);
  const wide = Buffer.concat([frame.subarray(0, head.idAt), id, frame.subarray(head.idEnd)]);
  wide.writeUInt32BE(wide.length, 0);
  return wide;
}

describe('fuzz', () => {
  test('valid streams: any split tells the same, and packets encode to their own bytes', () => {
    const random = generator(seed);
    for (let round = 0; round < 400; round++) {
      const role = round % 2 === 0 ? 'server' : 'client';
      const frames = Array.from({ length: 1 + random(12) }, () => (role === 'server' ? randomRequest : randomReply)(random, round % 8 < 2));
      const bytes = Buffer.concat(frames);
      const options = { role, ping: 'forward' } as const;
      const whole = decodeAll(bytes, options);
      assert.equal(whole.errors, 0, `round ${round}: ${whole.lines.at(-1)}`);
      assert.equal(whole.lines.length, frames.length);
      const expected = Buffer.concat(role === 'server' ? frames.map(widened) : frames);
      assert.ok(whole.again.take().equals(expected), `round ${round}`);
      const split = decodeCut(bytes, randomCuts(random, bytes.length), options);
      assert.deepEqual(split.lines, whole.lines, `round ${round}`);
      assert.ok(split.again.take().equals(expected), `round ${round}`);
    }
  });

  test('damaged streams: no throw, one error at most and at the end, the same for any split', () => {
    const random = generator(seed + 1);
    let errors = 0;
    for (let round = 0; round < 4000; round++) {
      const role = round % 2 === 0 ? 'server' : 'client';
      const bytes = Buffer.concat(Array.from({ length: 1 + random(5) }, () => (role === 'server' ? randomRequest : randomReply)(random, false)));
      damage(random, bytes);
      const options = { role, max_frame: random(3) === 0 ? 400 : 1 << 24 } as const;
      const whole = decodeAll(bytes, options);
      assert.ok(whole.errors <= 1);
      if (whole.errors === 1) assert.match(whole.lines.at(-1)!, /^error/);
      errors += whole.errors;
      const split = decodeCut(bytes, randomCuts(random, bytes.length), options);
      assert.deepEqual(split.lines, whole.lines, `round ${round}`);
    }
    assert.ok(errors > 400 && errors < 4000, `${errors} of 4000 found malformed`);
  });

  test('noise: no throw, nothing read beyond the end', () => {
    const random = generator(seed + 2);
    const plausible = [0x10, 1, 0x2c, 0x3c, 0x4c, 0x5c, 0x56, 0x66, 0x7d, 0x6d, 0x98, 0, 0x0c];
    for (let round = 0; round < 4000; round++) {
      const bytes = Buffer.from(Array.from({ length: 4 + random(80) }, () => (random(4) === 0 ? random(256) : plausible[random(plausible.length)]!)));
      if (round % 2 === 0) bytes.writeUInt32BE(random(bytes.length + 20), 0);
      for (const role of ['server', 'client'] as const) {
        const whole = decodeAll(bytes, { role });
        assert.deepEqual(decodeCut(bytes, randomCuts(random, bytes.length), { role }).lines, whole.lines);
      }
      new TarsProtocol().match(bytes, 0, bytes.length);
      new TarsProtocol().probe({}).judge(bytes, 0, bytes.length);
      const end = random(bytes.length + 1);
      const next = skipField(bytes, 0, end);
      assert.ok(next === -1 || next <= end);
    }
  });

  test('edits of random heads: found again in a packet that decodes', () => {
    const random = generator(seed + 3);
    const names = ['user', 'a', 'new', ':service', ':rpc-method', 'x-ü', 'STATUS_DYED_KEY', ''];
    let refusals = 0;
    for (let round = 0; round < 2000; round++) {
      const reply = random(2) === 0;
      const role = reply ? 'client' : 'server';
      const frame = (reply ? randomReply : randomRequest)(random, round % 200 === 0);
      if (random(4) === 0) {
        // Damage in the maps, most often; what no longer decodes is another test's.
        frame[frame.length - 1 - random(Math.min(60, frame.length - 8))] = random(256);
        if (decodeAll(frame, { role, ping: 'forward' }).heads.length !== 1) continue;
      }
      const head = headOf(frame, role);
      const before = head.length;
      const expected = new Map<string, string | undefined>();
      for (let n = random(6); n > 0 && head.refused === null; n--) {
        const name = names[random(names.length)]!;
        const part = name.startsWith(':');
        const value = 'v'.repeat(random(10) === 0 ? random(70_000) : random(20));
        const removes = random(3) === 0;
        if (removes) head.remove(headerName(name));
        else head.set(headerName(name), value);
        if (head.refused === null && !(part && head.response)) expected.set(name, removes ? undefined : value);
      }
      if (random(3) === 0) head.setBody(pattern(random(1000)));
      if (head.refused !== null) refusals++;
      const out = new BlockOutput();
      if (reply) new TarsCodec('server').encodeReply(out, head, 70_000, true);
      else new TarsCodec('client').encodeRequest(out, head, 70_000, true);
      const again = headOf(out.take(), role);
      assert.equal(again.id, 70_000);
      assert.equal(again.length, head.length);
      if (!head.edited) assert.equal(again.length, before);
      assert.equal(again.timeout, head.timeout);
      for (const [name, value] of expected) assert.equal(again.get(headerName(name)) ?? '', value ?? '', `round ${round}: ${name}`);
    }
    assert.ok(refusals > 10 && refusals < 1000, `${refusals} refused`);
  });
});
