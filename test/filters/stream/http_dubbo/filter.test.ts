// Exchanges that http_dubbo carries, without sockets: what hosts are sent, what clients get for every kind of reply, faults, edits of routes.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { loadHessian } from '../../../../src/filters/stream/http_dubbo/hessian.js';
import { manifest } from '../../../../src/filters/stream/http_dubbo/manifest.js';
import { FakeClock } from '../../../../src/core/clock-fake.js';
import { setClock } from '../../../../src/core/clock.js';
import type { JavaObject, JavaValue } from '../../../../src/stream/java/show.js';
import { HEADER, buildFrame, idOf } from '../../../../src/stream/protocol/dubbo/frame.js';
import { DubboProtocol } from '../../../../src/stream/protocol/dubbo/protocol.js';
import type { FakeWire } from '../../../support/fake-wire.js';
import { Lab, type LabOptions } from '../../../support/stream-lab.js';
import { protocol as http1 } from '../../../stream/protocol/http1/transcript.js';

const hessian = await loadHessian();

/** The library is there; a turn later the filter has it. */
async function make(options: object = {}, more: Partial<LabOptions> = {}): Promise<Lab> {
  const filter = manifest.create(manifest.schema.parse(options));
  await new Promise((done) => setImmediate(done));
  return new Lab({ protocol: http1, upstream: new DubboProtocol(), filters: [filter], ...more });
}

const post = (path: string, body: string, headers = ''): string => `POST ${path} HTTP/1.1\r\nhost: h\r\n${headers}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;

/** The values in the one frame that a host was sent, attachments as an object, and its id. */
function asked(wire: FakeWire): { id: number; values: JavaValue[]; attachments: Record<string, JavaValue> } {
  const bytes = wire.take();
  assert.equal(bytes.subarray(0, 4).toString('hex'), 'dabbc200');
  assert.equal(bytes.readInt32BE(12), bytes.length - HEADER);
  const reader = hessian.reader(bytes.subarray(HEADER));
  const values = Array.from({ length: 8 }, () => reader.next());
  const map = reader.next() as JavaObject;
  assert.throws(() => reader.next(), 'nothing follows');
  return { id: idOf(bytes, 0), values, attachments: Object.fromEntries(map.fields) };
}

type Writer = ReturnType<typeof hessian.writer>;
function reply(id: number, write: (w: Writer) => void, status = 20, serialization = 2): Buffer {
  const w = hessian.writer();
  write(w);
  return buildFrame(serialization, status, id, w.take());
}

function got(client: FakeWire): { status: number; json: unknown } {
  const text = client.take().toString();
  const [head, body = ''] = text.split('\r\n\r\n') as [string, string?];
  assert.equal(/content-length: (\d+)/.exec(head)?.[1], String(Buffer.byteLength(body)), text);
  assert.match(head, /content-type: application\/json/);
  return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(head)![1]), json: JSON.parse(body) as unknown };
}

const levels = (lab: Lab): number => Object.entries(lab.levels()).reduce((sum, [name, n]) => (name === 'connections' ? sum : sum + n), 0);

describe('JSON to Dubbo', () => {
  test('the frame that a host is sent, with the edits of the route', async () => {
    const lab = await make({ attachments: ['X-Tenant', 'token'], types: { 'com.x.Shop.go': ['long', 'com.x.Order'] } }, { route: { request_headers: { set: { 'x-new': 'by the route', group: 'moved' } }, timeout: '7s' } });
    const client = lab.client();
    const headers = 'X-Tenant: t\r\ndubbo-attachment-Env: e\r\ndubbo-attachment-generic: raw.return\r\ntoken: secret\r\nx-other: o\r\ndubbo-group: blue\r\ndubbo-version: 1.2.0\r\n';
    client.feed(post('/com.x.Shop/go?q=1', '[5, {"id": 1, "lines": [1.0]}]', headers));
    const { values, attachments, id } = asked(lab.upstream());
    assert.deepEqual(values.slice(0, 7), ['2.0.2', 'com.x.Shop', '1.2.0', '$invoke', 'Ljava/lang/String;[Ljava/lang/String;[Ljava/lang/Object;', 'go', ['long', 'com.x.Order']]);
    assert.deepEqual(values[7], [5, { className: '', fields: new Map<string, JavaValue>([['id', 1], ['lines', [1]]]) }]);
    assert.deepEqual(attachments, { 'x-tenant': 't', env: 'e', path: 'com.x.Shop', interface: 'com.x.Shop', generic: 'true', version: '1.2.0', group: 'moved', timeout: '7000', 'x-new': 'by the route' });
    lab.upstream().feed(reply(id, (w) => {
      w.int(1);
      w.string('done');
    }));
    assert.deepEqual(got(client), { status: 200, json: 'done' });
    assert.equal(lab.last.status, 200);
    assert.equal(levels(lab), 0);
  });

  test('types that nobody said are left to the server; a request that comes byte by byte', async () => {
    const lab = await make();
    const client = lab.client();
    for (const byte of Buffer.from(post('/com.x.Shop/go', '["é"]', 'dubbo-timeout: 1234\r\n'))) client.feed(Buffer.from([byte]));
    const { values, attachments } = asked(lab.upstream());
    assert.deepEqual(values.slice(5), ['go', null, ['é']]);
    assert.deepEqual([values[2], attachments['version'], attachments['timeout']], ['0.0.0', undefined, '1234']);
  });

  test('replies of every kind', async () => {
    const error = (w: Writer): void => {
      w.map('com.alibaba.dubbo.rpc.service.GenericException');
      for (const text of ['exceptionClass', 'com.x.Refusal', 'exceptionMessage', 'no', 'detailMessage', 'com.x.Refusal: no']) w.string(text);
      w.endMap();
    };
    const bad = (detail: string): object => ({ error: { code: 'bad-reply', message: `host 10.0.0.1:80 sent a malformed reply: ${detail}` } });
    for (const [frame, status, json] of [
      [(id: number) => reply(id, (w) => w.int(2)), 200, null],
      [(id: number) => reply(id, (w) => { w.int(5); w.map(''); w.string('dubbo'); w.string('2.0.2'); w.endMap(); }), 200, null],
      [(id: number) => reply(id, (w) => { w.int(4); w.long(2n ** 60n); w.map(''); w.endMap(); }), 200, '1152921504606846976'],
      [(id: number) => reply(id, (w) => { w.int(1); w.map(''); w.string('class'); w.string('com.x.Y'); w.string('a'); w.date(0); w.endMap(); }), 200, { a: '1970-01-01T00:00:00.000Z' }],
      [(id: number) => reply(id, (w) => { w.int(0); error(w); }), 500, { error: { class: 'com.x.Refusal', message: 'no' } }],
      [(id: number) => reply(id, (w) => { w.int(3); error(w); w.map(''); w.endMap(); }), 500, { error: { class: 'com.x.Refusal', message: 'no' } }],
      [(id: number) => reply(id, (w) => { w.int(0); w.string('text'); }), 500, { error: { class: '', message: 'text' } }],
      [(id: number) => reply(id, (w) => w.string('too many'), 100), 503, { error: { status: 'thread pool exhausted', message: 'too many' } }],
      [(id: number) => reply(id, (w) => w.string('late'), 31), 504, { error: { status: 'server timeout', message: 'late' } }],
      [(id: number) => reply(id, (w) => w.string('none'), 60), 404, { error: { status: 'service not found', message: 'none' } }],
      [(id: number) => reply(id, (w) => w.string('wrong'), 40), 400, { error: { status: 'bad request', message: 'wrong' } }],
      [(id: number) => reply(id, (w) => w.string('from another (no-healthy-host)'), 80), 503, { error: { status: 'server error', message: 'from another (no-healthy-host)' } }],
      [(id: number) => reply(id, (w) => w.int(9)), 502, bad('its content is no result')],
      [(id: number) => reply(id, (w) => w.int(1)), 502, bad('its content cannot be read: it ends too early')],
      [(id: number) => reply(id, (w) => w.int(1), 20, 23), 502, bad('its serialization is 23, not Hessian 2')],
    ] as const) {
      const lab = await make();
      const client = lab.client();
      client.feed(post('/com.x.Shop/go', ''));
      lab.upstream().feed(frame(asked(lab.upstream()).id));
      assert.deepEqual(got(client), { status, json });
      assert.equal(lab.last.status, status);
      assert.equal(levels(lab), 0);
      // The connection goes on.
      client.feed(post('/com.x.Shop/go', '[1]'));
      assert.deepEqual(asked(lab.upstream()).values[7], [1]);
    }
  });

  test('a reply in pieces is gathered, up to the limit', async () => {
    for (const [limit, status] of [[1_000_000, 200], [300_000, 502]] as const) {
      const lab = await make({ max_body: limit });
      const client = lab.client();
      client.feed(post('/com.x.Shop/go', ''));
      const host = lab.upstream();
      const frame = reply(asked(host).id, (w) => {
        w.int(1);
        w.string('x'.repeat(500_000));
      });
      for (let p = 0; p < frame.length; p += 60_000) host.feed(frame.subarray(p, p + 60_000));
      const back = got(client);
      assert.equal(back.status, status);
      if (status === 200) assert.equal((back.json as string).length, 500_000);
      else assert.equal(lab.last.code, 'reply-too-large');
      assert.equal(levels(lab), 0);
    }
  });

  test('requests that come before the library wait for it', async () => {
    const filter = manifest.create(manifest.schema.parse({}));
    const lab = new Lab({ protocol: http1, upstream: new DubboProtocol(), filters: [filter] });
    const [one, two] = [lab.client(), lab.client()];
    one.feed(post('/com.x.Shop/go', '[1]'));
    two.feed('POST /com.x.Shop/go HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\n[');
    assert.equal(lab.dialled.length, 0);
    await new Promise((done) => setImmediate(done));
    assert.deepEqual(asked(lab.upstream()).values[7], [1]);
    two.feed('2]');
    assert.deepEqual(asked(lab.upstream()).values[7], [2]);
    one.close();
    two.close();
    assert.equal(levels(lab), 0);
  });

  test('a host that goes or is silent', async () => {
    const clock = new FakeClock();
    const restore = setClock(clock);
    try {
      const lab = await make();
      const client = lab.client();
      client.feed(post('/com.x.Shop/go', '[]'));
      lab.upstream().take();
      lab.upstream().close();
      const lost = got(client);
      assert.equal(lost.status, 502);
      assert.equal((lost.json as { error: { code: string } }).error.code, 'upstream-closed');
      client.feed(post('/com.x.Shop/go', '[]', 'dubbo-timeout: 50\r\n'));
      lab.upstream().take();
      clock.advance(1000);
      assert.deepEqual([got(client).status, lab.last.code], [504, 'request-timeout']);
      assert.equal(levels(lab), 0);
    } finally {
      restore();
    }
  });
});
