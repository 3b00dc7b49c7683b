// `sluice explain`: every code is explained in words of the configuration, an unknown one leads to the nearest.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorsDocument, explain, explainAll } from '../../src/core/explain.js';
import { type ReasonCode, reasons } from '../../src/core/reason.js';

const codes = Object.keys(reasons) as ReasonCode[];

test('every code is explained with sentence, side, retry, reply and advice', () => {
  for (const code of codes) {
    const text = explain(code);
    const reason = reasons[code];
    assert.ok(text.startsWith(`${code}\n`), code);
    assert.match(text, new RegExp(`where    ${reason.where} `), code);
    assert.ok(text.includes(reason.advice), code);
    assert.ok(text.includes(reason.http === 0 ? 'none: the connection is closed' : `HTTP ${reason.http}`), code);
    if (reason.flag !== '-') assert.ok(text.includes(`response flag ${reason.flag} `), code);
    assert.doesNotMatch(text, /%/, `${code}: no placeholder is left`);
  }
});

test('an unknown code leads to the nearest ones', () => {
  const text = explain('connect-refuse');
  assert.match(text, /no reason code "connect-refuse"/);
  assert.match(text, /connect-refused/);
  assert.match(explain('qqqq'), /without a code for all/);
});

test('explainAll has one line per code', () => {
  const lines = explainAll().trimEnd().split('\n');
  assert.deepEqual(lines.map((line) => line.split(' ')[0]), codes);
});

test('the document has one row per code and takes further columns', () => {
  const text = errorsDocument([{ title: 'Bolt', value: (code) => `bolt:${code}` }]);
  for (const code of codes) {
    const rows = text.split('\n').filter((line) => line.startsWith(`| \`${code}\` |`));
    assert.equal(rows.length, 1, code);
    assert.ok(rows[0]!.includes(`| bolt:${code} |`), code);
    assert.equal(rows[0]!.split(/(?<!\\)\|/).length, 9, `${code}: seven cells`);
  }
});
