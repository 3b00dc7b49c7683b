#!/usr/bin/env node
// The command line, and the only place that ends the process. It imports nothing before it is needed: a proxy is to accept soon after exec.
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Worker } from 'node:worker_threads';
import { startThread } from './control/worker-thread.js';

// Node would open its inspector.
process.on('SIGUSR1', () => {});

const workerFile = new URL('./worker.js', import.meta.url);

/**
 * The first worker is started before anything else is loaded: it loads its code meanwhile, on another core where there is one. It does
 * not keep the process until the server takes it.
 */
function workerAhead(words: readonly string[]): Worker | undefined {
  if (words[0] !== 'start') return undefined;
  const worker = startThread(workerFile);
  worker.unref();
  return worker;
}

async function main(words: readonly string[]): Promise<number | null> {
  const ahead = workerAhead(words);
  // Begun before the arguments are read: it is the longest part of a start.
  const serverAhead = words[0] === 'start' ? import('./server.js') : undefined;
  const [{ helpText, readArguments }, { DONE, MISUSED, writeAll }] = await Promise.all([import('./control/command/arguments.js'), import('./control/command/output.js')]);
  const to = { out: (text: string) => writeAll(1, text), err: (text: string) => writeAll(2, text), env: process.env };
  const command = readArguments(words);
  if ('misuse' in command) {
    to.err(`sluice: ${command.misuse}\nsluice --help lists the commands\n`);
    return MISUSED;
  }
  if ('asked' in command) {
    to.out(command.asked === 'version' ? `${version()}\n` : helpText(command.about));
    return DONE;
  }
  switch (command.name) {
    case 'start': {
      const [{ start }, { Server }, { log }] = await Promise.all([import('./control/command/start.js'), serverAhead ?? import('./server.js'), import('./core/log.js')]);
      return start(
        command,
        {
          launch: ({ file, workers, watch, onEnd }) =>
            Server.start({ file, version: version(), worker: workerFile, ...(ahead === undefined ? {} : { ahead }), watch, onEnd, env: process.env, ...(workers === undefined ? {} : { workers }) }),
          // After the listeners: its libraries take longer to load than all the rest.
          admin: async (options) => (await import('./control/admin/server.js')).startAdmin(options),
          on: (event: string, handler: (error: unknown) => void) => void process.on(event, handler),
          exit: (code) => process.exit(code),
          log: async () => log,
          pid: process.pid,
        },
        to,
      );
    }
    case 'check': {
      const [{ check }, { catalog }] = await Promise.all([import('./control/command/check.js'), import('./catalog.js')]);
      return check(command, catalog, to);
    }
    case 'explain': {
      const { explain, explainAll } = await import('./core/explain.js');
      const [{ isReasonCode }, { replyColumns }, { catalog }] = await Promise.all([import('./core/reason.js'), import('./stream/reply-columns.js'), import('./catalog.js')]);
      const [code] = command.operands;
      const known = code === undefined || isReasonCode(code.trim());
      (known ? to.out : to.err)(code === undefined ? explainAll() : explain(code, replyColumns(catalog)));
      return known ? DONE : MISUSED;
    }
    case 'call': {
      const [{ call }, bolt] = await Promise.all([import('./control/command/call.js'), import('./stream/protocol/bolt/call.js')]);
      const reply = (id: number) => new bolt.CallReply(id);
      return call(command, { bolt: { frame: (request) => bolt.callFrame({ ...request, headers: [] }), reply } }, to);
    }
    case 'wait':
    case 'drain':
    case 'stop': {
      const remote = await import('./control/command/remote.js');
      return remote[command.name](command, to);
    }
  }
}

/** From the package.json of this package, which lies above the bundle as above the compiled sources. */
function version(): string {
  for (const up of ['../package.json', '../../package.json']) {
    const file = fileURLToPath(new URL(up, import.meta.url));
    if (existsSync(file)) return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
  }
  return 'unknown';
}

const code = await main(process.argv.slice(2));
if (code !== null) process.exit(code);
