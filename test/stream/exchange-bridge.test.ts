// What bridges may rely on: whole requests, replies gathered or in pieces, credit for what came, failures in their form, and nothing left over.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FakeClock } from '../../src/core/clock-fake.js';
import { setClock } from '../../src/core/clock.js';
import type { Bridge } from '../../src/stream/bridge.js';
import type { Exchange } from '../../src/stream/exchange.js';
import { CONTINUE, REPLIED, type StreamFilter } from '../../src/stream/filter.js';
import { headerName, type Head } from '../../src/stream/head.js';
import { Http2 } from '../../src/stream/protocol/http2/protocol.js';
import { madeReply, madeRequest } from '../../src/stream/protocol/http2/made.js';
import type { FakeWire } from '../support/fake-wire.js';
import { data, FrameReader, headers, hello, OK, post, reset, settings, settingsAck, windowUpdate } from '../support/http2.js';
import { Lab, type LabOptions } from '../support/stream-lab.js';

const NONE = { pending: 0, requests: 0, retries: 0, activeRequests: 0, pendingRequests: 0, listenerActive: 0, hostsActive: 0 };
const BIG = 1 << 24;

class End {
  readonly wire: FakeWire;
  readonly reader = new FrameReader();

  constructor(wire: FakeWire, begin: Buffer) {
    this.wire = wire;
    wire.feed(begin);
  }

  send(...frames: readonly Buffer[]): void {
    this.wire.feed(Buffer.concat(frames));
  }

  news(): string[] {
    return this.reader.push(this.wire.take()).news();
  }

  /** Content that came on stream 1. */
  content(): string {
    return this.reader.push(this.wire.take()).content(1).toString();
  }
}

type Parts = Partial<Bridge>;

/** Upper-cases requests, doubles every byte of a reply. */
function doubling(parts: Parts = {}): Bridge {
  const twice = (bytes: Uint8Array): Buffer => Buffer.from([...bytes].flatMap((byte) => [byte, byte]));
  return {
    name: 'doubling',
    protocol: '',
    limit: 1000,
    request: (_exchange: Exchange, _head: Head, body: Uint8Array) => {
      const made = madeRequest({ method: 'POST', path: '/made', authority: 'a' }, []);
      made.setBody(Buffer.from(Buffer.from(body).toString().toUpperCase()));
      return made;
    },
    reply: (_exchange: Exchange, _head: Head, body: Uint8Array, trailers: Head | null) => {
      const made = madeReply(201, []);
      made.setBody(Buffer.concat([twice(body), Buffer.from(trailers?.get(headerName('t')) ?? '')]));
      return made;
    },
    ...parts,
  };
}

const inPieces: Parts = {
  replyHead: () => madeReply(200, []),
  piece: (_exchange, buf, start, end) => Buffer.from([...buf.subarray(start, end)].flatMap((byte) => [byte, byte])),
  end: (_exchange, trailers) => Buffer.from(`.${trailers?.get(headerName('t')) ?? ''}`),
};

class World {
  readonly l: Lab;
  readonly client: End;
  private made: End | null = null;

  /** `window`: what the client lets come on a stream. */
  constructor(parts: Parts = {}, { window = BIG, ...options }: Partial<LabOptions> & { window?: number } = {}) {
    const filter: StreamFilter = {
      name: 'bridge',
      onRoute(exchange) {
        exchange.bridge = doubling(parts);
        return CONTINUE;
      },
    };
    this.l = new Lab({ protocol: new Http2(), filters: [filter], ...options });
    this.client = new End(this.l.client(), Buffer.concat([hello([4, window]), settingsAck, windowUpdate(0, BIG)]));
  }

  get host(): End {
    this.made ??= new End(this.l.upstream(0), Buffer.concat([settings(), settingsAck, windowUpdate(0, BIG)]));
    return this.made;
  }

  /** A request and the head of its reply. */
  begin(): this {
    this.client.send(post(1), data(1, 'ask', { end: true }));
    this.host.news();
    this.host.send(headers(1, OK));
    return this;
  }

  /** Bytes that the host may send more than before, on its stream. */
  credit(): number {
    return this.host.news().filter((line) => line.startsWith('WINDOW_UPDATE 1 ')).reduce((sum, line) => sum + Number(line.split(' ')[2]), 0);
  }

  done(code: string): void {
    assert.deepEqual([this.l.finished.length, this.l.last.code], [1, code]);
    const { connections: _, ...levels } = this.l.levels();
    assert.deepEqual(levels, NONE);
  }
}

function frozen(run: () => void): void {
  const restore = setClock(new FakeClock());
  try {
    run();
  } finally {
    restore();
  }
}

describe('a request', () => {
  test('comes whole, in however many pieces, and goes on as what the bridge made of it', () => {
    frozen(() => {
      const w = new World();
      w.client.send(post(1), data(1, 'one '));
      w.client.send(data(1, 'two '));
      assert.equal(w.l.dialled.length, 0, 'nothing goes on before it is whole');
      w.client.send(data(1, 'three', { end: true }));
      assert.deepEqual(w.host.news(), ['HEADERS 1 :method=POST :scheme=http :path=/made :authority=a', 'DATA 1 13 end']);
      assert.equal(w.host.content(), 'ONE TWO THREE');
      w.host.send(headers(1, OK, { end: true }));
      w.done('');
    });
  });

  test('over the limit is refused, before it is whole', () => {
    frozen(() => {
      const w = new World();
      w.client.send(post(1), data(1, Buffer.alloc(1001)));
      assert.match(w.client.news()[0]!, /:status=413/);
      w.done('body-too-large');
    });
  });

  for (const [what, request, code, status] of [
    ['throws', () => { throw new Error('no'); }, 'filter-threw', 500],
    ['refuses', (exchange: Exchange) => { exchange.fail('bad-request', { detail: 'x' }); return null; }, 'bad-request', 400],
    ['answers', (exchange: Exchange) => { exchange.answerWith(204, ''); return null; }, '', 204],
  ] as const) {
    test(`ends where the bridge ${what}`, () => {
      frozen(() => {
        const w = new World({ request });
        w.client.send(post(1), data(1, 'ask', { end: true }));
        assert.match(w.client.news()[0]!, new RegExp(`:status=${status}`));
        assert.equal(w.l.dialled.length, 0);
        w.done(code);
      });
    });
  }
});

describe('a gathered reply', () => {
  test('goes through the bridge with its trailers, and the host is credited with it', () => {
    frozen(() => {
      const w = new World({ limit: 200_000 }).begin();
      for (let i = 0; i < 10; i++) w.host.send(data(1, 'x'.repeat(16_000)));
      assert.equal(w.client.news().length, 0);
      // What is owed is told when half a window has come together.
      const credited = w.credit();
      assert.ok(credited <= 160_000 && credited > 96_000, String(credited));
      w.host.send(headers(1, [['t', 'end']], { end: true }));
      assert.match(w.client.news()[0]!, /:status=201/);
      assert.equal(w.client.content(), `${'x'.repeat(320_000)}end`);
      w.done('');
      assert.equal(w.l.last.status, 201);
    });
  });

  test('over the limit is a bad one', () => {
    frozen(() => {
      const w = new World().begin();
      w.host.send(data(1, Buffer.alloc(1001)));
      assert.match(w.client.news()[0]!, /:status=502/);
      w.done('reply-too-large');
    });
  });

  test('of which the bridge makes nothing is one of the proxy', () => {
    frozen(() => {
      const w = new World({ reply: () => { throw new Error('no'); } }).begin();
      w.host.send(data(1, 'x', { end: true }));
      assert.match(w.client.news()[0]!, /:status=500/);
      w.done('filter-threw');
    });
  });

  test('that is cut gets no further', () => {
    frozen(() => {
      const w = new World().begin();
      w.host.send(data(1, 'x'), reset(1, 2));
      assert.match(w.client.news()[0]!, /:status=502/);
      w.done('stream-reset');
    });
  });
});

describe('a reply in pieces', () => {
  test('comes as it comes, and ends with what the bridge puts there', () => {
    frozen(() => {
      const w = new World(inPieces).begin();
      assert.match(w.client.news()[0]!, /:status=200/);
      w.host.send(data(1, 'ab'));
      assert.equal(w.client.content(), 'aabb');
      w.host.send(headers(1, [['t', 'end'], ['grpc-status', '5']], { end: true }));
      assert.equal(w.client.content(), 'aabb.end');
      w.done('');
    });
  });

  test('credits the host with what it sent, not with what became of it', () => {
    frozen(() => {
      const w = new World(inPieces).begin();
      for (let i = 0; i < 10; i++) w.host.send(data(1, Buffer.alloc(16_000)));
      const credited = w.credit();
      assert.ok(credited <= 160_000 && credited > 96_000, String(credited));
    });
  });

  test('credits the host with what is left out', () => {
    frozen(() => {
      const w = new World({ ...inPieces, piece: () => Buffer.alloc(0) }).begin();
      for (let i = 0; i < 10; i++) w.host.send(data(1, Buffer.alloc(16_000)));
      const credited = w.credit();
      assert.ok(credited <= 160_000 && credited > 96_000, String(credited));
      assert.equal(w.client.news().length, 1);
    });
  });

  test('holds the host back while the client takes nothing, and goes on when it does', () => {
    frozen(() => {
      const w = new World(inPieces, { window: 10_000 }).begin();
      for (let i = 0; i < 10; i++) w.host.send(data(1, Buffer.alloc(16_000)));
      assert.equal(w.credit(), 0);
      w.client.send(windowUpdate(1, 1_000_000));
      const credited = w.credit();
      assert.ok(credited > 0 && credited <= 160_000, String(credited));
      w.host.send(data(1, '', { end: true }));
      assert.equal(w.client.content().length, 320_001);
      w.done('');
    });
  });

  test('holds the host back also where most pieces are left out', () => {
    frozen(() => {
      let pieces = 0;
      const piece = (_exchange: Exchange, _buf: Uint8Array, start: number, end: number): Buffer => Buffer.alloc(++pieces % 4 === 1 ? 4 * (end - start) : 0);
      const w = new World({ ...inPieces, piece }, { window: 10_000 }).begin();
      for (let i = 0; i < 12; i++) w.host.send(data(1, Buffer.alloc(16_000)));
      assert.equal(w.credit(), 0);
      w.client.send(windowUpdate(1, 1_000_000));
      const credited = w.credit();
      assert.ok(credited > 0 && credited <= 192_000, String(credited));
    });
  });

  for (const [what, parts, cut] of [
    ['the host resets its stream', inPieces, 'stream-reset'],
    ['the bridge throws in a piece', { ...inPieces, piece: () => { throw new Error('no'); } }, 'filter-threw'],
    ['the bridge fails the exchange in a piece', { ...inPieces, piece: (exchange: Exchange) => { exchange.fail('bad-reply', { detail: 'x' }); return Buffer.from('not seen'); } }, 'bad-reply'],
    ['the bridge throws at the end', { ...inPieces, end: () => { throw new Error('no'); } }, 'filter-threw'],
  ] as const) {
    test(`${what}: the client sees a reset, or the end that the bridge has for it`, () => {
      frozen(() => {
        for (const own of [false, true]) {
          const w = new World({ ...parts, ...(own ? { cut: (_exchange, code) => Buffer.from(`<${code}>`) } : {}) } as Parts).begin();
          w.client.news();
          if (cut === 'stream-reset') w.host.send(reset(1, 2));
          else w.host.send(data(1, 'x', { end: true }));
          const lines = w.client.news();
          if (own) assert.deepEqual([lines.at(-1), w.client.content().endsWith(`<${cut}>`)], [`DATA 1 ${cut.length + 2} end`, true]);
          else assert.match(lines.at(-1)!, /^RST_STREAM 1/);
          w.done(cut);
        }
      });
    });
  }

  test('a bridge that fails at a failure leaves the reply cut', () => {
    frozen(() => {
      const w = new World({ ...inPieces, cut: () => { throw new Error('no'); } }).begin();
      w.client.news();
      w.host.send(reset(1, 2));
      assert.match(w.client.news().at(-1)!, /^RST_STREAM 1/);
      w.done('stream-reset');
    });
  });
});

describe('replies of the proxy itself', () => {
  test('take the form that the bridge gives them', () => {
    frozen(() => {
      const w = new World({ local: (_exchange, reply) => ({ ...reply, status: 299, headers: [['x-code', reply.code]], body: 'in its form' }) });
      w.client.send(post(1), data(1, Buffer.alloc(1001)));
      assert.match(w.client.news()[0]!, /:status=299 .*x-code=body-too-large/);
      assert.equal(w.client.content(), 'in its form');
      w.done('body-too-large');
      assert.equal(w.l.last.status, 413, 'in logs they are what they are');
    });
  });

  test('keep theirs where the bridge throws', () => {
    frozen(() => {
      const w = new World({ local: () => { throw new Error('no'); } });
      w.client.send(post(1), data(1, Buffer.alloc(1001)));
      assert.match(w.client.news()[0]!, /:status=413/);
      w.done('body-too-large');
    });
  });
});

describe('another route', () => {
  const passing = (found: string[]): StreamFilter => ({
    name: 'passing',
    onRoute(exchange) {
      for (;;) {
        found.push(exchange.route!.name);
        if (exchange.nextRoute()) continue;
        exchange.fail('no-route', { detail: 'none is left' });
        return REPLIED;
      }
    },
  });

  test('is the next that the request matches, to the last one', () => {
    frozen(() => {
      const found: string[] = [];
      const table = {
        name: 'main',
        virtual_hosts: [
          { name: 'other', domains: ['x'], routes: [{ name: 'not-mine', cluster: 'app' }] },
          { name: 'mine', domains: ['*'], routes: [{ name: 'a', match: { prefix: '/' }, cluster: 'app' }, { name: 'b', match: { prefix: '/no' }, cluster: 'app' }, { name: 'c', match: { method: 'POST' }, cluster: 'app' }] },
        ],
      };
      const w = new World({}, { filters: [passing(found)], table });
      w.client.send(post(1), data(1, '', { end: true }));
      assert.deepEqual(found, ['a', 'c']);
      assert.match(w.client.news()[0]!, /:status=404/);
      w.done('no-route');
    });
  });
});
