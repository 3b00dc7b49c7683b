// `npm run bench -- [protocol] [--json]`: compiles and hands the arguments to bench/run.ts.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { compile } from './compile.mjs';
import { root } from './fresh.mjs';

if (!existsSync(join(root, 'bench/run.ts'))) {
  process.stderr.write('bench/run.ts is missing\n');
  process.exit(1);
}
if (!compile()) process.exit(1);
const bench = spawn(process.execPath, ['--enable-source-maps', 'build/bench/run.js', ...process.argv.slice(2)], { cwd: root, stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => bench.kill(signal));
bench.on('exit', (code) => process.exit(code ?? 1));
