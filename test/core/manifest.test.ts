// The catalog: finds by kind and name, refuses duplicates, and the order of its input has no effect.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as z from 'zod';
import { Catalog, type Manifest } from '../../src/core/manifest.js';

const manifest = (kind: string, name: string): Manifest => ({ kind, name, doc: `${name} of ${kind}`, schema: z.strictObject({}) });
const all = [manifest('protocol', 'http1'), manifest('balancer', 'random'), manifest('protocol', 'bolt'), manifest('filter', 'bolt')];

test('finds manifests by kind and name', () => {
  const catalog = new Catalog(all);
  assert.equal(catalog.find('protocol', 'bolt'), all[2]);
  assert.equal(catalog.find('filter', 'bolt'), all[3]);
  assert.equal(catalog.find('protocol', 'random'), undefined);
  assert.equal(catalog.find('nothing', 'bolt'), undefined);
  assert.deepEqual(catalog.names('protocol'), ['bolt', 'http1']);
  assert.deepEqual(catalog.all('protocol'), [all[2], all[0]]);
  assert.deepEqual(catalog.names('nothing'), []);
});

test('every order of the input makes the same catalog', () => {
  const wanted = JSON.stringify(dump(new Catalog(all)));
  for (let turn = 0; turn < all.length; turn++) {
    const turned = [...all.slice(turn), ...all.slice(0, turn)];
    assert.equal(JSON.stringify(dump(new Catalog(turned))), wanted);
    assert.equal(JSON.stringify(dump(new Catalog(turned.reverse()))), wanted);
  }
});

test('a duplicate is an error, also one that is added later', () => {
  assert.throws(() => new Catalog([...all, manifest('protocol', 'bolt')]), /two plug-ins of kind protocol are called bolt/);
  assert.throws(() => new Catalog(all).with([manifest('balancer', 'random')]), /balancer are called random/);
});

test('with adds without changing what it was called on', () => {
  const catalog = new Catalog(all);
  const more = catalog.with([manifest('protocol', 'redis')]);
  assert.deepEqual(more.names('protocol'), ['bolt', 'http1', 'redis']);
  assert.deepEqual(catalog.names('protocol'), ['bolt', 'http1']);
});

function dump(catalog: Catalog): unknown {
  return catalog.kinds().map((kind) => [kind, catalog.all(kind).map((m) => [m.kind, m.name])]);
}
