// The balancers: exact and even turns by weight, live changes, and random choices in proportion.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { Manifest } from '../../../src/core/manifest.js';
import { randomInt, setRandom } from '../../../src/core/random.js';
import type { Balancer, BalancerManifest } from '../../../src/network/upstream/balancer.js';
import type { Host } from '../../../src/network/upstream/host.js';
import { manifests } from './fixture.js';

interface FakeHost {
  name: string;
  share: number;
  active: number;
}

const hosts = (...shares: number[]): Host[] => shares.map((share, i) => ({ name: String.fromCharCode(97 + i), share, active: 0 }) as FakeHost as unknown as Host);
const nameOf = (host: Host | null): string => (host as unknown as FakeHost | null)?.name ?? '-';

function make(name: string, list: readonly Host[], options: object = {}): Balancer {
  const manifest = manifests.find((m: Manifest) => m.kind === 'balancer' && m.name === name) as BalancerManifest;
  const balancer = manifest.create({ ...(manifest.schema.parse(options) as object), type: name });
  balancer.update(list);
  return balancer;
}

const run = (balancer: Balancer, n: number): string => Array.from({ length: n }, () => nameOf(balancer.pick(0))).join('');

function count(sequence: string): Record<string, number> {
  const found: Record<string, number> = {};
  for (const c of sequence) found[c] = (found[c] ?? 0) + 1;
  return found;
}

let undo = (): void => {};
beforeEach(() => {
  undo = setRandom(7);
});
afterEach(() => undo());

describe('weighted', () => {
  test('gives each host exactly its weight in any run as long as the sum of the weights', () => {
    for (let round = 0; round < 60; round++) {
      const shares = Array.from({ length: 1 + randomInt(12) }, () => 1 + randomInt(round % 2 === 0 ? 5 : 300));
      const total = shares.reduce((a, b) => a + b);
      const list = hosts(...shares);
      const balancer = make('weighted', list);
      const sequence = run(balancer, total * 3 + 17);
      const window = new Map<string, number>();
      for (let i = 0; i < sequence.length; i++) {
        window.set(sequence[i]!, (window.get(sequence[i]!) ?? 0) + 1);
        if (i < total - 1) continue;
        for (const [k, host] of list.entries()) assert.equal(window.get(nameOf(host)) ?? 0, shares[k], `${shares.join()} at ${i}`);
        const leaving = sequence[i - total + 1]!;
        window.set(leaving, window.get(leaving)! - 1);
      }
    }
  });

  test('spreads the turns of a heavy host between those of the others', () => {
    const twice = run(make('weighted', hosts(5, 1, 1)), 14);
    assert.ok(!/a{5}/.test(twice), twice);
    assert.ok(!/[^a]{3}/.test(twice), twice);
    // Never two turns from what is due, over many hosts.
    const shares = [17, 9, 5, 3, 2, 1, 1];
    const sequence = run(make('weighted', hosts(...shares)), 38 * 2);
    for (let from = 0; from < 38; from++) {
      for (const length of [5, 11, 23]) {
        const seen = count(sequence.slice(from, from + length));
        for (const [k, share] of shares.entries()) {
          const due = (length * share) / 38;
          assert.ok(Math.abs((seen[String.fromCharCode(97 + k)] ?? 0) - due) < 2, `${sequence} from ${from} length ${length}`);
        }
      }
    }
  });

  test('is a plain turn with equal weights, however large', () => {
    const sequence = run(make('weighted', hosts(100, 100, 100)), 9);
    assert.match(sequence, /^(abc){3}$|^(bca){3}$|^(cab){3}$/);
  });

  test('follows a changed weight at once and exactly', () => {
    const list = hosts(1, 1, 8);
    const balancer = make('weighted', list);
    run(balancer, 13);
    (list[2] as unknown as FakeHost).share = 2;
    balancer.update([...list]);
    assert.deepEqual(count(run(balancer, 40)), { a: 10, b: 10, c: 20 });
    balancer.update(list.slice(0, 2));
    assert.deepEqual(count(run(balancer, 10)), { a: 5, b: 5 });
    balancer.update([]);
    assert.equal(balancer.pick(0), null);
    balancer.update(list);
    assert.deepEqual(count(run(balancer, 4)), { a: 1, b: 1, c: 2 });
  });

  test('does not begin anew when it is told what it knows', () => {
    const list = hosts(3, 2, 1);
    const told = make('weighted', list);
    undo();
    undo = setRandom(7);
    const alone = make('weighted', list);
    let a = '';
    let b = '';
    for (let i = 0; i < 24; i++) {
      told.update([...list]);
      a += run(told, 1);
      b += run(alone, 1);
    }
    assert.equal(a, b);
  });

  test('begins at different places, so that workers do not all favour the first host', () => {
    const first = count(Array.from({ length: 200 }, () => run(make('weighted', hosts(2, 1, 1)), 1)).join(''));
    assert.ok(first['a']! > 60 && first['a']! < 140 && first['b']! > 20 && first['c']! > 20, JSON.stringify(first));
  });

  test('stays exact over millions of picks of odd weights', () => {
    const balancer = make('weighted', hosts(999_983, 7, 3));
    const seen = [0, 0, 0];
    for (let i = 0; i < 999_993 * 2; i++) seen[nameOf(balancer.pick(0)).charCodeAt(0) - 97]!++;
    assert.deepEqual(seen, [999_983 * 2, 14, 6]);
  });
});

describe('round_robin', () => {
  test('takes every host in turn, whatever the weights', () => {
    assert.match(run(make('round_robin', hosts(5, 1, 1)), 6), /^(abcabc|bcabca|cabcab)$/);
    assert.equal(make('round_robin', []).pick(0), null);
  });

  test('goes on with the host whose turn it was', () => {
    const list = hosts(1, 1, 1, 1);
    const balancer = make('round_robin', list);
    while (nameOf(balancer.pick(0)) !== 'b');
    balancer.update([list[3]!, list[2]!, list[0]!]);
    assert.equal(run(balancer, 3), 'cad');
    balancer.update([]);
    assert.equal(balancer.pick(0), null);
    balancer.update(list.slice(0, 1));
    assert.equal(run(balancer, 2), 'aa');
  });
});

describe('random', () => {
  test('draws in proportion to the weights', () => {
    const equal = count(run(make('random', hosts(3, 3, 3)), 9000));
    for (const name of 'abc') assert.ok(Math.abs(equal[name]! - 3000) < 200, JSON.stringify(equal));
    const unequal = count(run(make('random', hosts(6, 1, 2)), 9000));
    assert.ok(Math.abs(unequal['a']! - 6000) < 200 && Math.abs(unequal['b']! - 1000) < 150 && Math.abs(unequal['c']! - 2000) < 200, JSON.stringify(unequal));
    assert.equal(make('random', []).pick(0), null);
  });
});

describe('least_request', () => {
  test('takes the less loaded of two', () => {
    const list = hosts(1, 1);
    const balancer = make('least_request', list);
    (list[0] as unknown as FakeHost).active = 3;
    (list[1] as unknown as FakeHost).active = 1;
    const seen = count(run(balancer, 1000));
    // Both are drawn but for the few times that chance draws one host three times over.
    assert.ok(seen['b']! > 850, JSON.stringify(seen));
  });

  test('shares by weight while all are idle, and loads in proportion to the weight', () => {
    const idle = count(run(make('least_request', hosts(3, 1)), 4000));
    assert.ok(Math.abs(idle['a']! - 3000) < 200, JSON.stringify(idle));
    const list = hosts(4, 2, 1, 1);
    const balancer = make('least_request', list, { choices: 3 });
    for (let i = 0; i < 800; i++) (balancer.pick(0) as unknown as FakeHost).active++;
    for (const [k, due] of [400, 200, 100, 100].entries()) {
      const active = (list[k] as unknown as FakeHost).active;
      assert.ok(Math.abs(active - due) < due * 0.1, list.map((h) => h.active).join());
    }
  });

  test('keeps loads closer together than chance does', () => {
    const spread = (name: string): number => {
      const list = hosts(...Array<number>(20).fill(1));
      const balancer = make(name, list);
      for (let i = 0; i < 2000; i++) (balancer.pick(0) as unknown as FakeHost).active++;
      const loads = list.map((h) => h.active);
      return Math.max(...loads) - Math.min(...loads);
    };
    assert.ok(spread('least_request') < 15);
    assert.ok(spread('random') > 20);
  });
});
