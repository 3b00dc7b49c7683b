// Fuzzing of the Dubbo codec with a fixed budget and a printed seed: it never throws, splits do not matter, values are passed over as hessian.js reads them.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BlockOutput } from '../../../../src/core/bytes.js';
import { headerName } from '../../../../src/stream/head.js';
import { DubboCodec } from '../../../../src/stream/protocol/dubbo/codec.js';
import { begin, skip, stringValue } from '../../../../src/stream/protocol/dubbo/hessian.js';
import { DubboProtocol } from '../../../../src/stream/protocol/dubbo/protocol.js';
import { fuzzSeed, generator, type Random } from '../../../support/fuzz.js';
import { captured, capturedNames, failure, frame, heartbeat, oneway, readOnly, reply, request, requestBody, value, values } from './frames.js';
import { decodeAll, decodeCut } from './recorder.js';

const seed = fuzzSeed(20240607);

function text(random: Random): string {
  return ['', 'a', 'été', '😀x', 'y'.repeat(random(70)), 'z'.repeat(random(3000)), 'w'.repeat(random(20) === 0 ? 40_000 + random(60_000) : 5)][random(7)]!;
}

/** What hessian.js can write: every kind of value, nested. */
function randomValue(random: Random, depth = 0): unknown {
  switch (random(depth > 3 ? 8 : 12)) {
    case 0: return null;
    case 1: return random(2) === 0;
    case 2: return random(64) - 20;
    case 3: return random(0xffffffff) - 0x7fffffff;
    case 4: return (random(1000) - 500) / 8;
    case 5: return 2 ** 33 + random(1000);
    case 6: return new Date(random(0x7fffffff) * 1000);
    case 7: return text(random);
    case 8: return Buffer.alloc(random(2000), 7);
    case 9: return Array.from({ length: random(12) }, () => randomValue(random, depth + 1));
    case 10: return Object.fromEntries(Array.from({ length: random(5) }, (_, i) => [`k${i}`, randomValue(random, depth + 1)]));
    default: return { $class: `com.example.C${random(20)}`, $: Object.fromEntries(Array.from({ length: random(5) }, (_, i) => [`f${i}`, randomValue(random, depth + 1)])) };
  }
}

function randomAttachments(random: Random): Record<string, unknown> | null {
  if (random(6) === 0) return null;
  return Object.fromEntries(Array.from({ length: random(8) }, () => [['group', 'a', 'timeout', 'x-ü', 'version', 'path'][random(6)]!, random(5) === 0 ? randomValue(random, 3) : text(random).slice(0, 200)]));
}

const randomId = (random: Random): bigint => (BigInt(random(0xffffffff)) << BigInt(random(40))) | BigInt(random(7));

function randomFrame(random: Random, long: boolean): Buffer {
  const id = randomId(random);
  switch (random(9)) {
    case 0: return heartbeat(id);
    case 1: return random(2) === 0 ? readOnly : frame({ id, flags: 0x22, status: 20, body: Buffer.from('N') });
    case 2: return failure(id, [30, 31, 40, 50, 60, 70, 80, 90, 100][random(9)]!, text(random).slice(0, 500));
    case 3: return reply(BigInt.asUintN(64, id), long && random(6) === 0 ? 'r'.repeat(300_000) : randomValue(random), random(3) === 0 ? null : {});
    case 4: return captured(capturedNames[random(capturedNames.length)]!);
    case 5: return frame({ id, flags: [0xc0 | 6, 0x80 | 22, 0xd7, 0x40, 2][random(5)]!, status: random(110), body: Buffer.alloc(random(50), random(256)) });
    case 6: return oneway({ id, args: [value(randomValue(random))] });
    default: return request({ id, args: Array.from({ length: random(4) }, () => value(randomValue(random))), attachments: randomAttachments(random) as Record<string, unknown> });
  }
}

function randomCuts(random: Random, length: number): number[] {
  return Array.from({ length: random(8) }, () => random(length + 1)).sort((a, b) => a - b);
}

/** Changes that keep much of the stream plausible: single bytes, most often in the first frame's header or names. */
function damage(random: Random, bytes: Buffer): void {
  for (let n = 1 + random(4); n > 0; n--) bytes[random(random(2) === 0 ? Math.min(40, bytes.length) : bytes.length)] = random(3) === 0 ? random(4) : random(256);
}

describe('fuzz', () => {
  test('valid streams: any split tells the same, and requests and replies encode to their own bytes but for the id', () => {
    const random = generator(seed);
    for (let round = 0; round < 250; round++) {
      const frames = Array.from({ length: 1 + random(10) }, () => randomFrame(random, round % 4 === 0));
      const bytes = Buffer.concat(frames);
      const options = { maxWhole: random(2) === 0 ? 2000 : 2 << 20 };
      const whole = decodeCut(bytes, [], 'server', options);
      assert.equal(whole.errors, 0, `round ${round}: ${whole.lines.at(-1)}`);
      const kept = frames.filter((one) => (one[2]! & 0x20) === 0).map((one) => Buffer.from(one));
      kept.forEach((one, i) => one.writeBigUInt64BE(BigInt(i + 1), 4));
      assert.ok(whole.again.take().equals(Buffer.concat(kept)), `round ${round}`);
      const split = decodeCut(bytes, randomCuts(random, bytes.length), 'server', options);
      assert.deepEqual(split.lines, whole.lines, `round ${round}`);
    }
  });

  test('damaged streams: no throw, one error at most and at the end, the same for any split', () => {
    const random = generator(seed + 1);
    let errors = 0;
    for (let round = 0; round < 3000; round++) {
      const bytes = Buffer.concat(Array.from({ length: 1 + random(4) }, () => Buffer.from(randomFrame(random, false)))).subarray(0, 20_000);
      damage(random, bytes);
      const options = { maxFrame: random(3) === 0 ? 400 : 1 << 24, maxWhole: random(3) === 0 ? 300 : 2 << 20 };
      const whole = decodeCut(bytes, [], 'server', options);
      assert.ok(whole.errors <= 1);
      if (whole.errors === 1) assert.match(whole.lines.at(-1)!, /^error/);
      errors += whole.errors;
      const split = decodeCut(bytes, randomCuts(random, bytes.length), 'server', options);
      assert.deepEqual(split.lines, whole.lines, `round ${round}`);
    }
    assert.ok(errors > 200 && errors < 3000, `${errors} of 3000 found malformed`);
  });

  test('noise: no throw, nothing read beyond the end', () => {
    const random = generator(seed + 2);
    for (let round = 0; round < 3000; round++) {
      const bytes = Buffer.from(Array.from({ length: random(80) }, (_, i) => (i === 0 && random(2) === 0 ? 0xda : i === 1 && random(2) === 0 ? 0xbb : random(3) === 0 ? random(256) : random(4))));
      const whole = decodeAll(bytes);
      assert.deepEqual(decodeCut(bytes, randomCuts(random, bytes.length)).lines, whole.lines);
      new DubboProtocol().match(bytes, 0, bytes.length);
      new DubboProtocol().probe({}).judge(bytes, 0, bytes.length);
    }
  });

  test('values that hessian.js writes are passed over to their last byte', () => {
    const random = generator(seed + 3);
    for (let round = 0; round < 1500; round++) {
      const list = Array.from({ length: 1 + random(4) }, () => randomValue(random));
      // Classes that one value defines are another's only within one body.
      for (const one of list) {
        const bytes = value(one);
        const padded = Buffer.concat([bytes, Buffer.from([0x4e])]);
        begin();
        assert.equal(skip(padded, 0, padded.length, 1), bytes.length, `round ${round}: ${JSON.stringify(one)?.slice(0, 200)}`);
        for (let n = Math.max(0, bytes.length - 40); n < bytes.length; n++) {
          begin();
          assert.ok(skip(bytes, 0, n, 1) <= n);
        }
      }
    }
  });

  test('strings that we write are those that hessian.js reads', () => {
    const random = generator(seed + 4);
    for (let round = 0; round < 500; round++) {
      const one = text(random) + text(random);
      assert.deepEqual(values(stringValue(one)), [one]);
    }
    for (const n of [0, 31, 32, 1023, 1024, 32_767, 32_768, 32_769, 65_536]) assert.deepEqual(values(stringValue('x'.repeat(n))), ['x'.repeat(n)]);
    assert.deepEqual(values(stringValue(`${'x'.repeat(32_767)}😀`)), [`${'x'.repeat(32_767)}😀`]);
  });

  test('values of noise: passed over or refused, never thrown at, and quickly', () => {
    const random = generator(seed + 5);
    for (let round = 0; round < 20_000; round++) {
      const bytes = Buffer.from(Array.from({ length: random(60) }, () => random(256)));
      begin();
      const end = skip(bytes, 0, bytes.length, 1 + random(3));
      assert.ok(end >= -1 && end <= bytes.length);
    }
    for (const deep of [0x57, 0x79, 0x48]) {
      const bytes = Buffer.alloc(1_000_000, deep);
      begin();
      assert.equal(skip(bytes, 0, bytes.length, 1), -1);
    }
  });

  test('edits of random requests: found again, and the arguments are what they were', () => {
    const random = generator(seed + 6);
    const names = ['group', 'a', 'new', ':service', ':rpc-method', ':version', ':group', 'x-ü', 'timeout'];
    for (let round = 0; round < 1000; round++) {
      const args = Array.from({ length: random(3) }, () => value(randomValue(random)));
      const body = requestBody({ args, attachments: randomAttachments(random) as Record<string, unknown> });
      if (random(4) === 0) damage(random, body);
      const head = decodeAll(request({ body })).heads[0]!;
      const expected = new Map<string, string | undefined>();
      for (let n = random(6); n > 0; n--) {
        const name = names[random(names.length)]!;
        if (random(3) === 0) {
          head.remove(headerName(name));
          if (!name.startsWith(':') || name === ':group') expected.set(name, undefined);
        } else {
          const one = 'v'.repeat(random(10) === 0 ? random(40_000) : random(20));
          head.set(headerName(name), one);
          if (head.refused === null) expected.set(name, one);
        }
        if (name === 'group') expected.delete(':group');
        if (name === ':group') expected.delete('group');
        if (head.refused !== null) break;
      }
      const out = new BlockOutput();
      new DubboCodec('client').encodeRequest(out, head, 1, true);
      const again = decodeAll(out.take());
      assert.equal(again.errors, 0, `round ${round}`);
      assert.equal(again.heads.length, 1);
      assert.equal(again.heads[0]!.length, head.length);
      if (head.refused === null) {
        for (const [name, one] of expected) assert.equal(again.heads[0]!.get(headerName(name)), one, `round ${round}: ${name}`);
        const whole = Buffer.from(again.heads[0]!.bodyBuf);
        if (random(4) === 0 && args.length > 0 && expected.size > 0) assert.ok(whole.includes(args[0]!) || !body.includes(args[0]!), `round ${round}: the first argument`);
      }
    }
  });
});
