// What a descriptor set is refused for, in words that lead to the place, and what of it is served.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { manifest } from '../../../../src/filters/stream/grpc_json/manifest.js';
import { Transcoder, type TranscoderOptions } from '../../../../src/filters/stream/grpc_json/transcoder.js';

const bytes = readFileSync('test/support/shop/shop.binpb');
const options: TranscoderOptions = { services: [], allMethods: false, defaults: false, protoNames: false, enumNumbers: false, ignoreUnknown: false };
/** The set with a text in place of another one of the same length. */
function changed(from: string, to: string): Buffer {
  assert.equal(from.length, to.length);
  const text = bytes.toString('latin1');
  assert.ok(text.includes(from), from);
  return Buffer.from(text.replaceAll(from, to), 'latin1');
}

/** The files of the set, each as it stands there. */
function files(): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    let length = 0;
    let shift = 0;
    let p = at + 1;
    do length |= (bytes[p]! & 127) << (7 * shift++);
    while (bytes[p++]! > 127);
    found.push(bytes.subarray(at, p + length));
    at = p + length;
  }
  return found;
}

describe('a descriptor set', () => {
  test('is put together with all its rules', () => {
    const made = new Transcoder(bytes, options);
    assert.equal(made.size, 12);
    assert.equal(made.find('GET', '/v1/shelves/a/items/b')!.binding.path, '/shop.v1.Shop/Get');
    assert.equal(made.find('POST', '/shop.v1.Shop/Plain'), null);
    const all = new Transcoder(bytes, { ...options, allMethods: true });
    assert.equal(all.size, 12 + 9);
    assert.deepEqual(['Get', 'Plain', 'Chat'].map((name) => all.find('POST', `/shop.v1.Shop/${name}`)!.binding.path), ['/shop.v1.Shop/Get', '/shop.v1.Shop/Plain', '/shop.v1.Shop/Chat']);
  });

  for (const [what, broken, given, message] of [
    ['that is garbage', Buffer.from('not a descriptor set'), {}, /^it is no descriptor set: /],
    ['that is cut', bytes.subarray(0, bytes.length - 7), {}, /^it is no descriptor set: /],
    ['that is empty', Buffer.alloc(0), {}, /none of its services has a method with an HTTP rule/],
    ['without what it imports', files().at(-1)!, {}, /it does not hold all that it imports \(protoc --include_imports\)/],
    ['whose rule names no field in its path', changed('/v1/item/{name}', '/v1/item/{nama}'), {}, /^the rule of shop\.v1\.Shop\.Get: nama of its path is no single field of GetItem that text can set$/],
    ['whose rule names a list in its path', changed('/v1/item/{name}', '/v1/item/{tags}'), {}, /tags of its path is no single field/],
    ['whose rule names a message in its path', changed('/v1/item/{name}', '/v1/item/{part}'), {}, /part of its path is no single field/],
    ['whose path is none', changed('/v1/item/{name}', '/v1/item/{name '), {}, /^the rule of shop\.v1\.Shop\.Get: the path \/v1\/item\/\{name : a \{ without \}$/],
    ['with two methods at one path', changed('/v1/sums', '/v1/chat'), {}, /^the rule of shop\.v1\.Shop\.Chat: POST \/v1\/chat is \/shop\.v1\.Shop\/Add already$/],
    ['without the service that is asked for', bytes, { services: ['shop.v1.Shops'] }, /^it has no service shop\.v1\.Shops; it has shop\.v1\.Shop$/],
  ] as const) {
    test(`${what} is refused`, () => {
      assert.throws(() => new Transcoder(broken, { ...options, ...given }), (error: Error) => message.test(error.message) || assert.fail(error.message));
    });
  }

  test('noise in it is refused or taken, never more than an error', () => {
    let state = 20_261_122;
    const next = (n: number): number => ((state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff) >>> 8) % n;
    for (let round = 0; round < 150; round++) {
      const noisy = Buffer.from(bytes);
      for (let i = 0; i < 3; i++) noisy[next(noisy.length)] = next(256);
      try {
        assert.ok(new Transcoder(noisy, { ...options, allMethods: true }).size > 0);
      } catch (error) {
        assert.ok(error instanceof Error && error.message !== '', `seed 20261122, round ${round}`);
      }
    }
  });
});

describe('the options', () => {
  test('name a file that is seen from a folder, carry what it held, and say what is wrong with it', (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-set-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const config = (descriptor: string): unknown => manifest.absolute!(manifest.schema.parse({ descriptor }), folder);
    assert.match(manifest.faults!(config('none.binpb'))[0]!.text, /cannot read .*none\.binpb: ENOENT$/);
    assert.deepEqual(manifest.faults!(config('none.binpb'))[0]!.path, ['descriptor']);
    writeFileSync(join(folder, 'set.binpb'), bytes);
    const good = config('set.binpb') as { descriptor: string };
    assert.equal(good.descriptor, join(folder, 'set.binpb'));
    assert.deepEqual(manifest.faults!(good), []);
    rmSync(join(folder, 'set.binpb'));
    manifest.create(structuredClone(good));
    writeFileSync(join(folder, 'set.binpb'), 'garbage');
    assert.match(manifest.faults!(config('set.binpb'))[0]!.text, /a descriptor set with HTTP rules: it is no descriptor set/);
    assert.throws(() => manifest.create(config('set.binpb')));
    // Nothing is read where nothing is asked for.
    assert.deepEqual(manifest.faults!(manifest.absolute!(manifest.schema.parse({}), folder)), []);
    assert.deepEqual(manifest.faults!(manifest.absolute!(manifest.schema.parse({ enabled: false, descriptor: 'none.binpb' }), folder)), []);
  });
});
