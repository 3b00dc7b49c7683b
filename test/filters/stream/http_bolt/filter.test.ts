// Exchanges that http_bolt carries, without sockets: what hosts are sent, what clients get for every kind of reply, faults, edits of routes, one-way calls.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { manifest } from '../../../../src/filters/stream/http_bolt/manifest.js';
import { FakeClock } from '../../../../src/core/clock-fake.js';
import { setClock } from '../../../../src/core/clock.js';
import { SluiceError } from '../../../../src/core/reason.js';
import type { StreamFilter } from '../../../../src/stream/filter.js';
import { headerName } from '../../../../src/stream/head.js';
import { buildFrame, buildHeaders, type FrameParts } from '../../../../src/stream/protocol/bolt/frame.js';
import type { BoltHead } from '../../../../src/stream/protocol/bolt/head.js';
import { DRAFT, HessianObject, HessianReader, HessianWriter, type HessianValue } from '../../../../src/stream/protocol/bolt/hessian.js';
import { sofaResponse } from '../../../../src/stream/protocol/bolt/local-reply.js';
import { BoltProtocol } from '../../../../src/stream/protocol/bolt/protocol.js';
import { protocol as http1 } from '../../../stream/protocol/http1/transcript.js';

import { Recorder } from '../../../stream/protocol/bolt/recorder.js';
import { BoltCodec } from '../../../../src/stream/protocol/bolt/codec.js';
import type { FakeWire } from '../../../support/fake-wire.js';
import { Lab, type LabOptions } from '../../../support/stream-lab.js';

const filter = (options: object = {}): StreamFilter => manifest.create(manifest.schema.parse(options));
const toBolt = (options: object = {}, more: Partial<LabOptions> = {}): Lab => new Lab({ protocol: http1, upstream: new BoltProtocol(), filters: [filter(options)], ...more });
const toHttp = (options: object = {}, more: Partial<LabOptions> = {}): Lab => new Lab({ protocol: new BoltProtocol(), upstream: http1, filters: [filter(options)], ...more });

const post = (path: string, body: string, headers = ''): string => `POST ${path} HTTP/1.1\r\nhost: h\r\n${headers}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
const reply = (parts: Partial<FrameParts>): Buffer => buildFrame({
  proto: 1, ver1: 1, switches: 0, type: 0, command: 2, id: 0, codec: 1, timeoutOrStatus: 0, className: Buffer.from('com.alipay.sofa.rpc.core.response.SofaResponse'), headers: Buffer.alloc(0), content: Buffer.alloc(0), ...parts,
});

/** The one request that a host of Bolt was sent. */
function asked(wire: FakeWire, role: 'server' | 'client' = 'server'): BoltHead {
  const bytes = wire.take();
  const recorder = new Recorder();
  assert.equal(new BoltCodec(role).decode(bytes, 0, bytes.length, recorder), bytes.length);
  assert.equal(recorder.errors, 0, recorder.lines.join('\n'));
  assert.equal(recorder.heads.length, 1, recorder.lines.join('\n'));
  return recorder.heads[0]!;
}

/** Values in the content one after the other. */
function values(head: BoltHead): HessianValue[] {
  const reader = new HessianReader(head.bodyBuf, head.bodyStart, head.bodyEnd);
  const found: HessianValue[] = [];
  while (reader.pos < head.bodyEnd) {
    const value = reader.read();
    assert.notEqual(value, undefined);
    found.push(value!);
  }
  return found;
}

/** Status, headers and content of the one reply that a client got. */
function got(client: FakeWire): { status: number; headers: string; json: unknown; text: string } {
  const text = client.take().toString();
  const [head, body = ''] = text.split('\r\n\r\n') as [string, string?];
  assert.equal(/content-length: (\d+)/.exec(head)?.[1], String(Buffer.byteLength(body)), text);
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    json = undefined;
  }
  return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(head)![1]), headers: head, json, text: body };
}

const levels = (lab: Lab): number => Object.entries(lab.levels()).reduce((sum, [name, n]) => (name === 'connections' ? sum : sum + n), 0);

describe('JSON to Bolt', () => {
  test('the frame that a host is sent, with the edits of the route', () => {
    const lab = toBolt({ headers: ['X-Tenant'], types: { go: ['long', 'java.util.List<int>'] } }, { route: { request_headers: { set: { 'x-new': 'by the route' } }, timeout: '7s' } });
    const client = lab.client();
    client.feed(post('/com.x.Shop/go?q=1', '[5, [1]]', 'X-Tenant: t\r\nbolt-header-Env: e\r\nbolt-header-sofa_head_generic_type: 2\r\nbolt-header-service: other\r\nx-other: o\r\n'));
    const head = asked(lab.upstream());
    assert.equal(head.className, 'com.alipay.sofa.rpc.core.request.SofaRequest');
    assert.equal(head.timeout, 7000);
    const headers: string[] = [];
    head.each((name, value) => headers.push(`${name}=${value}`));
    assert.deepEqual(headers, ['service=com.x.Shop:1.0', 'sofa_head_target_service=com.x.Shop:1.0', 'sofa_head_method_name=go', 'x-tenant=t', 'env=e', 'x-new=by the route']);
    const [request, ...args] = values(head);
    assert.ok(request instanceof HessianObject);
    assert.deepEqual([...request.fields], [['targetAppName', null], ['methodName', 'go'], ['targetServiceUniqueName', 'com.x.Shop:1.0'], ['requestProps', null], ['methodArgSigs', ['long', 'java.util.List']]]);
    assert.deepEqual(args, [5n, [1]]);
    lab.upstream().feed(reply({ id: head.id, content: sofaResponse(DRAFT, 'done') }));
    const back = got(client);
    assert.deepEqual([back.status, back.json], [200, 'done']);
    assert.equal(lab.last.status, 200);
    assert.equal(levels(lab), 0);
  });

  test('a request that comes byte by byte; the header of a client for its time', () => {
    const lab = toBolt();
    const client = lab.client();
    for (const byte of Buffer.from(post('/com.x.Shop:2.0:id/go', '["é"]', 'bolt-timeout: 1234\r\n'))) client.feed(Buffer.from([byte]));
    const head = asked(lab.upstream());
    assert.equal(head.timeout, 1234);
    assert.equal(head.get(headerName('service')), 'com.x.Shop:2.0:id');
    assert.equal(values(head).at(-1), 'é');
  });

  test('replies of every kind', () => {
    const exception = new HessianWriter(DRAFT).object('com.x.Refusal', ['detailMessage', 'stackTrace', 'cause']).string('no').list('[x', []).null().take();
    const failed = new HessianWriter(DRAFT).object('com.alipay.sofa.rpc.core.response.SofaResponse', ['isError', 'errorMsg', 'appResponse', 'responseProps']).boolean(true).string('not found').null().null().take();
    const thrown = new HessianWriter(DRAFT).object('com.alipay.sofa.rpc.core.response.SofaResponse', ['isError', 'errorMsg', 'appResponse', 'responseProps']).boolean(false).null().raw(exception).null();
    const server = new HessianWriter(DRAFT).object('com.alipay.remoting.rpc.exception.RpcServerException', ['detailMessage', 'stackTrace', 'cause']).string('busy here').list('[x', []).null().take();
    // The definition of a second class inside the first is number 1.
    const nested = Buffer.from(thrown.take());
    const at = nested.lastIndexOf(Buffer.from([0x6f, 0x90]));
    nested[at + 1] = 0x91;
    for (const [parts, status, json] of [
      [{ content: Buffer.alloc(0) }, 200, null],
      [{ content: nested }, 500, { error: { class: 'com.x.Refusal', message: 'no' } }],
      [{ content: failed }, 500, { error: { message: 'not found' } }],
      [{ timeoutOrStatus: 4, content: server }, 503, { error: { status: 'server busy', message: 'busy here' } }],
      [{ timeoutOrStatus: 7, content: Buffer.alloc(0) }, 504, { error: { status: 'timeout', message: 'timeout' } }],
      [{ timeoutOrStatus: 2, codec: 11, content: Buffer.from('in words') }, 500, { error: { status: 'server exception', message: 'in words' } }],
      [{ timeoutOrStatus: 2, content: server, headers: buildHeaders([['x-sluice-reason', 'no-healthy-host']]) }, 503, { error: { status: 'server exception', message: 'busy here' } }],
      [{ content: Buffer.from([0x43, 0xff]) }, 502, { error: { code: 'bad-reply', message: 'host 10.0.0.1:80 sent a malformed reply: its content is no Hessian' } }],
      [{ codec: 11, content: Buffer.from('x') }, 502, { error: { code: 'bad-reply', message: 'host 10.0.0.1:80 sent a malformed reply: its content is of codec 11' } }],
    ] as const) {
      const lab = toBolt();
      const client = lab.client();
      client.feed(post('/com.x.Shop/go', ''));
      lab.upstream().feed(reply({ ...parts, id: asked(lab.upstream()).id }));
      const back = got(client);
      assert.deepEqual([back.status, back.json], [status, json]);
      assert.match(back.headers, /content-type: application\/json/);
      assert.equal(lab.last.status, status);
      assert.equal(levels(lab), 0);
      // The connection goes on.
      client.feed(post('/com.x.Shop/go', '[1]'));
      assert.equal(values(asked(lab.upstream())).at(-1), 1);
    }
  });

  test('a host that is not there, goes, or is silent', () => {
    const clock = new FakeClock();
    const restore = setClock(clock);
    try {
      const refused = toBolt();
      const first = refused.client();
      first.feed(post('/com.x.Shop/go', '[]'));
      refused.refuse();
      for (let i = 0; i < 100 && refused.finished.length === 0; i++) {
        clock.advance(100);
        if (refused.dialled.at(-1)!.wire.destroyed === false) refused.refuse();
      }
      assert.deepEqual([got(first).status, refused.last.code], [503, 'connect-refused']);
      assert.equal(levels(refused), 0);

      const lab = toBolt();
      const client = lab.client();
      client.feed(post('/com.x.Shop/go', '[]'));
      const host = lab.upstream();
      host.take();
      host.close(new SluiceError('upstream-reset', {}));
      const lost = got(client);
      assert.equal(lost.status, 502);
      assert.equal((lost.json as { error: { code: string } }).error.code, 'upstream-reset');
      client.feed(post('/com.x.Shop/go', '[]', 'bolt-timeout: 50\r\n'));
      lab.upstream().take();
      clock.advance(1000);
      assert.deepEqual([got(client).status, lab.last.code], [504, 'request-timeout']);
      assert.equal(levels(lab), 0);
    } finally {
      restore();
    }
  });

  test('a client that goes leaves nothing behind', () => {
    const lab = toBolt();
    const client = lab.client();
    client.feed(post('/com.x.Shop/go', '[]'));
    const id = asked(lab.upstream()).id;
    client.close();
    lab.upstream().feed(reply({ id, content: sofaResponse(DRAFT, 'late') }));
    assert.equal(lab.last.code, 'downstream-closed');
    assert.equal(levels(lab), 0);
  });

  test('enabled: false leaves requests as they are, which the cluster then cannot take', () => {
    const lab = toBolt({ enabled: false });
    const client = lab.client();
    client.feed(post('/com.x.Shop/go', '[]'));
    assert.match(client.text(), /^HTTP\/1\.1 502 /);
    assert.equal(lab.last.code, 'no-bridge');
  });
});

describe('HTTP to Bolt as it is', () => {
  test('headers and content, and headers that do not fit', () => {
    const lab = toBolt({ mode: 'raw', class: 'com.x.Raw', codec: 12, service: 'com.x.Shop:1.0', method: 'go', frame: 'v2' });
    const client = lab.client();
    client.feed(post('/a?b', 'con\0tent', 'X-A: 1\r\nx-a: 2\r\nconnection: x-a\r\nhttp-status: 999\r\n'));
    const head = asked(lab.upstream());
    assert.deepEqual([head.className, head.codec, head.proto, head.bodyBuf.subarray(head.bodyStart, head.bodyEnd).toString()], ['com.x.Raw', 12, 2, 'con\0tent']);
    for (const [name, value] of [['http-method', 'POST'], ['http-path', '/a?b'], ['http-authority', 'h'], ['service', 'com.x.Shop:1.0'], ['sofa_head_method_name', 'go'], ['http-status', undefined], ['content-length', undefined], ['connection', undefined]] as const) assert.equal(head.get(headerName(name)), value, name);
    lab.upstream().feed(reply({ id: head.id, headers: buildHeaders([['x-b', 'a\r\nb: c'], ['bad name', 'x'], ['transfer-encoding', 'chunked'], ['http-status', '1000']]), content: Buffer.from([1, 2]) }));
    const back = got(client);
    assert.equal(back.status, 200);
    assert.match(back.headers, /\r\nx-b: a {2}b: c\r\n/);
    assert.doesNotMatch(back.headers, /bad name|transfer-encoding|http-status/);
    assert.match(back.headers, /content-type: application\/octet-stream/);
    client.feed(post('/', 'x', Array.from({ length: 17 }, (_, i) => `x-${i}: ${'v'.repeat(3900)}\r\n`).join('')));
    assert.match(client.text(), /^HTTP\/1\.1 431 /);
  });

  test('statuses', () => {
    for (const [status, http] of [[0, 200], [2, 500], [4, 503], [6, 404], [7, 504], [16, 502]] as const) {
      const lab = toBolt({ mode: 'raw' });
      const client = lab.client();
      client.feed('GET / HTTP/1.1\r\nhost: h\r\n\r\n');
      lab.upstream().feed(reply({ id: asked(lab.upstream()).id, timeoutOrStatus: status }));
      assert.equal(got(client).status, http);
    }
  });
});

describe('Bolt to HTTP', () => {
  const request = (parts: Partial<FrameParts> = {}): Buffer => buildFrame({
    proto: 1, ver1: 1, switches: 0, type: 1, command: 1, id: 77, codec: 12, timeoutOrStatus: 3000, className: Buffer.from('com.x.Raw'), headers: buildHeaders([['service', 'com.x.Shop:1.0'], ['sofa_head_method_name', 'go'], ['x-a', '1'], ['bad name', '2'], ['x-evil', 'a\r\nb: c'], ['content-length', '5']]), content: Buffer.from('content'), ...parts,
  });

  test('the request that a host is sent, and the frame that comes back', () => {
    const lab = toHttp();
    const client = lab.client();
    client.feed(request());
    const sent = lab.upstream().text();
    assert.match(sent, /^POST \/com\.x\.Shop%3A1\.0\/go HTTP\/1\.1\r\nhost: localhost\r\n/);
    assert.match(sent, /\r\nservice: com\.x\.Shop:1\.0\r\n(.*\r\n)*x-a: 1\r\n/);
    assert.match(sent, /\r\nx-evil: a {2}b: c\r\n/);
    assert.match(sent, /\r\nbolt-class: com\.x\.Raw\r\n/);
    assert.match(sent, /content-type: application\/octet-stream\r\n/);
    assert.doesNotMatch(sent, /bad name|content-length: 5/);
    assert.ok(sent.endsWith('\r\n\r\ncontent'));
    lab.upstream().feed('HTTP/1.1 200 OK\r\nX-B: 1\r\nx-b: 2\r\nbolt-class: com.x.Answer\r\ntransfer-encoding: chunked\r\n\r\n4\r\nback\r\n0\r\n\r\n');
    const head = asked(client, 'client');
    assert.deepEqual([head.id, head.rawStatus, head.className, head.codec, head.bodyBuf.subarray(head.bodyStart, head.bodyEnd).toString()], [77, 0, 'com.x.Answer', 12, 'back']);
    assert.deepEqual([head.get(headerName('x-b')), head.get(headerName('http-status')), head.get(headerName('transfer-encoding'))], ['1, 2', '200', undefined]);
    assert.equal(levels(lab), 0);
  });

  test('statuses; the time of the frame; a path and an authority of the configuration', () => {
    const clock = new FakeClock();
    const restore = setClock(clock);
    try {
      for (const [http, status] of [[204, 0], [404, 6], [400, 9], [429, 4], [503, 4], [504, 7], [500, 2]] as const) {
        const lab = toHttp({ path: '/rpc', authority: 'shop' });
        const client = lab.client();
        client.feed(request({ headers: buildHeaders([['http-path', '/other'], ['http-method', 'DELETE /x']]) }));
        assert.match(lab.upstream().text(), /^POST \/rpc HTTP\/1\.1\r\nhost: shop\r\n/);
        lab.upstream().feed(`HTTP/1.1 ${http} x\r\n${http === 204 ? '' : 'content-length: 0\r\n'}\r\n`);
        assert.equal(asked(client, 'client').rawStatus, status);
      }
      const lab = toHttp();
      const client = lab.client();
      client.feed(request({ timeoutOrStatus: 40 }));
      clock.advance(1000);
      assert.equal(asked(client, 'client').rawStatus, 7);
      assert.equal(lab.last.code, 'request-timeout');
    } finally {
      restore();
    }
  });

  test('a one-way call waits for the answer, and nobody is told of it; the connection is used again', () => {
    const lab = toHttp();
    const client = lab.client();
    client.feed(request({ type: 2 }));
    lab.upstream().text();
    lab.upstream().feed('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
    assert.equal(client.take().length, 0);
    assert.equal(levels(lab), 0);
    client.feed(request());
    assert.match(lab.upstream().text(), /^POST /);
    assert.equal(lab.dialled.length, 1);
  });
});
