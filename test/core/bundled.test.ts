// What the core loads late works in a bundle too, where a CommonJS module has but its default export.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { build } from 'esbuild';

test('JSON logs and the text of a scrape come out of a bundle', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bundle-'));
  try {
    await build({
      stdin: {
        contents: `
          import { configureLog, log } from './src/core/log.ts';
          import { Stats, StatsView } from './src/core/stats.ts';
          import { toPrometheus } from './src/core/stats-prometheus.ts';
          await configureLog({ format: 'json' });
          log.warn({ err: new Error('boom') }, 'from the bundle');
          const stats = new Stats();
          const view = new StatsView();
          view.attachLocal(0, stats);
          stats.counter('bundled_total', 'Bundled.').inc();
          process.stdout.write(await toPrometheus(view));`,
        resolveDir: process.cwd(),
      },
      outfile: join(folder, 'entry.mjs'),
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node20',
      // As scripts/build.mjs does it: bundled CommonJS code calls require.
      banner: { js: "import { createRequire as __createRequire } from 'node:module';\nconst require = __createRequire(import.meta.url);" },
      logLevel: 'silent',
    });
    const { stdout, stderr, status } = spawnSync(process.execPath, [join(folder, 'entry.mjs')], { encoding: 'utf8', timeout: 20_000 });
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^bundled_total 1$/m);
    const line = JSON.parse(stderr) as { msg: string; level: string; err: { message: string } };
    assert.deepEqual([line.level, line.msg, line.err.message], ['warn', 'from the bundle', 'boom']);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
