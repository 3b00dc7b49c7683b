// The worker of levels.test.ts: adds to the rows that it is told of.
import { parentPort, workerData } from 'node:worker_threads';
import { type LevelSegment, SharedLevels, type SharedLevelsState } from '../../src/core/levels.js';

const { state, self } = workerData as { state: SharedLevelsState; self: number };
const levels = SharedLevels.open(state, self);

parentPort!.on('message', (m: { segment?: LevelSegment; row?: number; n?: number }) => {
  if (m.segment !== undefined) levels.attach(m.segment);
  if (m.row !== undefined) {
    levels.add(m.row, m.n!);
    parentPort!.postMessage(levels.read(m.row));
  }
});
