// Load that goes on until it is told to stop, over kept connections, and that notes every request that did not end as it should.
import type { TestContext } from 'node:test';
import { open, type RawClient, type RawReply } from '../support/http.js';
import { until } from '../support/sluice.js';

export interface LoadOptions {
  readonly port: number;
  /** Requests in flight. */
  readonly lanes: number;
  readonly path?: string;
  /** What is wrong with a reply; '' for nothing. Default: its status must be 200. */
  readonly wrong?: (reply: RawReply) => string;
}

/** At most this many requests a lane and second: enough to meet every change, little enough to leave the machine to the others. */
const PAUSE_MS = 4;

export class Load {
  done = 0;
  readonly failures: string[] = [];
  /** Requests that were answered with a connection that closes after them. */
  closes = 0;
  private readonly options: LoadOptions;
  private readonly lanes: Promise<void>[];
  private stopping = false;

  constructor(t: TestContext, options: LoadOptions) {
    this.options = options;
    t.after(() => (this.stopping = true));
    this.lanes = Array.from({ length: options.lanes }, () => this.lane(t));
  }

  private async lane(t: TestContext): Promise<void> {
    const { port, path = '/', wrong = (reply) => (reply.status === 200 ? '' : `status ${reply.status}: ${reply.body.toString()}`) } = this.options;
    let client: RawClient | null = null;
    while (!this.stopping) {
      try {
        client ??= await open(t, port);
        client.send(`GET ${path} HTTP/1.1\r\nhost: load\r\n\r\n`);
        const reply = await client.reply();
        const fault = wrong(reply);
        if (fault !== '') this.failures.push(fault);
        this.done++;
        if (reply.headers['connection'] === 'close') {
          this.closes++;
          client = null;
        }
      } catch (error) {
        if (!this.stopping) this.failures.push((error as Error).message);
        client = null;
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
    client?.end();
  }

  /** Waits until `n` more requests are done, so that what was changed before has been met. */
  async more(n: number): Promise<void> {
    const from = this.done;
    await until(`${n} more requests`, () => this.done >= from + n || this.failures.length > 20);
  }

  async stop(): Promise<void> {
    this.stopping = true;
    await Promise.all(this.lanes);
  }
}
