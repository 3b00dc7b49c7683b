// protobufjs, loaded when the first descriptor set is read: a start without one neither evaluates nor waits for it.
import { createRequire } from 'node:module';
import type * as protobuf from 'protobufjs';

export type Protobuf = typeof protobuf;
export type { Enum, Field, MapField, Namespace, Root, Service, Type } from 'protobufjs';

let loaded: Protobuf | null = null;

/** The library with reflection and descriptors. Bundlers follow the literal calls of `require`; as a plain module there is none. */
export function protobufjs(): Protobuf {
  if (loaded !== null) return loaded;
  if (typeof require === 'undefined') {
    const load = createRequire(import.meta.url);
    load('protobufjs/ext/descriptor.js');
    loaded = load('protobufjs/light.js') as Protobuf;
  } else {
    require('protobufjs/ext/descriptor.js');
    loaded = require('protobufjs/light.js') as Protobuf;
  }
  return loaded;
}
