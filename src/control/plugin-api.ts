// What a plug-in from outside may use of this program: handed to it when its manifest is a function, because there is no package to import.
import { createRequire } from 'node:module';
import type * as Zod from 'zod';
import { now } from '../core/clock.js';
import * as schema from '../core/config/schema.js';
import { log } from '../core/log.js';
import { random } from '../core/random.js';
import { SluiceError } from '../core/reason.js';
import { foundHost } from '../network/upstream/discovery.js';
import { instanceOf, offers, registrySchema } from '../network/upstream/registry.js';
import { CONTINUE, HOLD, REPLIED } from '../stream/filter.js';
import { ALONE, BOUND, Head, ONEWAY, REPLY, REQUEST, SHARED, headerName } from '../stream/head.js';
import { OrderedReplies } from '../stream/ordered-replies.js';
import { MATCH_MORE, MATCH_NO, MATCH_YES } from '../stream/protocol.js';

/**
 * zod whole, as plug-ins expect it. Required by a path that the bundler does not see: imported, all of it with every locale would
 * become part of what each worker loads (600 KB more).
 */
function wholeZod(): typeof Zod {
  return createRequire(import.meta.url)('zod') as typeof Zod;
}

/** Grows, and never loses a member within a major version. */
export const pluginApi = Object.freeze({
  get z(): typeof Zod {
    return wholeZod();
  },
  /** Parts of schemas: option, duration, size, name, address, oneOf, ... */
  schema: Object.freeze({ ...schema }),
  headerName,
  CONTINUE,
  REPLIED,
  HOLD,
  SluiceError,
  now,
  random,
  log: log.child('plugin'),
  /** What a registry is made of, see docs/mesh.md: its options, the instances that are looked for, and what clusters are told of them. */
  discovery: Object.freeze({ registrySchema, offers, instanceOf, foundHost }),
  /** What a protocol is made of, see docs/add-a-protocol.md. */
  protocol: Object.freeze({ Head, REQUEST, ONEWAY, REPLY, SHARED, ALONE, BOUND, MATCH_NO, MATCH_YES, MATCH_MORE, OrderedReplies }),
});

export type PluginApi = typeof pluginApi;
