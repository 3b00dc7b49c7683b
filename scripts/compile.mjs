// Compiles sources, tests and benches to build/ with tsc; a type error fails whoever asked.
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hashOf, isFresh, markFresh, root } from './fresh.mjs';

const stamp = 'build/.stamp';

/** True if build/ now holds what the sources say. */
export function compile() {
  const hash = hashOf(['src', 'test', 'bench', 'tsconfig.json', 'package-lock.json']);
  if (isFresh(stamp, hash)) return true;
  rmSync(join(root, stamp), { force: true });
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  const args = [tsc, '-p', 'tsconfig.json', '--noEmit', 'false', '--outDir', 'build'];
  if (spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' }).status !== 0) return false;
  markFresh(stamp, hash);
  return true;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = compile() ? 0 : 1;
