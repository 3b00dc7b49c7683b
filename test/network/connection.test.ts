// A connection over a wire that is moved by hand: what readers are handed, what is kept for later, when bytes leave, how it ends.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MAX_RESERVE } from '../../src/core/bytes.js';
import { SluiceError } from '../../src/core/reason.js';
import {
  CLOSED, CONNECTING, Connection, DETACHED, ENDING, HIGH_WATER, LOW_WATER, OPEN, PAUSE_BLOCKED, PAUSE_HOLD, PAUSE_PEER, type Reader,
} from '../../src/network/connection.js';
import { FakeWire } from '../support/fake-wire.js';

interface Offer {
  readonly text: string;
  readonly owned: boolean;
}

/** Consumes what `take` says of each offer, all of it by default, and remembers everything. */
class Listening implements Reader {
  readonly offers: Offer[] = [];
  readonly events: string[] = [];
  consumed = '';
  error: SluiceError | null = null;
  take: (text: string, connection: Connection) => number = (text) => text.length;

  onBytes(connection: Connection, buf: Uint8Array, start: number, end: number, owned: boolean): number {
    const text = Buffer.from(buf.subarray(start, end)).toString('latin1');
    this.offers.push({ text, owned });
    const n = this.take(text, connection);
    this.consumed += text.slice(0, n);
    return n;
  }

  onOpen(): void {
    this.events.push('open');
  }

  onEnd(): void {
    this.events.push('end');
  }

  onDrain(): void {
    this.events.push('drain');
  }

  onClose(_connection: Connection, error: SluiceError | null): void {
    this.events.push('close');
    this.error = error;
  }

  get texts(): string[] {
    return this.offers.map((offer) => offer.text);
  }
}

function open(): { reader: Listening; connection: Connection; wire: FakeWire } {
  const reader = new Listening();
  const connection = new Connection(reader);
  const wire = new FakeWire(connection);
  wire.open();
  return { reader, connection, wire };
}

/** Ends the turn of the event loop, in which dirty connections are flushed. */
const turn = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(() => setImmediate(resolve));
  });

const append = (connection: Connection, text: string): void => connection.write(Buffer.from(text), 0, text.length);

/** Length-prefixed messages: a byte that counts those behind it. */
function messages(text: string, connection: Connection): number {
  let at = 0;
  while (at < text.length) {
    const size = 1 + text.charCodeAt(at);
    if (text.length - at < size) {
      connection.want = size;
      return at;
    }
    at += size;
  }
  connection.want = 0;
  return at;
}

describe('reading', () => {
  test('hands bytes in where they lie and says whether they are owned', () => {
    const { reader, connection, wire } = open();
    wire.feed('one');
    const mine = Buffer.from('.two.');
    connection.wireData(mine, 1, 4, true);
    assert.deepEqual(reader.offers, [{ text: 'one', owned: false }, { text: 'two', owned: true }]);
    assert.deepEqual([connection.received, connection.reads, connection.carried], [6, 2, 0]);
  });

  test('gives the same messages however the bytes are split', () => {
    const stream = Buffer.from('\x03abc\x00\x05hello\x01x');
    for (let size = 1; size <= stream.length; size++) {
      const { reader, connection, wire } = open();
      reader.take = messages;
      for (let at = 0; at < stream.length; at += size) wire.feed(stream.subarray(at, at + size));
      assert.equal(reader.consumed, stream.toString('latin1'), `pieces of ${size}`);
      assert.equal(connection.carried, 0);
    }
  });

  test('keeps what is not consumed, and asks again only when what is wanted is there', () => {
    const { reader, connection, wire } = open();
    reader.take = (text) => {
      connection.want = 10;
      return text.length >= 10 ? 10 : 0;
    };
    wire.feed('01234');
    wire.feed('567');
    wire.feed('8');
    assert.deepEqual(reader.texts, ['01234']);
    assert.equal(connection.carried, 9);
    wire.feed('9abc');
    // Just what was lacking completes the message; the rest is handed in where it lies.
    assert.deepEqual(reader.texts, ['01234', '0123456789', 'abc']);
    assert.equal(connection.carried, 3);
  });

  test('asks again with every piece when the reader does not know what it wants', () => {
    const { reader, wire } = open();
    reader.take = (text) => (text.endsWith('\n') ? text.length : 0);
    for (const piece of ['a', 'b', 'c\n']) wire.feed(piece);
    assert.deepEqual(reader.texts, ['a', 'ab', 'abc\n']);
  });

  test('a wish that grows while the carry is completed is followed', () => {
    const { reader, connection, wire } = open();
    // Two bytes of length after a fixed part of four, as a frame header has.
    reader.take = (text) => {
      const size = text.length < 4 ? 4 : 4 + Number(text.slice(2, 4));
      connection.want = size;
      return text.length < size ? 0 : size;
    };
    wire.feed('F');
    wire.feed('F05abcdeGG');
    wire.feed('00');
    assert.equal(reader.consumed, 'FF05abcdeGG00');
    assert.equal(connection.carried, 0);
  });

  test('a message much longer than the carry is gathered once, of the size that was wanted', () => {
    const { reader, connection, wire } = open();
    const size = 300_000;
    reader.take = (text) => {
      connection.want = size;
      return text.length === size ? size : 0;
    };
    const piece = 'x'.repeat(1000);
    for (let at = 0; at < size; at += piece.length) wire.feed(piece);
    assert.equal(reader.consumed.length, size);
    assert.deepEqual(reader.offers.map((offer) => offer.text.length), [1000, size]);
  });
});

describe('pausing', () => {
  test('stops the wire at the first reason and starts it when the last is gone', () => {
    const { connection, wire } = open();
    connection.pause(PAUSE_PEER);
    connection.pause(PAUSE_HOLD);
    assert.deepEqual([wire.paused, connection.paused], [true, true]);
    connection.resume(PAUSE_PEER);
    assert.equal(wire.paused, true);
    connection.resume(PAUSE_PEER);
    assert.equal(wire.paused, true);
    connection.resume(PAUSE_HOLD);
    assert.deepEqual([wire.paused, connection.paused], [false, false]);
  });

  test('keeps what still arrives and hands it in on resume, in order', () => {
    const { reader, connection, wire } = open();
    connection.pause(PAUSE_PEER);
    wire.feed('late ');
    wire.feed('bytes');
    assert.deepEqual(reader.offers, []);
    connection.resume(PAUSE_PEER);
    assert.equal(reader.consumed, 'late bytes');
    assert.equal(wire.paused, false);
  });

  test('in the middle of a delivery keeps the rest', () => {
    const { reader, connection, wire } = open();
    reader.take = (text) => {
      connection.pause(PAUSE_BLOCKED);
      return Math.min(2, text.length);
    };
    wire.feed('abcdef');
    assert.deepEqual([reader.consumed, connection.carried, wire.paused], ['ab', 4, true]);
    connection.resume(PAUSE_BLOCKED);
    // The reader paused again: resume has not started the wire behind its back.
    assert.deepEqual([reader.consumed, connection.carried, wire.paused], ['abcd', 2, true]);
    reader.take = (text) => text.length;
    connection.resume(PAUSE_BLOCKED);
    assert.deepEqual([reader.consumed, connection.carried, wire.paused], ['abcdef', 0, false]);
  });

  test('taken back within the same delivery offers the rest again, from the buffer and from the carry', () => {
    const { reader, connection, wire } = open();
    reader.take = (text) => {
      connection.pause(PAUSE_BLOCKED);
      connection.resume(PAUSE_BLOCKED);
      return Math.min(2, text.length);
    };
    wire.feed('abcdef');
    assert.deepEqual([reader.consumed, connection.carried], ['abcdef', 0]);
    assert.deepEqual(reader.texts, ['abcdef', 'cdef', 'ef']);
  });

  test('taken back by a reader that consumes nothing does not go round for ever', () => {
    const { reader, connection, wire } = open();
    reader.take = () => {
      connection.pause(PAUSE_BLOCKED);
      connection.resume(PAUSE_BLOCKED);
      return 0;
    };
    wire.feed('abc');
    assert.deepEqual([reader.texts, connection.carried], [['abc', 'abc'], 3]);
  });

  test('before there is a wire holds for the wire that comes', () => {
    const connection = new Connection(new Listening());
    connection.pause(PAUSE_PEER);
    assert.equal(new FakeWire(connection).paused, true);
  });

  test("lets the peer's end wait until the bytes before it were offered", () => {
    const { reader, connection, wire } = open();
    connection.pause(PAUSE_BLOCKED);
    wire.feed('last request');
    wire.fin();
    assert.deepEqual(reader.events, ['open']);
    assert.equal(connection.peerEnded, true);
    connection.resume(PAUSE_BLOCKED);
    assert.equal(reader.consumed, 'last request');
    assert.deepEqual(reader.events, ['open', 'end']);
  });

  test("does not hold the peer's end back when nothing is kept", () => {
    const { reader, connection, wire } = open();
    connection.pause(PAUSE_PEER);
    wire.fin();
    wire.fin();
    assert.deepEqual(reader.events, ['open', 'end']);
    connection.resume(PAUSE_PEER);
    assert.deepEqual(reader.events, ['open', 'end']);
  });
});

describe('redeliver', () => {
  test('offers the carry to a reader that can go on now', () => {
    const { reader, connection, wire } = open();
    let blocked = true;
    reader.take = (text) => (blocked ? 0 : text.length);
    wire.feed('request');
    connection.redeliver();
    assert.deepEqual(reader.texts, ['request', 'request']);
    blocked = false;
    connection.redeliver();
    assert.equal(reader.consumed, 'request');
    connection.redeliver();
    assert.equal(reader.offers.length, 3);
  });

  test('goes to another reader once it was set', () => {
    const { reader, connection, wire } = open();
    reader.take = () => 0;
    wire.feed('for the next one');
    const next = new Listening();
    connection.reader = next;
    connection.redeliver();
    assert.equal(next.consumed, 'for the next one');
  });
});

describe('writing', () => {
  test('goes out once per turn, as one piece', async () => {
    const { connection, wire } = open();
    append(connection, 'one ');
    append(connection, 'two ');
    const w = connection.out(8);
    w.latin1('three');
    assert.equal(w.mark, 8);
    assert.equal(wire.sentBytes.length, 0);
    assert.equal(connection.unsent, 13);
    await turn();
    assert.equal(wire.sentBytes.toString(), 'one two three');
    assert.deepEqual([connection.unsent, connection.sent], [0, 13]);
    append(connection, '.');
    await turn();
    assert.equal(wire.sentBytes.toString(), 'one two three.');
  });

  test('of many connections happens in the same turn, and writes made meanwhile in the next', async () => {
    const all = Array.from({ length: 50 }, () => open());
    for (const [i, { connection }] of all.entries()) append(connection, String(i));
    await turn();
    assert.deepEqual(all.map(({ wire }) => wire.text()), all.map((_, i) => String(i)));
  });

  test('leaves early when a block is full, and keeps the order', async () => {
    const { connection, wire } = open();
    const piece = Buffer.alloc(10_000);
    let sent = 0;
    for (let i = 0; i < 20; i++) {
      piece.fill(65 + i);
      connection.write(piece, 0, piece.length);
      sent += piece.length;
    }
    assert.ok(wire.sentBytes.length > 0, 'not all of it waits for the end of the turn');
    assert.ok(connection.unsent < 64 * 1024);
    await turn();
    assert.equal(wire.sentBytes.length, sent);
    for (let i = 0; i < 20; i++) assert.equal(wire.sentBytes[i * 10_000 + 5000], 65 + i);
  });

  test('copies what it is given by write, also when that is longer than a reservation', async () => {
    const { connection, wire } = open();
    for (const size of [10, 100, MAX_RESERVE, MAX_RESERVE + 1, 200_000]) {
      const bytes = Buffer.alloc(size, 97);
      connection.write(bytes, 0, size);
      bytes.fill(98);
      await turn();
      assert.ok(wire.take().equals(Buffer.alloc(size, 97)), `${size} bytes`);
    }
  });

  test('give hands over the buffer itself, behind what was written before', async () => {
    const { connection, wire } = open();
    append(connection, 'head:');
    connection.give(Buffer.from('[body]'), 1, 5);
    append(connection, ':tail');
    assert.equal(wire.sentBytes.toString(), 'head:body');
    await turn();
    assert.equal(wire.sentBytes.toString(), 'head:body:tail');
    assert.equal(connection.sent, 14);
  });

  test('a reservation that nothing was stored in sends nothing', async () => {
    const { connection, wire } = open();
    connection.out(100);
    await turn();
    assert.deepEqual([wire.sentBytes.length, connection.sent], [0, 0]);
  });

  test('while connecting waits with the wire', async () => {
    const connection = new Connection(new Listening());
    const wire = new FakeWire(connection);
    append(connection, 'early');
    await turn();
    assert.equal(connection.state, CONNECTING);
    assert.equal(wire.sentBytes.toString(), 'early');
  });

  test('after close or end is dropped', async () => {
    const { connection, wire } = open();
    connection.end();
    await turn();
    append(connection, 'too late');
    await turn();
    assert.deepEqual([wire.sentBytes.length, connection.writable], [0, false]);
    connection.close();
    append(connection, 'still too late');
    connection.give(Buffer.from('x'), 0, 1);
    await turn();
    assert.equal(wire.sentBytes.length, 0);
  });

  test('a block the wire kept is not used again', async () => {
    const { connection, wire } = open();
    const kept: Uint8Array[] = [];
    wire.send = (buf, start, end) => {
      kept.push(buf.subarray(start, end));
      wire.unsent += end - start;
      return false;
    };
    append(connection, 'first');
    await turn();
    append(connection, 'second');
    await turn();
    const other = open();
    append(other.connection, 'other');
    await turn();
    assert.deepEqual(kept.map(String), ['first', 'second']);
    assert.deepEqual(kept.map((bytes) => Buffer.from(bytes).toString()), ['first', 'second']);
  });
});

describe('watermarks', () => {
  test('rise above the high one and fall below the low one', async () => {
    const { reader, connection, wire } = open();
    wire.stuck = true;
    const piece = Buffer.alloc(MAX_RESERVE);
    while (connection.unsent <= HIGH_WATER) {
      assert.equal(connection.overHigh, false);
      connection.write(piece, 0, piece.length);
    }
    assert.equal(connection.overHigh, true);
    await turn();
    wire.unsent = LOW_WATER;
    connection.wireDrained();
    assert.deepEqual([connection.overHigh, reader.events], [true, ['open']]);
    wire.drain();
    assert.deepEqual([connection.overHigh, reader.events], [false, ['open', 'drain']]);
    wire.drain();
    assert.deepEqual(reader.events, ['open', 'drain']);
  });

  test('count what was given', () => {
    const { connection, wire } = open();
    wire.stuck = true;
    connection.give(Buffer.alloc(HIGH_WATER + 1), 0, HIGH_WATER + 1);
    assert.equal(connection.overHigh, true);
  });
});

describe('the life of a connection', () => {
  test('runs through its states, each event once', async () => {
    const reader = new Listening();
    const connection = new Connection(reader);
    const wire = new FakeWire(connection);
    assert.deepEqual([connection.state, connection.writable], [CONNECTING, true]);
    wire.open();
    wire.open();
    assert.equal(connection.state, OPEN);
    append(connection, 'bye');
    connection.end();
    assert.deepEqual([connection.state, connection.writable], [OPEN, false]);
    await turn();
    assert.deepEqual([connection.state, wire.ended, wire.sentBytes.toString()], [ENDING, true, 'bye']);
    wire.feed('still read');
    assert.equal(reader.consumed, 'still read');
    wire.fin();
    wire.close();
    wire.close();
    assert.equal(connection.state, CLOSED);
    assert.deepEqual(reader.events, ['open', 'end', 'close']);
    assert.equal(reader.error, null);
  });

  test('an end that is asked for while connecting comes when it is open', async () => {
    const { connection, wire } = ((): { connection: Connection; wire: FakeWire } => {
      const c = new Connection(new Listening());
      return { connection: c, wire: new FakeWire(c) };
    })();
    append(connection, 'all I have');
    connection.end();
    await turn();
    assert.equal(wire.ended, false);
    wire.open();
    await turn();
    assert.deepEqual([wire.ended, wire.sentBytes.toString()], [true, 'all I have']);
  });

  test('close hands what was appended to the wire first', () => {
    const { reader, connection, wire } = open();
    append(connection, 'reply');
    connection.close();
    assert.deepEqual([wire.sentBytes.toString(), wire.destroyed, wire.reset], ['reply', true, false]);
    assert.deepEqual(reader.events, ['open', 'close']);
    connection.close();
    assert.deepEqual(reader.events, ['open', 'close']);
  });

  test('close with reset drops it', () => {
    const { connection, wire } = open();
    append(connection, 'reply');
    connection.close(true);
    assert.deepEqual([wire.sentBytes.length, wire.reset], [0, true]);
  });

  test('close within a delivery ends the delivery', () => {
    const { reader, connection, wire } = open();
    reader.take = () => {
      connection.close(true);
      return 0;
    };
    wire.feed('abc');
    assert.equal(connection.carried, 0);
    wire.feed('def');
    assert.equal(reader.offers.length, 1);
  });

  test('a failure is told with its reason, to the reader and then to the owner', () => {
    const { reader, connection, wire } = open();
    const told: string[] = [];
    connection.owner = { connectionClosed: (_c, error) => told.push(`${reader.events.at(-1)} ${error?.code}`) };
    wire.close(new SluiceError('downstream-reset'));
    assert.equal(reader.error?.code, 'downstream-reset');
    assert.deepEqual(told, ['close downstream-reset']);
  });

  test('without a wire is closed at once', () => {
    const reader = new Listening();
    new Connection(reader).close();
    assert.deepEqual(reader.events, ['close']);
  });

  test('detach gives the socket, what was not consumed and what was not sent, and calls nobody', async () => {
    const { reader, connection, wire } = open();
    reader.take = (text) => (text.startsWith('whole') ? 5 : 0);
    wire.feed('whole part');
    append(connection, 'unsent');
    const { socket, unread, unsent } = connection.detach();
    assert.equal(socket, wire);
    assert.deepEqual([unread.toString(), unsent.toString()], [' part', 'unsent']);
    assert.equal(connection.state, DETACHED);
    wire.feed('more');
    wire.fin();
    wire.close();
    await turn();
    assert.deepEqual(reader.events, ['open']);
    assert.equal(wire.sentBytes.length, 0);
  });
});
