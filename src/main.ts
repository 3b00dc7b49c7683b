#!/usr/bin/env node
// The command line, and the only place that ends the process. It imports little before it is needed: a proxy is to accept soon after exec.
import { existsSync, readFileSync } from 'node:fs';
import * as nodeModule from 'node:module';
import { fileURLToPath } from 'node:url';
import type { Worker } from 'node:worker_threads';
import { helpText, readArguments } from './control/command/arguments.js';
import { DONE, MISUSED, writeAll } from './control/command/output.js';
import { startThread } from './control/worker-thread.js';

// Node would open its inspector.
process.on('SIGUSR1', () => {});

keepCompiled(fileURLToPath(new URL('.cache', import.meta.url)));

const workerFile = new URL('./worker.js', import.meta.url);

/**
 * From 22.1 on, Node can keep what it compiled for the next start. The folder lies beside the bundle, where only those who may replace
 * the bundle can write; where it cannot be made, nothing is kept. Worker threads learn of it by the environment.
 */
function keepCompiled(folder: string): void {
  const { enableCompileCache } = nodeModule as { enableCompileCache?: (folder: string) => { readonly directory?: string } };
  if (process.env['NODE_COMPILE_CACHE'] === undefined && enableCompileCache?.(folder).directory !== undefined) process.env['NODE_COMPILE_CACHE'] = folder;
}

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
  const launchAhead = words[0] === 'start' ? import('./launch.js') : undefined;
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
      const { start, Server, log } = await (launchAhead ?? import('./launch.js'));
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
      const { check, catalog } = await import('./commands.js');
      return check(command, catalog, to);
    }
    case 'explain': {
      const { explain, explainAll, isReasonCode, replyColumns, catalog } = await import('./commands.js');
      const [code] = command.operands;
      const known = code === undefined || isReasonCode(code.trim());
      (known ? to.out : to.err)(code === undefined ? explainAll() : explain(code, replyColumns(catalog)));
      return known ? DONE : MISUSED;
    }
    case 'call': {
      const { call, callFrame, CallReply } = await import('./commands.js');
      return call(command, { bolt: { frame: (request) => callFrame({ ...request, headers: [] }), reply: (id) => new CallReply(id) } }, to);
    }
    case 'wait':
    case 'drain':
    case 'stop': {
      const commands = await import('./commands.js');
      return commands[command.name](command, to);
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
