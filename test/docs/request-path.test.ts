// docs/request-path.md says what the code does: the same phases in the same order, reasons that exist, files that are there.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { isReasonCode } from '../../src/core/reason.js';
import { PHASES } from '../../src/stream/phases.js';

const path = readFileSync('docs/request-path.md', 'utf8');

describe('docs/request-path.md', () => {
  const rows = [...path.matchAll(/^\| `([a-z-]+)` \| (.*) \| (.*) \|$/gm)].map(([, phase, , reasons]) => ({ phase: phase!, reasons: reasons! }));

  test('has the phases of the code, in order, in the table and in the picture', () => {
    assert.deepEqual(rows.map((row) => row.phase), [...PHASES]);
    const picture = /```\n([^]*?)```/.exec(path)![1]!;
    const forward = PHASES.filter((phase) => phase !== 'retry');
    const drawn = [...picture.matchAll(/[a-z-]+(?: > [a-z-]+)+/g)].flatMap(([line]) => line.split(' > '));
    assert.deepEqual(drawn, forward);
    assert.ok(picture.includes('retry'));
  });

  test('names only reasons that exist', () => {
    const named = rows.flatMap((row) => [...row.reasons.matchAll(/`([a-z-]+)`/g)].map(([, code]) => code!));
    assert.ok(named.length > 20);
    assert.deepEqual(named.filter((code) => !isReasonCode(code)), []);
  });

  test('names only files that are there', () => {
    for (const [, file] of path.matchAll(/`(src\/[\w/.-]+)`/g)) assert.ok(existsSync(file!), file);
  });
});

describe('every document', () => {
  const documents = ['README.md', ...['docs', 'docs/decisions'].flatMap((folder) => readdirSync(folder).filter((name) => name.endsWith('.md')).map((name) => join(folder, name)))];

  for (const file of documents) {
    test(`${file} leads only to what is there`, () => {
      for (const [, target] of readFileSync(file, 'utf8').matchAll(/\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)/g)) assert.ok(existsSync(join(dirname(file), target!)), `${file}: ${target}`);
    });
  }

  test('of a decision is numbered, short, and of one form', () => {
    const names = readdirSync('docs/decisions').filter((name) => name !== 'README.md').sort();
    assert.ok(names.length >= 8);
    for (const [i, name] of names.entries()) {
      const number = String(i + 1).padStart(3, '0');
      assert.match(name, new RegExp(`^${number}-[a-z0-9-]+\\.md$`));
      const text = readFileSync(join('docs/decisions', name), 'utf8');
      assert.match(text, new RegExp(`^# ${number} [A-Z]`));
      for (const part of ['## Problem', '## Decision', '## Price']) assert.ok(text.includes(`\n${part}\n`), `${name}: ${part}`);
      assert.ok(text.split('\n').length <= 45, `${name} is longer than half a page`);
    }
  });
});
