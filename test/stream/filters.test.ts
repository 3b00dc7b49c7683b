// The filter contract tried on HTTP/1 and Bolt: sync edit, async hold, body rewrite, whole-body buffer, throws, and replacement while in use.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FilterChain } from '../../src/stream/chain.js';
import { CONTINUE, type StreamFilter } from '../../src/stream/filter.js';
import { buildFrame, buildHeaders } from '../../src/stream/protocol/bolt/frame.js';
import { BoltProtocol } from '../../src/stream/protocol/bolt/protocol.js';
import { manifest } from '../../src/stream/protocol/http1/manifest.js';
import { EditFilter, HoldFilter, ReverseFilter, UpperFilter } from '../support/filters.js';
import { Lab } from '../support/stream-lab.js';

const http = (filters: StreamFilter[], more: object = {}): Lab => new Lab({ protocol: manifest.create(manifest.schema.parse({})), filters, ...more });
const bolt = (filters: StreamFilter[], more: object = {}): Lab => new Lab({ protocol: new BoltProtocol(), filters, ...more });
const POST = 'POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\n\r\nbody';
const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nreply';

function frame(type: number, id: number, content: string): Buffer {
  return buildFrame({
    proto: 1, ver1: 1, switches: 0, type, command: type === 0 ? 2 : 1, id, codec: 1, timeoutOrStatus: type === 0 ? 0 : 3000,
    className: Buffer.from('C'), headers: buildHeaders([['service', 's']]), content: Buffer.from(content),
  });
}
const idOf = (b: Buffer): number => b.readUInt32BE(5);
const contentOf = (b: Buffer): string => {
  const fixed = b[1] === 0 ? 20 : 22;
  return b.subarray(b.length - b.readUInt32BE(fixed - 4)).toString();
};

test('an edit reaches the wire in both directions, in both protocols', () => {
  const edit = new EditFilter();
  const h = http([edit]);
  const c = h.client();
  c.feed(POST);
  assert.match(h.upstream().text(), /x-edited: request\r\n[\s\S]*\r\nbody$/);
  h.upstream().feed(OK);
  assert.match(c.text(), /x-edited: reply\r\n[\s\S]*\r\nreply$/);
  assert.equal(edit.done, 1);

  const b = bolt([new EditFilter()]);
  const d = b.client();
  d.feed(frame(1, 9, 'ask'));
  const sent = b.upstream().take();
  assert.ok(sent.includes('x-edited') && sent.includes('request'));
  assert.equal(contentOf(sent), 'ask');
  b.upstream().feed(frame(0, idOf(sent), 'answer'));
  const got = d.take();
  assert.equal(idOf(got), 9);
  assert.ok(got.includes('x-edited'));
  assert.equal(contentOf(got), 'answer');
});

test('a hold stops one exchange: its body waits, others of a Bolt connection pass it', () => {
  const hold = new HoldFilter();
  const h = http([hold]);
  const c = h.client();
  c.feed('POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\n\r\nbo');
  assert.equal(h.dialled.length, 0);
  assert.equal(c.paused, true);
  hold.requests[0]!.resume();
  assert.match(h.upstream().text(), /\r\n\r\nbo$/);
  assert.equal(c.paused, false);
  c.feed('dy');
  assert.equal(h.upstream().text(), 'dy');
  h.upstream().feed(OK);
  assert.ok(c.text().endsWith('reply'));

  const held = new HoldFilter();
  const b = bolt([held]);
  const d = b.client();
  d.feed(Buffer.concat([frame(1, 1, 'one'), frame(1, 2, 'two')]));
  assert.equal(held.requests.length, 2);
  held.requests[1]!.resume();
  const sent = b.upstream().take();
  assert.equal(contentOf(sent), 'two');
  b.upstream().feed(frame(0, idOf(sent), 'to two'));
  assert.equal(idOf(d.take()), 2);
  held.requests[0]!.resume();
  assert.equal(contentOf(b.upstream().take()), 'one');
});

test('a hold can be cancelled with a reason; a token works once; a client that left makes it void', () => {
  const hold = new HoldFilter();
  const h = http([hold]);
  const c = h.client();
  c.feed(POST);
  hold.requests[0]!.cancel('denied', { detail: 'not today' });
  assert.match(c.text(), /^HTTP\/1\.1 403 [\s\S]*not today/);
  hold.requests[0]!.resume();
  assert.equal(h.dialled.length, 0);
  c.feed(POST);
  c.close();
  hold.requests[1]!.resume();
  assert.equal(h.dialled.length, 0);
  assert.equal(h.last.code, 'downstream-closed');
  assert.equal(h.levels()['listenerActive'], 0);
});

test('a reply can be held, with what follows of it', () => {
  const hold = new HoldFilter('reply');
  const h = http([hold]);
  const c = h.client();
  c.feed(POST);
  h.upstream().take();
  h.upstream().feed('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nre');
  assert.equal(c.text(), '');
  assert.equal(h.upstream(0).paused, true);
  hold.replies[0]!.resume();
  assert.ok(c.text().endsWith('\r\n\r\nre'));
  h.upstream().feed('ply');
  assert.equal(c.text(), 'ply');
  assert.equal(h.last.status, 200);
});

test('bodies are replaced piece by piece over HTTP/1, and as whole frames over Bolt', () => {
  const filter = new UpperFilter();
  const h = http([filter]);
  const c = h.client();
  c.feed('POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\n\r\nbo');
  c.feed('dy');
  const text = h.upstream().text();
  assert.match(text, /transfer-encoding: chunked/);
  assert.doesNotMatch(text, /content-length/);
  assert.match(text, /2\r\nBO\r\n2\r\nDY\r\n0\r\n\r\n$/);
  h.upstream().feed(OK);
  assert.match(c.text(), /\r\n\r\nREPLY$/);
  assert.equal(filter.pieces >= 3, true);

  const b = bolt([new UpperFilter()]);
  const d = b.client();
  d.feed(frame(1, 4, 'ask'));
  const sent = b.upstream().take();
  assert.equal(contentOf(sent), 'ASK');
  b.upstream().feed(frame(0, idOf(sent), 'answer'));
  assert.equal(contentOf(d.take()), 'ANSWER');
});

test('a whole body is seen once, sent with its own length, and refused over the limit', () => {
  const filter = new ReverseFilter();
  const h = http([filter]);
  const c = h.client();
  c.feed('POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n');
  assert.equal(h.dialled.length, 0);
  c.feed('2\r\ncd\r\n0\r\n\r\n');
  assert.match(h.upstream().text(), /content-length: 4\r\n[\s\S]*\r\ndcba$/);
  h.upstream().feed('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nxyz\r\n');
  assert.equal(c.text(), '');
  h.upstream().feed('0\r\n\r\n');
  assert.match(c.text(), /content-length: 3\r\n[\s\S]*\r\nzyx$/);
  assert.deepEqual(filter.seen, ['abcd']);
  c.feed(`POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 2000\r\n\r\n${'x'.repeat(1500)}`);
  assert.match(c.text(), /^HTTP\/1\.1 413 [\s\S]*body-too-large/);
  assert.equal(c.destroyed, true);

  const b = bolt([new ReverseFilter()]);
  const d = b.client();
  d.feed(frame(1, 4, 'abc'));
  assert.equal(contentOf(b.upstream().take()), 'cba');
});

test('filters run in order on requests and in reverse on replies', () => {
  const order: string[] = [];
  const named = (name: string): StreamFilter => ({
    name,
    onRequest: () => (order.push(`${name} request`), CONTINUE),
    onRoute: (exchange) => (order.push(`${name} on route ${exchange.route!.name}`), CONTINUE),
    onReply: () => (order.push(`${name} reply`), CONTINUE),
    onDone: () => void order.push(`${name} done`),
  });
  const h = http([named('a'), named('b')]);
  const c = h.client();
  c.feed(POST);
  h.upstream().take();
  h.upstream().feed(OK);
  c.take();
  assert.deepEqual(order, ['a request', 'b request', 'a on route all', 'b on route all', 'b reply', 'a reply', 'a done', 'b done']);
});

test('a filter that throws ends its exchange with filter-threw and nothing else, wherever it throws', () => {
  for (const where of ['onRequest', 'onReply', 'onRequestBody', 'onReplyBody'] as const) {
    const bad = { name: 'bad', requestBody: where === 'onRequestBody' ? 'buffer' : 'pass', replyBody: where === 'onReplyBody' ? 'buffer' : 'pass', [where]: () => { throw new Error('oops'); } } as StreamFilter;
    const h = http([bad]);
    const c = h.client();
    c.feed(POST);
    if (h.dialled.length > 0) {
      h.upstream().take();
      h.upstream().feed(OK);
    }
    assert.match(c.text(), /^HTTP\/1\.1 500 [\s\S]*filter-threw/, where);
    assert.equal(h.last.code, 'filter-threw');
    assert.equal(h.last.context['filter'], 'bad');
    assert.equal(h.levels()['requests'], 0, where);
  }
});

test('a filter can answer itself', () => {
  const h = http([{ name: 'gate', onRequest: (exchange) => (exchange.answer(h.listener.chain.request[0]!, 401, 'who are you', [['www-authenticate', 'Basic']]), 1) }]);
  const c = h.client();
  c.feed(POST);
  assert.match(c.text(), /^HTTP\/1\.1 401 [\s\S]*www-authenticate: Basic[\s\S]*who are you$/);
  assert.equal(h.dialled.length, 0);
  assert.equal(h.last.status, 401);
});

test('a replaced chain finishes its exchanges and is closed with the last of them', () => {
  const old = new EditFilter();
  const h = http([old]);
  const c = h.client();
  c.feed(POST);
  const { name, protocol, table, captures, logs, timeouts, requestIds } = h.listener;
  h.listener.update({ name, protocol, table, captures, logs, timeouts, requestIds, chain: new FilterChain([]) });
  assert.equal(old.closed, 0);
  h.upstream().take();
  h.upstream().feed(OK);
  assert.match(c.text(), /x-edited: reply/, 'what began with the old chain ends with it');
  assert.equal(old.closed, 1);
  c.feed(POST);
  assert.doesNotMatch(h.upstream().text(), /x-edited/);
});
