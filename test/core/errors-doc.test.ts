// docs/errors.md is what the table of reasons says; `node scripts/docs-errors.mjs` makes it so.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { errorsDocument } from '../../src/core/explain.js';

test('docs/errors.md is up to date', () => {
  assert.equal(readFileSync('docs/errors.md', 'utf8'), errorsDocument(), 'run node scripts/docs-errors.mjs');
});
