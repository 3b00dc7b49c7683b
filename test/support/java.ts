// Starts Java programs of the tests: jars by Maven, sources under test/peers/java, commands over standard input, lines of output to wait for.
//
//   const java = prepareJava('test/peers/java/sofa');            // pom.xml and *.java there; {skip: why} where it cannot be had
//   const server = new JavaProgram(java, 'com.example.Server', [port]);
//   await server.waitFor(/^listening/);                           // any program: a line of its standard output
//   await server.ready;                                           // programs that call Commands.ready()
//   assert.equal(await server.run('greet', 'Ann'), 'hello Ann');  // programs that call Commands.serve(...)
//   await server.stop();
import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/** Time a program has until it says a line that is waited for, ms; a JVM beside a busy machine takes many seconds to start. */
const LINE_LIMIT_MS = 60_000;

export interface JavaClasses {
  /** For `java -cp`. */
  readonly classPath: string;
}

export interface NoJava {
  /** Why there are no classes; for the `skip` option of a test. */
  readonly skip: string;
}

/**
 * The jars that `pom`/pom.xml names, and the classes of the *.java in `sources` (folders and files; the folder of the pom when none is
 * named, so that the same programs can run with several versions of a library), with Commands.java. Paths are relative to the root of
 * the checkout. They are made at the first call, which may take minutes, and kept under node_modules/.cache. Throws when the sources do
 * not compile.
 */
export function prepareJava(pom: string, ...sources: readonly string[]): JavaClasses | NoJava {
  const { status, stdout, stderr } = spawnSync(process.execPath, [resolve('scripts/peers-java.mjs'), pom, ...sources], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout) as JavaClasses | NoJava;
}

interface Waiting {
  readonly done: (text: string) => void;
  readonly failed: (error: Error) => void;
}

interface Watching extends Waiting {
  readonly matches: (line: string) => boolean;
  readonly timer: NodeJS.Timeout;
}

/**
 * One Java process, its working and home directory a temporary one. A program that reads its standard input to the end, as Commands.serve
 * does, ends with this process at the latest; another one is to be stopped, for instance by `t.after(() => program.stop())`.
 */
export class JavaProgram {
  /** Settles when the program prints the line "ready", as Commands.ready does; rejects when it ends before, or after a minute. */
  readonly ready: Promise<void>;
  /** Resolves when it has ended, however. */
  readonly exited: Promise<void>;
  /** Lines of its standard output so far. */
  readonly lines: string[] = [];
  /** What it logged. */
  stderr = '';
  private readonly main: string;
  private readonly child: ChildProcess;
  private readonly home: string;
  private readonly commands = new Map<string, Waiting>();
  private readonly watching = new Set<Watching>();
  private over = '';
  private next = 1;

  /** `main`: the class with its package; `options`: of the JVM. */
  constructor(java: JavaClasses, main: string, args: ReadonlyArray<string | number> = [], options: readonly string[] = []) {
    this.main = main;
    // Libraries write logs and caches below the home directory.
    this.home = mkdtempSync(join(tmpdir(), 'sluice-java-'));
    const all = ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xmx256m', `-Duser.home=${this.home}`, ...options, '-cp', java.classPath, main, ...args.map(String)];
    this.child = spawn('java', all, { cwd: this.home, stdio: ['pipe', 'pipe', 'pipe'] });
    this.child.stdin!.on('error', () => {});
    this.child.stderr!.on('data', (d: Buffer) => (this.stderr += d.toString()));
    let rest = '';
    this.child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop()!;
      for (const line of lines) this.read(line);
    });
    this.exited = new Promise((resolve) => {
      this.child.on('error', (error) => resolve(this.end(`could not be started (${error.message})`)));
      this.child.on('close', (code, signal) => resolve(this.end(`ended (${signal ?? code})`)));
    });
    this.ready = this.waitFor('ready').then(() => {});
    this.ready.catch(() => {});
  }

  private end(why: string): void {
    this.over = why;
    for (const { failed } of [...this.commands.values(), ...this.watching]) failed(new Error(`${this.main} ${why}:\n${this.stderr}`));
    this.commands.clear();
    rmSync(this.home, { recursive: true, force: true });
  }

  private read(line: string): void {
    this.lines.push(line);
    for (const one of [...this.watching]) if (one.matches(line)) one.done(line);
    const [id, outcome, ...text] = line.split('\t');
    const waiting = this.commands.get(id!);
    // Libraries print to standard output too.
    if (waiting === undefined || (outcome !== 'ok' && outcome !== 'error')) return;
    this.commands.delete(id!);
    if (outcome === 'ok') waiting.done(text.join('\t'));
    else waiting.failed(new Error(text.join('\t')));
  }

  /**
   * The first line of standard output, printed already or to come, that is `wanted` or matches it. Rejects with what the program logged
   * when it ends before, or after `limit` ms.
   */
  waitFor(wanted: string | RegExp, limit = LINE_LIMIT_MS): Promise<string> {
    const matches = (line: string): boolean => (typeof wanted === 'string' ? line === wanted : line.search(wanted) !== -1);
    const found = this.lines.find(matches);
    if (found !== undefined) return Promise.resolve(found);
    if (this.over !== '') return Promise.reject(new Error(`${this.main} ${this.over} before it printed ${wanted}:\n${this.stderr}`));
    return new Promise((resolve, reject) => {
      const settled = (): void => {
        clearTimeout(one.timer);
        this.watching.delete(one);
      };
      const one: Watching = {
        matches,
        done: (line) => {
          settled();
          resolve(line);
        },
        failed: (error) => {
          settled();
          reject(error);
        },
        timer: setTimeout(() => one.failed(new Error(`${this.main} did not print ${wanted} within ${limit} ms:\n${this.stderr}`)), limit).unref(),
      };
      this.watching.add(one);
    });
  }

  /** The outcome of a command; rejects with what Java threw, causes included. For programs that call Commands.serve. */
  run(verb: string, ...args: ReadonlyArray<string | number>): Promise<string> {
    if (this.over !== '') return Promise.reject(new Error(`${this.main} ${this.over}`));
    const id = String(this.next++);
    return new Promise((done, failed) => {
      this.commands.set(id, { done, failed });
      this.child.stdin!.write(`${[id, verb, ...args].join('\t')}\n`);
    });
  }

  kill(signal: NodeJS.Signals = 'SIGKILL'): void {
    this.child.kill(signal);
  }

  /** Kills it, and waits until it is gone. */
  async stop(): Promise<void> {
    this.kill();
    await this.exited;
  }
}
