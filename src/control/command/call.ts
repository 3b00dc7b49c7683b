// `sluice call`: opens one connection, sends one request and prints the reply; what the bytes mean is the protocol's business.
import { randomInt } from '../../core/random.js';
import { duration, parseAddress, Refusal } from '../../core/config/schema.js';
import { clock } from '../../core/clock.js';
import type { SluiceError } from '../../core/reason.js';
import { connect } from '../../network/connect.js';
import type { Connection, Reader } from '../../network/connection.js';
import type { Command } from './arguments.js';
import { DONE, FAILED, MISUSED, type Surroundings } from './output.js';

const TIMEOUT_MS = 3000;

/** A reply as it is gathered. */
export interface Reply {
  readonly done: boolean;
  readonly ok: boolean;
  readonly text: string;
  /** Takes buf[start, end) and returns how many bytes it consumed. */
  receive(buf: Uint8Array, start: number, end: number): number;
}

export interface CallRequest {
  readonly service: string;
  readonly method: string;
  readonly args: readonly string[];
  readonly timeout: number;
  readonly id: number;
  readonly version: number;
}

/** Protocols that calls can be made in. */
export interface Caller {
  frame(call: CallRequest): Uint8Array;
  reply(id: number): Reply;
}

export async function call(command: Command, callers: Readonly<Record<string, Caller>>, to: Surroundings): Promise<number> {
  const [protocol, where, service, method, ...args] = command.operands as [string, string, string, string, ...string[]];
  const refuse = (text: string): number => {
    to.err(`sluice call: ${text}\n`);
    return MISUSED;
  };
  const caller = Object.hasOwn(callers, protocol) ? callers[protocol]! : null;
  if (caller === null) return refuse(`the protocol is one of ${Object.keys(callers).join(', ')}, not ${protocol}`);
  const target = parseAddress(where);
  if (target instanceof Refusal) return refuse(`${where} is not ${target.expected}`);
  const timeout = command.options['timeout'] === undefined ? TIMEOUT_MS : duration().safeParse(command.options['timeout']).data;
  if (timeout === undefined || timeout === 0) return refuse('--timeout is a duration such as 3s');
  const version = Number(command.options['version'] ?? 1);
  if (version !== 1 && version !== 2) return refuse('--version is 1 or 2');

  const id = 1 + randomInt(0x7ffffffe);
  const reply = caller.reply(id);
  const frame = caller.frame({ service, method, args, timeout, id, version });
  const failure = await exchange({ ...target, host: target.host === '' ? '127.0.0.1' : target.host }, frame, reply, timeout);
  if (failure !== null) {
    to.err(`sluice call: ${failure}\n`);
    return FAILED;
  }
  to.out(`${reply.text}\n`);
  return reply.ok ? DONE : FAILED;
}

/** Sends the frame and waits for the reply; null, or why there is none. */
function exchange(target: { readonly host: string; readonly port: number; readonly path?: string }, frame: Uint8Array, reply: Reply, timeout: number): Promise<string | null> {
  return new Promise((resolve) => {
    const finish = (failure: string | null): void => {
      clock.clearTimeout(timer);
      resolve(failure);
      connection.close();
    };
    const reader: Reader = {
      onBytes(_connection, buf, start, end) {
        const consumed = reply.receive(buf, start, end);
        if (reply.done) setImmediate(() => finish(null));
        return consumed;
      },
      onOpen() {},
      onEnd: () => finish(reply.done ? null : 'the connection was ended before the reply'),
      onDrain() {},
      onClose: (_connection, error: SluiceError | null) => finish(reply.done ? null : (error?.message ?? 'the connection was closed before the reply')),
    };
    const connection: Connection = connect(target, { timeout, reader });
    const timer = clock.setTimeout(() => finish(`no reply within ${timeout} ms`), timeout);
    connection.write(frame, 0, frame.length);
  });
}
