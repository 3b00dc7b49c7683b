// `node scripts/peers-java.mjs POM_FOLDER [SOURCES...]`: gets the jars that a pom.xml names and compiles Java programs of the tests against them.
//
// Prints {"classPath"} or, where there is no JDK, no Maven or no way to the jars, {"skip": why}. Everything lands in node_modules/.cache, so
// the second call is quick. Sources are folders and files, by default the folder of the pom; Commands.java is compiled with them. There may be none.
// As root on Debian and its like a missing JDK or Maven is installed by apt-get, unless SLUICE_INSTALL_PEERS=0 says not to.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { filesUnder, hashOf, root } from './fresh.mjs';

const cache = join(root, 'node_modules/.cache/peers/java');
const commands = 'test/peers/java/Commands.java';
const MINUTE = 60_000;

/** Ends after `timeout` ms at the latest. */
function run(command, args, timeout) {
  const { status, error, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', timeout, env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } });
  return { ok: status === 0, text: `${stdout ?? ''}${stderr ?? ''}${error?.message ?? ''}`.trim() };
}

/** '' or why there is no JDK and Maven. */
function tools() {
  const missing = ['javac', 'java', 'mvn'].filter((name) => !run(name, [name === 'mvn' ? '-v' : '-version'], MINUTE).ok);
  if (missing.length === 0) return '';
  const without = `${missing.join(' and ')} not found`;
  if (process.env.SLUICE_INSTALL_PEERS === '0' || process.getuid?.() !== 0) return `${without} (as root they would be installed by apt-get, unless SLUICE_INSTALL_PEERS=0)`;
  const packages = [...(missing.includes('mvn') ? ['maven'] : []), ...(missing.some((name) => name !== 'mvn') ? ['default-jdk-headless'] : [])];
  const install = ['-o', 'DPkg::Lock::Timeout=120', 'install', '-y', '-q', '--no-install-recommends', ...packages];
  process.stderr.write(`${without}: apt-get install ${packages.join(' ')}\n`);
  if (run('apt-get', install, 4 * MINUTE).ok || (run('apt-get', ['update', '-q'], MINUTE).ok && run('apt-get', install, 4 * MINUTE).ok)) return '';
  return `${without}, and apt-get could not install ${packages.join(' and ')}`;
}

/** Fills `folder` by `fill`, completely or not at all; '' or why not. */
function make(folder, fill) {
  if (existsSync(folder)) return '';
  mkdirSync(cache, { recursive: true });
  const draft = mkdtempSync(join(cache, 'draft-'));
  try {
    const problem = fill(draft);
    if (problem !== '') return problem;
    try {
      renameSync(draft, folder);
    } catch (error) {
      // Another process was faster, with the same.
      if (!existsSync(folder)) throw error;
    }
    return '';
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

function prepare(poms, sources) {
  const pom = join(poms, 'pom.xml');
  if (!existsSync(join(root, pom))) throw new Error(`${pom} does not exist`);
  const files = [...sources.flatMap(filesUnder).filter((file) => file.endsWith('.java')), commands];
  const jars = join(cache, `jars-${hashOf([pom]).slice(0, 16)}`);
  const classes = join(cache, `classes-${hashOf([pom, ...files]).slice(0, 16)}`);
  const classPath = [classes, join(jars, '*')].join(delimiter);
  if (existsSync(jars) && existsSync(classes) && run('java', ['-version'], MINUTE).ok) return { classPath };
  const skip = tools();
  if (skip !== '') return { skip };
  const got = make(jars, (folder) => {
    const copied = run('mvn', ['-q', '-B', '-f', join(root, pom), 'dependency:copy-dependencies', '-DincludeScope=runtime', `-DoutputDirectory=${folder}`], 4 * MINUTE);
    return copied.ok ? '' : `Maven could not get the jars of ${pom}: ${copied.text.split('\n').find((line) => line.includes('ERROR')) ?? copied.text}`;
  });
  if (got !== '') return { skip: got };
  // The sources are ours: not compiling is a failure, not a reason to skip.
  const failed = make(classes, (folder) => {
    const compiled = run('javac', ['-nowarn', '-encoding', 'UTF-8', '-cp', join(jars, '*'), '-d', folder, ...files.map((file) => join(root, file))], 2 * MINUTE);
    return compiled.ok ? '' : compiled.text;
  });
  if (failed !== '') throw new Error(failed);
  return { classPath };
}

const [poms, ...sources] = process.argv.slice(2);
if (poms === undefined) throw new Error('the folder of a pom.xml is expected, relative to the root of the checkout');
process.stdout.write(`${JSON.stringify(prepare(poms, sources.length === 0 ? [poms] : sources))}\n`);
