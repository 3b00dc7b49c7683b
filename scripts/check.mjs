// `npm run check`: types, lint, and the tests of the import layers and of the catalog.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { compile } from './compile.mjs';
import { root } from './fresh.mjs';
import { lint } from './lint.mjs';

const typed = compile();
const linted = lint();
if (!typed || !linted) process.exit(1);
const tests = [join(root, 'scripts/test.mjs'), 'test/layers.test', 'test/catalog.test'];
process.exit(spawnSync(process.execPath, tests, { cwd: root, stdio: 'inherit' }).status ?? 1);
