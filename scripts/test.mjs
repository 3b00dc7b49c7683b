// Runs the tests: `npm test` for all of them after the lint, `npm test -- http1 router` for the files whose path holds one of the words.
//
// Arguments that start with a dash go to Node's test runner (`--test-name-pattern=...`). Tests run from the root of the checkout,
// so that they find `configs/` and `test/frames/` by relative paths. TEST_CONCURRENCY sets how many files run at a time.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { compile } from './compile.mjs';
import { filesUnder, root } from './fresh.mjs';
import { lint } from './lint.mjs';

const words = process.argv.slice(2).filter((argument) => !argument.startsWith('-'));
const flags = process.argv.slice(2).filter((argument) => argument.startsWith('-'));

// The list comes from the sources, not from build/: a deleted test must not live on there. The runner gets files and never a
// folder or a pattern, because Node 20 and 24 read these differently.
const sources = filesUnder('test').filter((file) => file.endsWith('.test.ts'));
const chosen = sources.filter((file) => words.length === 0 || words.some((word) => file.includes(word)));
if (chosen.length === 0) {
  process.stderr.write(`no test file matches ${words.join(', ')}\n`);
  process.exit(1);
}
if (!compile() || (words.length === 0 && !lint())) process.exit(1);

const files = chosen.map((file) => join('build', file.replace(/\.ts$/, '.js')));
const missing = files.filter((file) => !existsSync(join(root, file)));
if (missing.length > 0) {
  process.stderr.write(`not compiled: ${missing.join(', ')}\n`);
  process.exit(1);
}

const runner = spawn(
  process.execPath,
  [
    '--test',
    '--test-reporter=spec',
    `--test-concurrency=${process.env.TEST_CONCURRENCY ?? 2}`,
    '--test-timeout=300000',
    '--enable-source-maps',
    ...flags,
    ...files,
  ],
  { cwd: root, stdio: 'inherit' },
);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => runner.kill(signal));
runner.on('exit', (code, signal) => {
  if (signal) process.stderr.write(`the test runner ended by ${signal}\n`);
  process.exit(code ?? 1);
});
