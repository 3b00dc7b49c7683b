// Is `npm run build`, and runs before start, check, test and bench: installs if the lock file changed, bundles if the sources did. Node built-ins only.
import { spawnSync } from 'node:child_process';
import { hashOf, isFresh, markFresh, root } from './fresh.mjs';

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 15)) {
  process.stderr.write(`sluice needs Node 20.15 or newer (zlib.crc32); this is ${process.versions.node}\n`);
  process.exit(1);
}

const lockStamp = 'node_modules/.sluice-lock';
const lockHash = hashOf(['package-lock.json'], `${process.platform}-${process.arch}`);
if (!isFresh(lockStamp, lockHash)) {
  process.stdout.write('installing packages (npm ci)\n');
  // The bundler is a devDependency: it is needed whatever NODE_ENV says.
  const args = ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'];
  const npm = process.env.npm_execpath;
  const options = { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] };
  const result = npm?.endsWith('.js') ? spawnSync(process.execPath, [npm, ...args], options) : spawnSync('npm', args, options);
  if (result.status !== 0) {
    process.stderr.write(`npm ci failed: ${result.error?.message ?? `exit code ${result.status}`}\n`);
    process.exit(1);
  }
  markFresh(lockStamp, lockHash);
}

const bundleStamp = 'dist/.stamp';
const bundleHash = hashOf(['src', 'package-lock.json', 'tsconfig.json', 'scripts/build.mjs']);
if (!isFresh(bundleStamp, bundleHash)) {
  const { bundle } = await import('./build.mjs');
  await bundle();
  markFresh(bundleStamp, bundleHash);
}
