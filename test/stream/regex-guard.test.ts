// Regular expressions of the configuration: anchoring, and refusal of those that a request could make run for long.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GuardedRegex, guardedRegex, MAX_PATTERN } from '../../src/stream/regex-guard.js';

function made(source: string, options = {}): GuardedRegex {
  const regex = guardedRegex(source, options);
  assert.ok(regex instanceof GuardedRegex, String(regex));
  return regex;
}

describe('a guarded regular expression', () => {
  test('must match the whole text', () => {
    const regex = made('/a|/b');
    assert.deepEqual(['/a', '/b', '/ab', '/a/', 'x/a', '/A'].map((t) => regex.test(t)), [true, true, false, false, false, false]);
    assert.equal(made('/a', { ignoreCase: true }).test('/A'), true);
  });

  test('replaces the part that matches', () => {
    const regex = made('^/v(\\d+)/(?<rest>[a-z]+)', { whole: false });
    assert.equal(regex.replace('/v2/users/7', '/api/$<rest>/v$1'), '/api/users/v2/7');
    assert.equal(regex.replace('/other', '/api'), '/other');
  });

  for (const source of ['/[^/]+/x/[^/]+/y/[^/]+/z/[^/]+', '(?:/[a-z]+)*', '(?:\\d+,)*\\d+', '(foo|bar)+', '.*\\.(png|jpe?g)', '/api/v[12]/.*', '(ab)+', '[a-z]{2,8}(-[a-z]{2,8})*', '\\/users\\/(\\d+)(\\/.*)?', '(a{3})+']) {
    test(`accepts ${source}`, () => void made(source));
  }

  const refused: [string, RegExp][] = [
    ['(a+)+', /without repetition inside/],
    ['(a*)*', /without repetition inside/],
    ['([a-z]+)*x', /without repetition inside/],
    ['(?:\\w+\\s?)*', /without repetition inside/],
    ['(a?b?)*', /without repetition inside/],
    ['(a|a)*', /without repetition inside/],
    ['(a|ab)*', /without repetition inside/],
    ['(\\w|a)+', /without repetition inside/],
    ['(/.*)*', /without repetition inside/],
    ['((a|b)*)*', /without repetition inside/],
    ['(a+){2,50}', /without repetition inside/],
    ['.*.*.*.*x', /at most 3 repetitions/],
    ['(.*)(.*)(.*)(.*)', /at most 3 repetitions/],
    ['(a)\\1', /without references/],
    ['(', /a regular expression \(/],
    ['a'.repeat(MAX_PATTERN + 1), /at most 512 characters/],
  ];
  for (const [source, why] of refused) {
    test(`refuses ${source.slice(0, 30)}`, () => {
      const regex = guardedRegex(source);
      assert.equal(typeof regex, 'string', `${source} was accepted`);
      assert.match(String(regex), why);
    });
  }

  test('looks at no text that is too long for it', () => {
    const one = made('a*');
    assert.equal(one.test('a'.repeat(2048)), true);
    assert.equal(one.test('a'.repeat(2049)), false);
    assert.equal(made('.*a.*b.*').maxSubject, 256);
    assert.equal(made('.*a.*b.*').test(`${'x'.repeat(300)}ab`), false);
    assert.equal(made('a', { whole: false }).replace('a'.repeat(3000), 'b').startsWith('a'), true);
  });
});
