// The PROXY protocol in both versions: every split, every malformation, and what becomes of the bytes behind it.
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { setClock } from '../../../src/core/clock.js';
import { FakeClock } from '../../../src/core/clock-fake.js';
import { configureLog } from '../../../src/core/log.js';
import { SluiceError } from '../../../src/core/reason.js';
import { readHeader } from '../../../src/filters/listener/proxy_protocol/header.js';
import { MORE } from '../../../src/network/filter.js';
import { ConnectionInfo } from '../../../src/network/wire.js';
import { filter, ListenerLab } from '../../network/listener-lab.js';
import { client, until } from '../../support/loopback.js';

await configureLog({ to: { write() {} } });

const SIGNATURE = '0d0a0d0a000d0a515549540a';

function v2(command: number, family: number, addresses: string, tlvs = ''): Buffer {
  const length = (addresses.length + tlvs.length) / 2;
  return Buffer.from(`${SIGNATURE}2${command}${family.toString(16).padStart(2, '0')}${length.toString(16).padStart(4, '0')}${addresses}${tlvs}`, 'hex');
}

const IPV4 = '0a010203' + '0a040506' + '3039' + '01bb';
const IPV6 = '20010db8000000000000000000000001' + 'fd000000000000010000000000000002' + '3039' + '01bb';

interface Found {
  readonly answer: number | string;
  readonly source: string;
  readonly destination: string;
}

function read(bytes: Buffer, required = true): Found {
  const info = new ConnectionInfo();
  const answer = readHeader(info, Buffer.concat([Buffer.from('..'), bytes]), 2, 2 + bytes.length, required);
  return {
    answer: answer instanceof SluiceError ? String(answer.context['detail']) : answer,
    source: `${info.remoteAddress} ${info.remotePort}`,
    destination: `${info.originalAddress} ${info.originalPort}`,
  };
}

const good: [string, Buffer, string, string][] = [
  ['version 1, IPv4', Buffer.from('PROXY TCP4 10.1.2.3 10.4.5.6 12345 443\r\n'), '10.1.2.3 12345', '10.4.5.6 443'],
  ['version 1, IPv6', Buffer.from('PROXY TCP6 2001:db8::1 fd00:0:0:1::2 12345 443\r\n'), '2001:db8::1 12345', 'fd00:0:0:1::2 443'],
  ['version 1, unknown', Buffer.from('PROXY UNKNOWN\r\n'), ' 0', ' 0'],
  ['version 1, unknown with more', Buffer.from('PROXY UNKNOWN ffff:ffff ffff:ffff 65535 65535\r\n'), ' 0', ' 0'],
  ['version 2, IPv4', v2(1, 0x11, IPV4), '10.1.2.3 12345', '10.4.5.6 443'],
  ['version 2, IPv4 datagrams', v2(1, 0x12, IPV4), '10.1.2.3 12345', '10.4.5.6 443'],
  ['version 2, IPv6', v2(1, 0x21, IPV6), '2001:db8::1 12345', 'fd00:0:0:1::2 443'],
  ['version 2, IPv4 in IPv6', v2(1, 0x21, `00000000000000000000ffff0a010203${'0'.repeat(31)}1${'3039'}01bb`), '10.1.2.3 12345', '::1 443'],
  ['version 2 with TLVs', v2(1, 0x11, IPV4, '020005612e636f6d' + '040003000000'), '10.1.2.3 12345', '10.4.5.6 443'],
  ['version 2, unix', v2(1, 0x31, Buffer.from('/run/a.sock'.padEnd(108, '\0') + '\0abstract'.padEnd(108, '\0'), 'latin1').toString('hex')), 'unix:/run/a.sock 0', 'unix:@abstract 0'],
  ['version 2, LOCAL', v2(0, 0x00, ''), ' 0', ' 0'],
  ['version 2, LOCAL with addresses', v2(0, 0x11, IPV4), ' 0', ' 0'],
  ['version 2, unspecified', v2(1, 0x00, '', '0400020000'), ' 0', ' 0'],
];

describe('a PROXY header', () => {
  for (const [name, bytes, source, destination] of good) {
    test(`${name}: is read whole, and asked for more at every shorter length`, () => {
      assert.deepEqual(read(bytes), { answer: bytes.length, source, destination });
      assert.deepEqual(read(Buffer.concat([bytes, Buffer.from('GET / HTTP/1.1')])), { answer: bytes.length, source, destination }, 'with bytes behind it');
      for (let n = 0; n < bytes.length; n++) assert.deepEqual(read(bytes.subarray(0, n)), { answer: MORE, source: ' 0', destination: ' 0' }, `${n} bytes`);
    });
  }

  const bad: [string, Buffer | string, RegExp][] = [
    ['none', 'GET / HTTP/1.1\r\n', /does not begin with it/],
    ['almost one', 'PROXXY TCP4', /does not begin with it/],
    ['a line without an end', `PROXY TCP4 ${'1'.repeat(200)}`, /longer than 107 bytes/],
    ['a line that ends one byte too late', `PROXY UNKNOWN ${'x'.repeat(92)}\r\n`, /longer than 107 bytes/],
    ['a bare CR', 'PROXY TCP4 1.2.3.4 1.2.3.4 1 1\rx', /CR LF/],
    ['no family', 'PROXY\x20\r\n', /family/],
    ['another family', 'PROXY TCP5 1.2.3.4 1.2.3.4 1 1\r\n', /family/],
    ['addresses of another family', 'PROXY TCP4 ::1 ::1 1 1\r\n', /addresses/],
    ['no address', 'PROXY TCP4 1.2.3.4.5 1.2.3.4 1 1\r\n', /addresses/],
    ['a missing port', 'PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n', /ports/],
    ['a port too large', 'PROXY TCP4 1.2.3.4 1.2.3.4 65536 1\r\n', /ports/],
    ['a port with a zero in front', 'PROXY TCP4 1.2.3.4 1.2.3.4 01 1\r\n', /ports/],
    ['a negative port', 'PROXY TCP4 1.2.3.4 1.2.3.4 -1 1\r\n', /ports/],
    ['something behind the ports', 'PROXY TCP4 1.2.3.4 1.2.3.4 1 1 x\r\n', /ports/],
    ['version 3', Buffer.from(`${SIGNATURE}31110000`, 'hex'), /version 3/],
    ['another command', Buffer.from(`${SIGNATURE}22110000`, 'hex'), /command 2/],
    ['another binary family', Buffer.from(`${SIGNATURE}21410000`, 'hex'), /family/],
    ['addresses cut short', v2(1, 0x11, '0a0102030a040506'), /too short/],
    ['too much behind it', Buffer.from(`${SIGNATURE}2111ffff`, 'hex'), /longer than 4096/],
  ];
  for (const [name, bytes, message] of bad) {
    test(`refuses ${name}`, () => {
      assert.match(String(read(Buffer.from(bytes as string, 'latin1')).answer), message);
    });
  }

  test('that is not required may be missing, as soon as that is certain', () => {
    for (const text of ['G', 'GET /', 'POST /', 'PROPFIND', '\x16\x03\x01', '\r\n\r\nX']) assert.equal(read(Buffer.from(text, 'latin1'), false).answer, 0, text);
    for (const text of ['', 'P', 'PROX', '\r\n', '\r\n\r\n\0']) assert.equal(read(Buffer.from(text, 'latin1'), false).answer, MORE, text);
    assert.match(String(read(Buffer.from('PROXY nonsense\r\n'), false).answer), /family/, 'a malformed one is still refused');
  });

  test('random bytes never break the reader', () => {
    const seed = Date.now() >>> 0;
    let state = seed;
    const next = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 24;
    for (let i = 0; i < 20_000; i++) {
      const base = good[next() % good.length]![1];
      const bytes = Buffer.from(base);
      for (let k = next() % 4; k >= 0; k--) bytes[next() % bytes.length] = next();
      const { answer } = read(bytes, next() % 2 === 0);
      assert.ok(typeof answer === 'string' || (answer >= MORE && answer <= bytes.length), `seed ${seed}, round ${i}`);
    }
  });
});

describe('a listener with proxy_protocol', { timeout: 30_000 }, () => {
  let undo: (() => unknown)[] = [];
  afterEach(async () => {
    for (const f of undo.reverse()) await f();
    undo = [];
  });

  async function lab(options: Record<string, unknown> = {}): Promise<ListenerLab> {
    const made = await new ListenerLab({ listener_filters: [filter('proxy_protocol', options)], network_filters: [filter('ip_access', { rules: [{ action: 'deny', addresses: '10.9.9.9' }], default_action: 'allow' })] }).start();
    undo.push(() => made.listener.close(0));
    return made;
  }

  test('shows the true client to filters and owner, however the bytes come', async () => {
    const it = await lab();
    const whole = Buffer.concat([v2(1, 0x11, IPV4), Buffer.from('hello')]);
    for (let split = 1; split < whole.length; split += 3) {
      const peer = await client(it.port);
      peer.send(whole.subarray(0, split));
      await until(() => it.listener.connections.size > 0);
      setImmediate(() => peer.send(whole.subarray(split)));
      await peer.has('>');
      await until(() => peer.text.replaceAll('>', '') === 'hello');
      assert.deepEqual([it.owner.connections.at(-1)!.info.remoteAddress, it.owner.connections.at(-1)!.info.originalPort], ['10.1.2.3', 443]);
      peer.reset();
      await until(() => it.listener.connections.size === 0);
    }
  });

  test('denies by the address in the header', async () => {
    const it = await lab();
    const peer = await client(it.port);
    peer.send('PROXY TCP4 10.9.9.9 10.4.5.6 1 2\r\nhello');
    await peer.hasEnded();
    assert.equal(it.owner.connections.length, 0);
    assert.equal(it.stat('sluice_listener_refused_total', { reason: 'ip-denied' }), 1);
  });

  test('closes what does not begin with it, what ends within it, and what keeps it waiting', async () => {
    const clock = new FakeClock();
    undo.push(setClock(clock));
    const it = await lab({ timeout: '3s' });
    const wrong = await client(it.port);
    wrong.send('GET / HTTP/1.1\r\n\r\n');
    await wrong.hasEnded();
    const cut = await client(it.port);
    cut.send('PROXY TC');
    cut.end();
    await cut.hasEnded();
    const gone = await client(it.port);
    gone.reset();
    const slow = await client(it.port);
    slow.send('PROXY');
    await until(() => it.listener.connections.size === 1);
    clock.advance(3100);
    await slow.hasEnded();
    await until(() => it.listener.connections.size === 0);
    assert.deepEqual([it.owner.connections.length, it.stat('sluice_listener_first_bytes_errors_total')], [0, 4]);
  });

  test('not required: passes on what came without it, also a client that waits for the server', async () => {
    const clock = new FakeClock();
    undo.push(setClock(clock));
    const it = await lab({ required: false, timeout: '1s' });
    const plain = await client(it.port);
    plain.send('PRO, not that');
    await plain.has('>PRO, not that');
    const ended = await client(it.port);
    ended.send('PROX');
    ended.end();
    await ended.has('>PROX');
    await ended.isClosed();
    const silent = await client(it.port);
    await until(() => it.listener.connections.size === 2);
    clock.advance(1100);
    await until(() => it.owner.connections.length === 3);
    silent.send('at last');
    await silent.has('>at last');
  });
});
