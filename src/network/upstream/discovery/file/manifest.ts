// The discovery file: services and their instances stand in a file, which is read again whenever it changes.
import { resolve } from 'node:path';
import { duration, option, text } from '../../../../core/config/schema.js';
import type { DiscoveryManifest } from '../../discovery.js';
import { registrySchema } from '../../registry.js';
import { FileRegistry, type FileOptions } from './registry.js';

export const manifest: DiscoveryManifest = {
  kind: 'discovery',
  name: 'file',
  doc: 'Services of a YAML or JSON file, `services: {NAME: hosts}`; read again when it changes, and what is wrong in it keeps its last good version.',
  schema: registrySchema({
    path: option(text(), { doc: 'The file; relative to that of the configuration.' }),
    refresh: option(duration(1000, 20), { doc: 'How often it is looked at for a change. Default 1 s.' }),
  }),
  absolute: (options, directory) => ({ ...(options as FileOptions), path: resolve(directory, (options as FileOptions).path) }),
  registry: (options) => new FileRegistry(options as FileOptions),
};
