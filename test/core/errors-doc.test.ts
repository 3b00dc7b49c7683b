// docs/errors.md is what the table of reasons says; `node scripts/docs-errors.mjs` makes it so.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { errorsDocument, explain } from '../../src/core/explain.js';
import { catalog } from '../../src/catalog.js';
import { replyColumns } from '../../src/stream/reply-columns.js';

test('docs/errors.md is up to date', () => {
  assert.equal(readFileSync('docs/errors.md', 'utf8'), errorsDocument(replyColumns(catalog)), 'run node scripts/docs-errors.mjs');
});

test('explain says what each protocol replies', () => {
  assert.match(explain('request-timeout', replyColumns(catalog)), /HTTP 504[\s\S]*bolt +status 7/);
});
