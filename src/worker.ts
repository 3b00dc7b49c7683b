// A worker thread: it builds what the main thread posts, carries the traffic, and answers questions about it.
import { parentPort } from 'node:worker_threads';
import { catalog as builtins } from './catalog.js';
import { DataPlane } from './control/data-plane.js';
import type { FromWorker, ToWorker, Version, WorkerStart } from './control/messages.js';
import type { PluginConfig } from './control/model.js';
import { SharedLevels } from './core/levels.js';
import { configureLog, log, setLevel } from './core/log.js';
import { Catalog } from './core/manifest.js';
import { Stats } from './core/stats.js';
import { WriteGate } from './stream/access-log.js';
import { setRequestIdPrefix } from './stream/record.js';

const TICK_MS = 500;

const port = parentPort;
if (port === null) throw new Error('this file is started by sluice as a worker thread');
const tell = (message: FromWorker): void => port.postMessage(message);

const own = new Catalog(builtins);
const stats = new Stats();
let plane: DataPlane | null = null;
let levels: SharedLevels | null = null;
let ticks: Int32Array | null = null;
let self = 0;
let plugins: readonly PluginConfig[] = [];
let memoryLimit = 0;
/** Memory is looked at in any case once it was limited: what was shut has to be opened again. */
let memoryLimited = false;
/** Configurations are built one after the other. */
let building: Promise<void> = Promise.resolve();

function start(given: WorkerStart): void {
  self = given.self;
  levels = SharedLevels.open(given.levels, self);
  ticks = new Int32Array(given.ticks);
  setRequestIdPrefix(given.idPrefix);
  stats.onSegment = (update) => tell({ type: 'stats', update });
  plane = new DataPlane({
    stats,
    levels,
    catalog: own,
    log,
    self,
    share: given.workers > 1,
    ticketSecret: given.ticketSecret,
    gate: given.workers > 1 ? new WriteGate(new Int32Array(given.gate), 0, self) : null,
    onSpans: (batch) => tell({ type: 'spans', batch }),
    onListening: () => tell({ type: 'listeners', listeners: plane!.listeners() }),
  });
  setInterval(tick, TICK_MS);
}

function tick(): void {
  Atomics.add(ticks!, self - 1, 1);
  if (memoryLimited) plane!.checkMemory(memoryLimit);
}

async function build(version: Version): Promise<void> {
  const { config } = version;
  const problems: string[] = [];
  memoryLimit = config.memory_limit;
  memoryLimited ||= memoryLimit > 0;
  await configureLog(config.log);
  if (JSON.stringify(config.plugins) !== JSON.stringify(plugins)) {
    try {
      const { importPlugins } = await import('./control/plugins.js');
      const manifests = await importPlugins(config.plugins);
      plugins = config.plugins;
      plane!.useCatalog(own.with(manifests));
    } catch (error) {
      problems.push(error instanceof Error ? error.message : String(error));
    }
  }
  try {
    problems.push(...(await plane!.apply(version)));
  } catch (error) {
    // A fault, of a plug-in most likely; what comes later is still to be built.
    log.error({ err: error }, 'a configuration could not be built');
    problems.push(error instanceof Error ? error.message : String(error));
  }
  stats.flush();
  tell({ type: 'built', version: version.version, problems, listeners: plane!.listeners() });
}

// A promise that nobody waited for, of a plug-in most likely, has interrupted nothing. An exception has: it ends the worker.
process.on('unhandledRejection', (error) => log.error({ worker: self, err: error instanceof Error ? error : new Error(String(error)) }, 'a promise was rejected and nobody listened'));

port.on('message', (message: ToWorker) => {
  switch (message.type) {
    case 'start':
      return start(message.start);
    case 'config':
      building = building.then(() => build(message.version));
      return;
    case 'cluster':
      return plane!.updateCluster(message.snapshot);
    case 'segment':
      return levels!.attach(message.segment);
    case 'log-level':
      return setLevel(message.level);
    case 'reopen-logs':
      return plane!.reopenLogs();
    case 'spans-taken':
      return plane!.spansTaken();
    case 'drain':
      return plane!.drain(() => tell({ type: 'drained' }));
    case 'ask':
      return tell({ type: 'answer', id: message.id, answer: plane!.answer(message.limit) });
    case 'stop':
      void plane!.stop().then(() => {
        tell({ type: 'stopped' });
        port.close();
      });
  }
});
