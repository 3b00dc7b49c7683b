// Compiled code is kept beside the bundle for the next start where Node can do that; where it cannot be written, all works without it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import * as nodeModule from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';

const can = 'enableCompileCache' in nodeModule;
const skip = existsSync('dist/.stamp') ? false : 'not built: npm run build';

/** A copy of the bundle, so that this test's processes keep nothing beside the real one. */
function bundle(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bundle-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const dist = join(folder, 'dist');
  mkdirSync(dist);
  writeFileSync(join(folder, 'package.json'), '{"type": "module", "version": "1.2.3"}');
  for (const name of readdirSync('dist')) if (name.endsWith('.js')) copyFileSync(join('dist', name), join(dist, name));
  return dist;
}

/** Starts with an empty configuration, waits for the greeting, ends it by SIGTERM; its exit code. */
async function life(dist: string): Promise<number | null> {
  const config = join(dist, 'empty.yaml');
  if (!existsSync(config)) writeFileSync(config, 'admin: false\nworkers: 1\n');
  const { NODE_COMPILE_CACHE: _, ...env } = process.env;
  const child = spawn(process.execPath, [join(dist, 'sluice.js'), 'start', '-c', config, '--no-watch'], { env, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString();
    if (said.includes('runs as process')) child.kill('SIGTERM');
  });
  const [code] = (await once(child, 'close')) as [number | null];
  assert.match(said, /sluice 1\.2\.3 runs as process/);
  return code;
}

const filesIn = (folder: string): string[] => (readdirSync(folder, { recursive: true }) as string[]).sort();

describe('compiled code', { skip, timeout: 120_000 }, () => {
  test('is kept by the first start and used by the second', { skip: can ? false : `Node ${process.version} cannot keep it` }, async (t) => {
    const dist = bundle(t);
    assert.equal(await life(dist), 0);
    const kept = filesIn(join(dist, '.cache'));
    assert.ok(kept.length > 3, kept.join());
    assert.equal(await life(dist), 0);
    assert.deepEqual(filesIn(join(dist, '.cache')), kept, 'nothing was compiled anew');
  });

  test('is not needed', async (t) => {
    const dist = bundle(t);
    writeFileSync(join(dist, 'empty.yaml'), 'admin: false\nworkers: 1\n');
    // Not even root can make a folder where a file is.
    writeFileSync(join(dist, '.cache'), 'in the way');
    assert.equal(await life(dist), 0);
  });
});
