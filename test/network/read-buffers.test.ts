// Large read buffers go round: back when the kernel took their bytes, never while it has not, and nothing else is taken in.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Connection } from '../../src/network/connection.js';
import { isReadBuffer, READ_SIZES, recycle, takeReadBuffer, withdraw } from '../../src/network/read-buffers.js';
import { FakeWire } from '../support/fake-wire.js';

const nobody = { onBytes: () => 0, onOpen() {}, onEnd() {}, onDrain() {}, onClose() {} };

test('a buffer given to a connection comes back when its bytes were taken at once, and not before', () => {
  for (const stuck of [false, true]) {
    const connection = new Connection(nobody);
    const wire = new FakeWire(connection);
    wire.open();
    wire.stuck = stuck;
    const buf = takeReadBuffer(READ_SIZES[0]);
    assert.ok(isReadBuffer(buf));
    connection.give(buf, 0, 1000);
    const next = takeReadBuffer(READ_SIZES[0]);
    assert.equal(next === buf, !stuck);
    assert.equal(next.length, READ_SIZES[0]);
  }
});

test('other buffers are left to the collector, whatever their size', () => {
  const foreign = Buffer.alloc(READ_SIZES[1]);
  recycle(foreign);
  recycle(Buffer.alloc(10));
  assert.notEqual(takeReadBuffer(READ_SIZES[1]), foreign);
  assert.equal(isReadBuffer(foreign), false);
});

test('a buffer given in parts is free once, and not while a part of it waits', () => {
  const buf = takeReadBuffer(READ_SIZES[1]);
  recycle(buf);
  recycle(buf);
  assert.equal(takeReadBuffer(READ_SIZES[1]), buf);
  assert.notEqual(takeReadBuffer(READ_SIZES[1]), buf);
  recycle(buf);
  withdraw(buf);
  assert.notEqual(takeReadBuffer(READ_SIZES[1]), buf);
  withdraw(buf);
});
