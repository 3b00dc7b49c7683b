// `sluice wait`, `drain` and `stop`: finds the admin of a running process and asks it.
import { request } from 'node:http';
import { clock } from '../../core/clock.js';
import { formatProblems } from '../../core/config/problem.js';
import { loadFile } from '../../core/config/load.js';
import { type Address, duration, parseAddress, Refusal, showAddress } from '../../core/config/schema.js';
import { readAdmin } from '../model.js';
import type { ReadyState } from '../operations.js';
import type { Command } from './arguments.js';
import { DONE, FAILED, MISUSED, REFUSED, type Surroundings } from './output.js';

const POLL_MS = 200;
const WAIT_MS = 60_000;
const CALL_MS = 10_000;

interface Answer {
  readonly status: number;
  readonly text: string;
}

/** One request to the admin; rejects with the system's error when nobody answers. */
function call(address: Address, method: string, path: string, timeout = CALL_MS): Promise<Answer> {
  const where = address.path === undefined ? { host: address.host, port: address.port } : { socketPath: address.path };
  return new Promise((resolve, reject) => {
    // By IP address or localhost, which every admin answers to.
    const asked = request({ ...where, method, path, timeout, headers: { accept: 'application/json', host: address.path === undefined ? showAddress(address) : 'localhost', connection: 'close' } }, (reply) => {
      let text = '';
      reply.setEncoding('utf8');
      reply.on('data', (chunk: string) => (text += chunk));
      reply.on('end', () => resolve({ status: reply.statusCode ?? 0, text }));
      reply.on('error', reject);
    });
    asked.on('timeout', () => asked.destroy(new Error(`no answer within ${timeout} ms`)));
    asked.on('error', reject);
    asked.end();
  });
}

/** `--admin`, else $ADMIN, else the configuration's, else the default; a number is an exit code, its cause has been told. */
export function findAdmin({ name, options }: Command, to: Surroundings): Address | number {
  const given = options['admin'] ?? (to.env['ADMIN'] === '' ? undefined : to.env['ADMIN']);
  if (typeof given === 'string') {
    const parsed = parseAddress(given);
    if (!(parsed instanceof Refusal)) return reachable(parsed);
    to.err(`sluice ${name}: ${options['admin'] === undefined ? '$ADMIN' : '--admin'} is not ${parsed.expected}${parsed.hint === '' ? '' : ` (${parsed.hint})`}: ${given}\n`);
    return MISUSED;
  }
  const file = options['config'];
  const found = readAdmin(typeof file === 'string' ? loadFile(file, to.env) : null);
  if ('problems' in found) {
    to.err(formatProblems(found.problems));
    return REFUSED;
  }
  if (found.enabled) return reachable(found.address);
  to.err(`sluice ${name}: the admin is turned off in ${String(file)}\n`);
  return FAILED;
}

/** A process that listens on every address is asked on this machine's own. */
function reachable(address: Address): Address {
  if (address.path !== undefined) return address;
  return address.host === '' || address.host === '0.0.0.0' ? { ...address, host: '127.0.0.1' } : address.host === '::' ? { ...address, host: '::1' } : address;
}

/** The time that an option gives in ms; null after telling that it is none. */
function timeOf(command: Command, option: string, to: Surroundings): number | undefined | null {
  const given = command.options[option];
  if (given === undefined) return undefined;
  const parsed = duration().safeParse(given);
  if (parsed.success) return parsed.data;
  to.err(`sluice ${command.name}: --${option} is a duration such as 5s or 500ms, not ${String(given)}\n`);
  return null;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => void clock.setTimeout(resolve, ms));

const messageOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? (error instanceof Error ? error.message : String(error));

export async function wait(command: Command, to: Surroundings): Promise<number> {
  const timeout = timeOf(command, 'timeout', to);
  if (timeout === null) return MISUSED;
  const address = findAdmin(command, to);
  if (typeof address === 'number') return address;
  const end = clock.now() + (timeout ?? WAIT_MS);
  let waiting = '';
  for (;;) {
    const left = end - clock.now();
    try {
      const { status, text } = await call(address, 'GET', '/ready', Math.max(1, Math.min(CALL_MS, left)));
      if (status === 200) return DONE;
      waiting = status === 503 ? `it awaits ${(JSON.parse(text) as ReadyState).waiting.join(', ')}` : `its admin answers ${status}`;
    } catch (error) {
      // A call cut short by the end of the wait says nothing new.
      if (waiting === '' || left >= CALL_MS) waiting = `nobody answers: ${messageOf(error)}`;
    }
    if (clock.now() + POLL_MS >= end) break;
    await pause(POLL_MS);
  }
  to.err(`sluice wait: the process at ${showAddress(address)} is not ready: ${waiting}\n`);
  return FAILED;
}

/** Asks the process to end; then, unless told otherwise, waits until its admin is gone. */
async function end(command: Command, path: string, to: Surroundings): Promise<number> {
  const address = findAdmin(command, to);
  if (typeof address === 'number') return address;
  try {
    const { status, text } = await call(address, 'POST', path);
    if (status !== 202) {
      to.err(`sluice ${command.name}: ${showAddress(address)} answers ${status}: ${text.trim()}\n`);
      return FAILED;
    }
  } catch (error) {
    to.err(`sluice ${command.name}: nobody answers at ${showAddress(address)}: ${messageOf(error)}\n`);
    return FAILED;
  }
  while (command.options['no-wait'] !== true) {
    try {
      await call(address, 'GET', '/healthz', CALL_MS);
    } catch {
      break;
    }
    await pause(POLL_MS);
  }
  return DONE;
}

export async function drain(command: Command, to: Surroundings): Promise<number> {
  return end(command, '/drain', to);
}

export async function stop(command: Command, to: Surroundings): Promise<number> {
  const deadline = timeOf(command, 'deadline', to);
  if (deadline === null) return MISUSED;
  return end(command, deadline === undefined ? '/stop' : `/stop?deadline=${deadline === 0 ? 0 : `${deadline}ms`}`, to);
}
