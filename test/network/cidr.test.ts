// Blocks of addresses and ranges of ports: what lies in them, at every length, and what is none.
import assert from 'node:assert/strict';
import { BlockList, isIP } from 'node:net';
import { describe, test } from 'node:test';
import { Cidr, ParsedAddress, PortRanges } from '../../src/network/cidr.js';

const has = (block: string, address: string): boolean => Cidr.parse(block)!.has(new ParsedAddress().parse(address));

describe('a block', () => {
  test('of every length agrees with Node', () => {
    const seed = Date.now() >>> 0;
    let state = seed;
    const next = (n: number): number => ((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 8) % n;
    const v4 = (): string => Array.from({ length: 4 }, () => (next(3) === 0 ? next(256) : 10)).join('.');
    const v6 = (): string => {
      const groups = Array.from({ length: 8 }, () => (next(3) === 0 ? next(65536) : 0).toString(16));
      return next(2) === 0 ? groups.join(':') : `${groups.slice(0, 3).join(':')}::${groups.slice(6).join(':')}`;
    };
    for (let i = 0; i < 3000; i++) {
      const six = next(2) === 0;
      const [block, address] = six ? [v6(), v6()] : [v4(), v4()];
      const bits = next((six ? 128 : 32) + 1);
      // BlockList takes no prefix of 0, which holds everything of its family.
      const list = new BlockList();
      if (bits > 0) list.addSubnet(block, bits, six ? 'ipv6' : 'ipv4');
      assert.equal(has(`${block}/${bits}`, address), bits === 0 || list.check(address, six ? 'ipv6' : 'ipv4'), `seed ${seed}: ${address} in ${block}/${bits}`);
      assert.equal(isIP(address) !== 0, new ParsedAddress().parse(address).valid);
    }
  });

  test('alone is one address', () => {
    assert.deepEqual([has('10.0.0.1', '10.0.0.1'), has('10.0.0.1', '10.0.0.2'), has('::1', '::1'), has('::1', '::')], [true, false, true, false]);
  });

  test('knows an address in its other forms', () => {
    assert.equal(has('fe80::/10', 'fe80::1%eth0'), true);
    assert.equal(has('10.0.0.0/8', '::ffff:10.1.2.3'), true);
    assert.equal(has('::ffff:0:0/96', '10.1.2.3'), true);
    assert.equal(has('2001:db8::/32', '2001:0DB8:0:0::5'), true);
    assert.equal(has('64:ff9b::/96', '64:ff9b::10.1.2.3'), true);
  });

  test('has nothing that is no address', () => {
    for (const text of ['', 'unix:/path', '10.0.0', '10.0.0.256', 'host', ':::']) assert.equal(has('0.0.0.0/0', text) || has('::/0', text), false, text);
  });

  test('malformed is none', () => {
    for (const text of ['', '10.0.0.0/', '10.0.0.0/33', '10.0.0.0/8/8', '10.0.0.0/x', '10.0.0.0/-1', '::/129', '10.0/8', 'host/8', '/8']) assert.equal(Cidr.parse(text), null, text);
  });
});

describe('ranges of ports', () => {
  test('hold what they say', () => {
    const ranges = PortRanges.parse('80, 443,8000-8999')!;
    assert.deepEqual([79, 80, 81, 443, 7999, 8000, 8500, 8999, 9000].filter((port) => ranges.has(port)), [80, 443, 8000, 8500, 8999]);
    assert.equal(PortRanges.parse('0-65535')!.has(65535), true);
  });

  test('malformed are none', () => {
    for (const text of ['', '80-', '-80', '90-80', '65536', '1,', 'http', '80 81', '1.5']) assert.equal(PortRanges.parse(text), null, text);
  });
});
