// Starts a worker thread; imports nothing but Node, because the first one is started before the rest of the program is loaded.
import { getHeapStatistics } from 'node:v8';
import { Worker } from 'node:worker_threads';

/**
 * Its heap may grow as large as the main thread's, which `--max-old-space-size` sets; left to themselves, some Nodes give threads the
 * default of the machine instead.
 */
export function startThread(script: URL): Worker {
  const limit = Math.floor(getHeapStatistics().heap_size_limit / (1024 * 1024));
  return new Worker(script, { stdout: false, stderr: false, resourceLimits: { maxOldGenerationSizeMb: limit } });
}
