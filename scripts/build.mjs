// Bundles what runs: one file per entry point in dist/, with late-loaded parts as chunks of their own.
import { existsSync } from 'node:fs';
import { chmod, mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { build } from 'esbuild';
import { root } from './fresh.mjs';

const entries = { sluice: 'src/main.ts', worker: 'src/worker.ts' };
const hour = 3_600_000;

export async function bundle() {
  const entryPoints = Object.fromEntries(Object.entries(entries).filter(([, file]) => existsSync(join(root, file))));
  const out = join(root, 'dist');
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints,
    outdir: out,
    write: false,
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    sourcemap: true,
    // The same code as ES modules, of which what nobody uses is left out: a start loads and compiles a quarter less of it.
    alias: { yaml: join(root, 'node_modules/yaml/browser/index.js') },
    // Loaded where a descriptor set is read; in a chunk it would be part of what every start parses.
    external: ['protobufjs/*'],
    chunkNames: 'chunk-[name]-[hash]',
    // CommonJS packages inside an ES module bundle still ask for Node's own modules by `require`.
    banner: { js: "import { createRequire as __createRequire } from 'node:module';\nconst require = __createRequire(import.meta.url);" },
    logLevel: 'warning',
  });

  await mkdir(out, { recursive: true });
  const written = new Set();
  // Chunks before the entries that name them, each put in place by a rename: a process that starts meanwhile sees old or new, never half.
  const isEntry = (file) => Object.keys(entryPoints).some((name) => basename(file.path).startsWith(`${name}.js`));
  for (const file of outputFiles.sort((a, b) => Number(isEntry(a)) - Number(isEntry(b)))) {
    const temporary = `${file.path}.${process.pid}.tmp`;
    await writeFile(temporary, file.contents);
    if (file.text.startsWith('#!')) await chmod(temporary, 0o755);
    await rename(temporary, file.path);
    written.add(basename(file.path));
  }
  // A process of the previous build may still load its late chunks, so these stay for an hour.
  for (const name of await readdir(out)) {
    if (written.has(name) || name === '.stamp') continue;
    const path = join(out, name);
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Date.now() }));
    if (!name.startsWith('chunk-') || Date.now() - mtimeMs > hour) await rm(path, { recursive: true, force: true });
  }
}
