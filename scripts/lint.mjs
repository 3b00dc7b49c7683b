// Runs oxlint with its rules that need types; a warning counts as an error.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root } from './fresh.mjs';

/** True if nothing was found. */
export function lint() {
  const oxlint = join(root, 'node_modules/oxlint/bin/oxlint');
  const folders = ['src', 'test', 'bench', 'scripts'].filter((folder) => existsSync(join(root, folder)));
  const args = [oxlint, '--type-aware', '--deny-warnings', '--report-unused-disable-directives', ...folders];
  return spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' }).status === 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = lint() ? 0 : 1;
