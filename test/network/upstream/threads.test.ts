// A worker thread with clusters of its own: fed by messages, it sees health and shares the breaker through shared memory alone.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { LevelRows, SharedLevels, type LevelSegment, type SharedLevelsState } from '../../../src/core/levels.js';
import { Catalog } from '../../../src/core/manifest.js';
import { Stats } from '../../../src/core/stats.js';
import { FAILED_CHECK } from '../../../src/network/upstream/host.js';
import { MainUpstream } from '../../../src/network/upstream/main-upstream.js';
import { ClusterManager } from '../../../src/network/upstream/manager.js';
import type { ClusterSnapshot } from '../../../src/network/upstream/snapshot.js';
import { config, counts, manifests } from './fixture.js';

type Order =
  | { do: 'segment'; segment: LevelSegment }
  | { do: 'change'; snapshot: ClusterSnapshot }
  | { do: 'remove'; name: string }
  | { do: 'pick'; name: string; times: number }
  | { do: 'take'; name: string }
  | { do: 'give'; name: string };

function work(): void {
  const levels = SharedLevels.open(workerData as SharedLevelsState, 1);
  const manager = new ClusterManager({ stats: new Stats(), levels, catalog: new Catalog(manifests) });
  parentPort!.on('message', (order: Order) => {
    if (order.do === 'segment') levels.attach(order.segment);
    else if (order.do === 'change') manager.update(order.snapshot);
    else if (order.do === 'remove') manager.remove(order.name);
    else if (order.do === 'pick') parentPort!.postMessage(manager.get(order.name) === undefined ? 'none' : counts(manager.get(order.name)!, order.times));
    else if (order.do === 'take') parentPort!.postMessage(manager.get(order.name)!.breaker.tryRequest());
    else {
      manager.get(order.name)!.breaker.releaseRequest();
      parentPort!.postMessage('given');
    }
  });
}

if (isMainThread) {
  test('a worker thread follows the main thread', { timeout: 20_000 }, async () => {
    const levels = SharedLevels.create(16, 2);
    const worker = new Worker(new URL(import.meta.url), { workerData: levels.share() });
    const send = (order: Order): void => worker.postMessage(order);
    const ask = async (order: Order): Promise<unknown> => {
      send(order);
      return ((await once(worker, 'message')) as [unknown])[0];
    };
    const main = new MainUpstream({
      stats: new Stats(),
      levels,
      // Sixteen rows are soon used up: the worker must take in further segments before the snapshots that speak of them.
      rows: new LevelRows(levels, (segment) => send({ do: 'segment', segment })),
      catalog: new Catalog(manifests),
      probes: new Map(),
      onChange: (snapshot) => send({ do: 'change', snapshot }),
      onRemove: (name) => send({ do: 'remove', name }),
    });
    try {
      const hosts = Array.from({ length: 20 }, (_, i) => `10.0.0.${i + 1}:80`);
      const a = config({ name: 'a', hosts });
      const b = config({ name: 'b', hosts: [{ address: hosts[0], weight: 3 }, hosts[1]], breaker: { max_requests: 1 } });
      main.apply([a, b]);
      assert.deepEqual(await ask({ do: 'pick', name: 'b', times: 8 }), { [hosts[0]!]: 6, [hosts[1]!]: 2 });
      const { hosts: rows, epochRow } = main.snapshots()[0]!;
      for (const host of rows.slice(1)) levels.set(host.healthRow, FAILED_CHECK);
      levels.add(epochRow, 1);
      assert.deepEqual(await ask({ do: 'pick', name: 'a', times: 8 }), { [hosts[0]!]: 8 });
      assert.deepEqual(await ask({ do: 'pick', name: 'b', times: 8 }), { [hosts[0]!]: 6, [hosts[1]!]: 2 });
      assert.equal(await ask({ do: 'take', name: 'b' }), true);
      assert.equal(await ask({ do: 'take', name: 'b' }), false);
      assert.equal(main.state()[1]!.breaker.levels.requests, 1);
      assert.equal(await ask({ do: 'give', name: 'b' }), 'given');
      assert.equal(main.state()[1]!.breaker.levels.requests, 0);
      main.apply([b]);
      assert.equal(await ask({ do: 'pick', name: 'a', times: 1 }), 'none');
    } finally {
      main.close();
      await worker.terminate();
    }
  });
} else {
  work();
}
