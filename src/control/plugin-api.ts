// What a plug-in from outside may use of this program: handed to it when its manifest is a function, because there is no package to import.
import * as z from 'zod';
import { now } from '../core/clock.js';
import * as schema from '../core/config/schema.js';
import { log } from '../core/log.js';
import { random } from '../core/random.js';
import { SluiceError } from '../core/reason.js';
import { CONTINUE, HOLD, REPLIED } from '../stream/filter.js';
import { headerName } from '../stream/head.js';

/** Grows, and never loses a member within a major version. */
export const pluginApi = Object.freeze({
  z,
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
