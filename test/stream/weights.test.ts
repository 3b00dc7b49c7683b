// Weighted choice: exact shares in every window, spread evenly.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { WeightedChoice } from '../../src/stream/weights.js';

function draws(weights: Record<string, number>, count: number): string[] {
  const choice = new WeightedChoice(Object.entries(weights).map(([value, weight]) => ({ value, weight })));
  return Array.from({ length: count }, () => choice.draw());
}

const countOf = (list: readonly string[], value: string): number => list.filter((v) => v === value).length;

describe('a weighted choice', () => {
  const cases: Record<string, number>[] = [{ a: 5, b: 1, c: 1 }, { a: 1, b: 1 }, { a: 90, b: 10 }, { a: 3, b: 7, c: 11, d: 2 }, { a: 1 }, { a: 99, b: 1 }];
  for (const weights of cases) {
    const total = Object.values(weights).reduce((sum, w) => sum + w, 0);
    test(`gives exact shares in every window of ${total} draws by ${JSON.stringify(weights)}`, () => {
      const list = draws(weights, total * 3);
      for (let start = 0; start + total <= list.length; start++) {
        const window = list.slice(start, start + total);
        for (const [value, weight] of Object.entries(weights)) assert.equal(countOf(window, value), weight, `window at ${start}`);
      }
    });
  }

  test('spreads the shares instead of giving them in blocks', () => {
    assert.deepEqual(draws({ a: 5, b: 1, c: 1 }, 7), ['a', 'a', 'b', 'a', 'c', 'a', 'a']);
  });

  test('never gives a value of weight 0', () => {
    assert.deepEqual(draws({ none: 0, a: 1, zero: 0 }, 5), ['a', 'a', 'a', 'a', 'a']);
  });

  test('begins the same each time', () => {
    assert.deepEqual(draws({ a: 2, b: 3 }, 10), draws({ a: 2, b: 3 }, 10));
  });

  test('refuses weights that cannot be shared out', () => {
    assert.throws(() => draws({ a: 0 }, 1), RangeError);
    assert.throws(() => draws({}, 1), RangeError);
    assert.throws(() => draws({ a: 0.5, b: 0.5 }, 1), RangeError);
  });
});
