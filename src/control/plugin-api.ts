// What a plug-in from outside may use of this program: handed to it when its manifest is a function, because there is no package to import.
import { createRequire } from 'node:module';
import type * as Zod from 'zod';
import { now } from '../core/clock.js';
import * as schema from '../core/config/schema.js';
import { log } from '../core/log.js';
import { random } from '../core/random.js';
import { SluiceError } from '../core/reason.js';
import { CONTINUE, HOLD, REPLIED } from '../stream/filter.js';
import { headerName } from '../stream/head.js';

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
});

export type PluginApi = typeof pluginApi;
