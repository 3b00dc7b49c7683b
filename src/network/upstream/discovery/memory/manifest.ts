// The discovery memory: instances that were published in this process, by the mesh endpoints or the runtime.
import type { DiscoveryManifest } from '../../discovery.js';
import { registrySchema } from '../../registry.js';
import { MemoryRegistry } from './registry.js';

export const manifest: DiscoveryManifest = {
  kind: 'discovery',
  name: 'memory',
  doc: 'Instances that were published to this process, by applications through the mesh endpoints; nothing of it outlives the process.',
  schema: registrySchema({}),
  registry: () => new MemoryRegistry(),
};
