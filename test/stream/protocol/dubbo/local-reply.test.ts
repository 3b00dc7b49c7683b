// Replies of the proxy itself: the right status and serialization for every reason, read by hessian.js.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BlockOutput } from '../../../../src/core/bytes.js';
import { reasons, type ReasonCode } from '../../../../src/core/reason.js';
import type { LocalReply } from '../../../../src/stream/protocol.js';
import { DubboCodec } from '../../../../src/stream/protocol/dubbo/codec.js';
import { buildLocalReply } from '../../../../src/stream/protocol/dubbo/local-reply.js';
import { DubboProtocol } from '../../../../src/stream/protocol/dubbo/protocol.js';
import { bodyOf, captured, request, values } from './frames.js';
import { Recorder, decodeAll } from './recorder.js';

const local = (code: ReasonCode, more: Partial<LocalReply> = {}): LocalReply => ({ code, status: reasons[code].http, body: '', headers: [], mirror: 2, close: false, ...more });

test('every reason has a status, a sentence that ends in its code, and the HTTP-like status that another Sluice reads', () => {
  for (const code of Object.keys(reasons) as ReasonCode[]) {
    if (reasons[code].kind === 'ok') continue;
    const frame = buildLocalReply(local(code));
    assert.deepEqual([frame[0], frame[1], frame[2]], [0xda, 0xbb, 2]);
    const [text, ...rest] = values(bodyOf(frame));
    assert.equal(rest.length, 0);
    assert.ok((text as string).endsWith(` (${code})`), code);
    const head = decodeAll(frame, 'client').heads[0]!;
    assert.equal(head.rawStatus, new DubboProtocol().statusOf(code));
    if (reasons[code].http >= 400) assert.equal(head.status, reasons[code].http, code);
  }
});

test('statuses: what Dubbo calls them', () => {
  const status = (code: ReasonCode): number => new DubboProtocol().statusOf(code);
  assert.deepEqual(
    (['no-route', 'request-timeout', 'try-timeout', 'head-timeout', 'bad-frame', 'frame-too-large', 'denied', 'rate-limited', 'breaker-requests', 'no-host', 'connect-refused', 'upstream-closed', 'draining', 'bad-reply', 'internal', 'filter-threw'] as const).map(status),
    [60, 31, 31, 30, 40, 40, 70, 100, 100, 80, 80, 80, 80, 50, 80, 80],
  );
});

test('a route or filter that answers chooses an HTTP-like status: ok is a result, other statuses are errors with its text', () => {
  const of = (status: number, body: string | Uint8Array = 'text', mirror = 2): [number, unknown[]] => {
    const frame = buildLocalReply(local('direct-response', { status, body, mirror }));
    return [frame[3]!, values(bodyOf(frame))];
  };
  assert.deepEqual(of(200), [20, [1, 'text']]);
  assert.deepEqual(of(204, ''), [20, [2]]);
  assert.deepEqual(of(200, Buffer.from('bytes')), [20, [1, 'bytes']]);
  assert.deepEqual([of(404), of(503), of(504), of(400), of(403), of(500), of(302)].map(([status, [text]]) => [status, text]), [[60, 'text'], [100, 'text'], [31, 'text'], [40, 'text'], [70, 'text'], [80, 'text'], [70, 'text']]);
  assert.deepEqual(of(200, 'text', 22), [20, [1, 'text']], 'a serialization that is not written is answered in Hessian');
});

test('long texts are cut, and texts beyond ASCII are what they were', () => {
  const frame = buildLocalReply(local('denied', { body: 'ü😀'.repeat(9000) }));
  const [text] = values(bodyOf(frame)) as [string];
  assert.ok(text.startsWith('ü😀ü😀') && text.length < 8300);
});

test('a caller in fastjson2 is answered in it', () => {
  for (const [reply, flags, status] of [[local('no-route', { mirror: 23 }), 23, 60], [local('direct-response', { status: 200, body: 'yes', mirror: 23 }), 23, 20], [local('direct-response', { status: 200, mirror: 23 }), 23, 20]] as const) {
    const frame = buildLocalReply(reply);
    assert.deepEqual([frame[2], frame[3]], [flags, status]);
    const body = bodyOf(frame);
    let items = 0;
    for (let p = 0; p < body.length; items++) p += 4 + body.readInt32BE(p);
    assert.equal(items, status === 20 && reply.body !== '' ? 2 : 1);
    if (status === 20) assert.equal(decodeAll(frame, 'client').lines[0]!.includes(reply.body === '' ? ' null ' : ' value '), true);
    else assert.ok(body.includes('(no-route)'));
  }
});

test('a head tells what its reply mirrors', () => {
  const protocol = new DubboProtocol();
  assert.equal(protocol.mirror(decodeAll(request()).heads[0]!), 2);
  assert.equal(protocol.mirror(decodeAll(captured('fastjson2 hello request')).heads[0]!), 23);
});

test('nothing is written where no request is known', () => {
  const out = new BlockOutput();
  const codec = new DubboCodec('server');
  codec.encodeLocalReply(out, 0, local('bad-frame'));
  assert.equal(out.take().length, 0);
  const bytes = request({ id: 9n });
  codec.decode(bytes, 0, bytes.length, new Recorder());
  codec.encodeLocalReply(out, 0, local('bad-frame'));
  assert.equal(out.take().readBigUInt64BE(4), 9n);
});
