// Fuzzing of the HTTP/1.1 codec with a fixed budget and a printed seed: it never throws, splits do not matter, what is accepted is forwarded unchanged.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { Duplex } from 'node:stream';
import { describe, test } from 'node:test';
import { BlockOutput } from '../../../../src/core/bytes.js';
import { Http1 } from '../../../../src/stream/protocol/http1/protocol.js';
import { fuzzSeed, generator, type Random } from '../../../support/fuzz.js';
import { damage, randomBytes, randomCuts, randomReply, randomRequest } from './messages.js';
import { Feeder, Relay, Transcript, feedCut, h, protocol, raw, requests } from './transcript.js';

const seed = fuzzSeed(20240607);

const ROUNDS = 3000;
/** What was accepted may have grown by a header of ours. */
const roomy = new Http1({ maxLine: 100_000, maxHead: 200_000, maxHeaders: 200 });

/** Runs `one` for every round; a failure names the round, so that it can be repeated alone. */
function rounds(salt: number, one: (random: Random) => string): void {
  for (let round = 0; round < ROUNDS; round++) {
    let bytes = '';
    const random = generator(seed + salt * 1_000_003 + round);
    try {
      bytes = one(random);
    } catch (error) {
      throw new Error(`round ${round} of seed ${seed}, ${JSON.stringify(bytes).slice(0, 2000)}`, { cause: error });
    }
  }
}

/** What the host gets for one request, and whether that was accepted whole. */
function relayed(text: string): { readonly bytes: string; readonly whole: boolean } {
  const relay = new Relay();
  const bytes = relay.request(text);
  return { bytes, whole: relay.requestDone && relay.errors.length === 0 };
}

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const HEAD = 'HEAD / HTTP/1.1\r\nHost: a\r\n\r\n';

function reply(request: string, text: string, cuts: readonly number[], made: Http1 = protocol): string[] {
  const relay = new Relay(made.codec('server'), made.codec('client'));
  relay.request(request);
  const sink = new Transcript();
  const feeder = new Feeder(relay.client, sink);
  feedCut(feeder, raw(text), cuts);
  if (sink.errors.length === 0) relay.client.eof(sink);
  return sink.lines;
}

/** A connection without a socket. */
class Memory extends Duplex {
  override _read(): void {}

  override _write(_chunk: unknown, _encoding: string, done: () => void): void {
    done();
  }
}

describe('whatever arrives', () => {
  test('requests: no throw, the same story for every split', () => {
    let accepted = 0;
    rounds(1, (random) => {
      let text = random(10) === 0 ? randomBytes(random) : randomRequest(random);
      if (random(3) === 0) text += randomRequest(random);
      if (random(4) !== 0) text = damage(random, text);
      const whole = requests(text);
      accepted += whole.ends;
      for (let n = 0; n < 3; n++) {
        const cuts = randomCuts(random, text.length);
        assert.deepEqual(requests(text, cuts).lines, whole.lines, `cut at ${cuts.join()}: ${JSON.stringify(text)}`);
      }
      return text;
    });
    assert.ok(accepted > ROUNDS / 4, `only ${accepted} requests were accepted: the generator makes nonsense`);
  });

  test('replies: no throw, the same story for every split', () => {
    let errors = 0;
    rounds(2, (random) => {
      const request = random(3) === 0 ? HEAD : GET;
      let text = random(10) === 0 ? randomBytes(random) : randomReply(random, request === HEAD);
      if (random(3) !== 0) text = damage(random, text);
      const whole = reply(request, text, []);
      if (whole.at(-1)?.startsWith('error') === true) errors++;
      const cuts = randomCuts(random, text.length);
      assert.deepEqual(reply(request, text, cuts), whole, `cut at ${cuts.join()}: ${JSON.stringify(text)}`);
      return text;
    });
    assert.ok(errors > ROUNDS / 10 && errors < (ROUNDS * 9) / 10, `${errors} of ${ROUNDS} replies were refused`);
  });

  test('errors are followed by nothing, and a reply can still be made unless one was', () => {
    rounds(3, (random) => {
      const text = damage(random, randomRequest(random));
      const codec = protocol.codec('server');
      const sink = new Transcript();
      const feeder = new Feeder(codec, sink);
      feeder.give(raw(text));
      if (sink.errors.length === 0) return text;
      assert.equal(codec.mustClose, true);
      const out = new BlockOutput();
      codec.encodeLocalReply(out, 0, { code: sink.errors[0]!, status: 400, body: 'x', headers: [], mirror: -1, close: true });
      assert.match(out.take().toString(), /^HTTP\/1\.1 400 Bad Request\r\n[^]*connection: close\r\n\r\nx?$/);
      feeder.give(raw(GET));
      assert.equal(feeder.left, '');
      assert.equal(sink.lines.filter((line) => line.startsWith('request')).length, sink.lines.filter((line) => /^(body|partly)/.test(line)).length);
      return text;
    });
  });
});

describe('what is accepted', () => {
  test('requests are forwarded as the same request', () => {
    let compared = 0;
    rounds(4, (random) => {
      let text = randomRequest(random);
      if (random(2) === 0) text = damage(random, text);
      const { bytes, whole } = relayed(text);
      if (!whole) return text;
      compared++;
      const before = requests(text).lines.slice(0, 2);
      const after = requests(bytes, [], roomy.codec('server')).lines;
      assert.deepEqual(after, before, `${JSON.stringify(text)} became ${JSON.stringify(bytes)}`);
      // What was forwarded once is forwarded again as it is.
      assert.equal(relayed(bytes).bytes, bytes);
      return text;
    });
    assert.ok(compared > ROUNDS / 4, `only ${compared} requests were compared`);
  });

  test('replies are forwarded as the same reply', () => {
    let compared = 0;
    rounds(5, (random) => {
      const request = random(3) === 0 ? HEAD : GET;
      let text = randomReply(random, request === HEAD);
      if (random(2) === 0) text = damage(random, text);
      const relay = new Relay();
      relay.request(request);
      let bytes = relay.reply(text);
      if (relay.errors.length === 0) bytes += relay.hostEnds();
      if (relay.errors.length > 0 || !relay.replyDone) return text;
      compared++;
      assert.deepEqual(reply(request, bytes, [], roomy), reply(request, text, []), `${JSON.stringify(text)} became ${JSON.stringify(bytes)}`);
      return text;
    });
    assert.ok(compared > ROUNDS / 4, `only ${compared} replies were compared`);
  });

  test('requests are understood by Node\'s own parser as we understood them', async () => {
    const server = createServer({ requireHostHeader: false });
    server.on('checkContinue', (request, response) => server.emit('request', request, response));
    server.on('upgrade', (request) => request.socket.emit('understood', `${request.method} ${request.url} ${request.headers.host ?? ''} ""`));
    server.on('request', (request, response) => {
      let body = '';
      request.setEncoding('latin1');
      request.on('data', (piece: string) => (body += piece));
      request.on('end', () => {
        const trailers = Object.entries(request.trailers).map(([name, value]) => `${name}=${value}`).join();
        request.socket.emit('understood', `${request.method} ${request.url} ${request.headers.host ?? ''} "${body}" ${trailers}`.trimEnd());
        response.end();
      });
    });
    const random = generator(seed + 77);
    let compared = 0;
    for (let round = 0; round < 400; round++) {
      let text = randomRequest(random);
      if (random(2) === 0) text = damage(random, text);
      const relay = new Relay();
      let ours = '';
      relay.onRequestHead = (head) => {
        ours = [':method', ':path', ':authority'].map((part) => head.get(h(part)) ?? '').join(' ');
      };
      const bytes = relay.request(text);
      // Methods are the one thing that its parser knows a list of, and bytes over 127 in a target are beyond it.
      if (!relay.requestDone || relay.errors.length > 0 || !/^(GET|HEAD|DELETE|OPTIONS|POST|PUT|PATCH) [!-~]+ /.test(bytes)) continue;
      const socket = new Memory();
      const understood: string[] = [];
      socket.on('understood', (what: string) => understood.push(what));
      server.emit('connection', socket);
      const settled = Promise.race([once(socket, 'understood'), once(socket, 'close')]);
      socket.push(raw(bytes));
      await settled;
      const parsed = requests(bytes, [], roomy.codec('server')).lines[1]!;
      const [, body = '', trailers = ''] = /^body "([^]*)"(?: trailers (.*))?$/.exec(parsed)!;
      const theirs = trailers.split(' | ').filter((line) => line !== '').map((line) => line.toLowerCase().replace(': ', '=')).join();
      assert.deepEqual(understood, [`${ours} "${body}" ${theirs}`.trimEnd()], `${JSON.stringify(text)} became ${JSON.stringify(bytes)}`);
      compared++;
      socket.destroy();
    }
    server.close();
    assert.ok(compared > 100, `only ${compared} requests were compared`);
  });
});
