// Encoding: one reservation for a packet, ids of every width, large packets, second tries, heartbeats and calls to reconnect.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BlockOutput, MAX_RESERVE, type Writer } from '../../../../src/core/bytes.js';
import { headerName } from '../../../../src/stream/head.js';
import { TarsCodec } from '../../../../src/stream/protocol/tars/codec.js';
import { defaultOptions } from '../../../../src/stream/protocol/tars/protocol.js';
import { FakeHead } from '../../../support/fake-head.js';
import { pattern, replyFrame, requestFrame } from './frames.js';
import { readReplies, readRequests } from './peer.js';
import { Recorder, decodeAll, headOf } from './recorder.js';

/** Counts reservations. */
class Counting extends BlockOutput {
  reservations = 0;

  override out(n: number): Writer {
    this.reservations++;
    return super.out(n);
  }
}

describe('packets', () => {
  test('are one reservation, seen by the caller between mark and pos', () => {
    for (const edit of [false, true]) {
      for (const make of [requestFrame, replyFrame]) {
        const head = headOf(make({ id: 300, content: pattern(20_000) }), make === replyFrame ? 'client' : 'server');
        const given = Buffer.from(head.buf);
        if (edit) head.set(headerName('x'), 'y');
        const out = new Counting();
        out.out(3).u8(1);
        out.reservations = 0;
        if (make === requestFrame) new TarsCodec('client').encodeRequest(out, head, 0x7edcba98, true);
        else new TarsCodec('server').encodeReply(out, head, 0x7edcba98, true);
        assert.equal(out.reservations, 1);
        const { buf, mark, pos } = out.writer;
        assert.equal(mark, 1);
        const again = headOf(Buffer.from(buf.subarray(mark, pos)), make === replyFrame ? 'client' : 'server');
        assert.equal(again.id, 0x7edcba98);
        assert.equal(again.get(headerName('x')), edit ? 'y' : undefined);
        assert.deepEqual(head.buf, given, 'borrowed bytes stay as they were');
      }
    }
  });

  test('take ids of any width for ids of any width', () => {
    const ids = [0, 1, 127, 128, 255, 256, 32_767, 32_768, 65_535, 65_536, 0x7fffffff, 0xffffffff, 0xffffff80, 0xffffff7f, 0xffff8000, 0xffff7fff];
    for (const from of ids) {
      for (const to of ids) {
        const out = new BlockOutput();
        new TarsCodec('client').encodeRequest(out, headOf(requestFrame({ id: from })), to, true);
        const sent = out.take();
        assert.equal(sent.readUInt32BE(0), sent.length);
        assert.equal(sent[8], 0x42, 'the full width, for hosts');
        assert.equal(headOf(sent).id, to);
        if (from === 0) continue;
        new TarsCodec('server').encodeReply(out, headOf(replyFrame({ id: from }), 'client'), to, true);
        assert.deepEqual(out.take(), replyFrame({ id: to }), 'as narrow as a host would write it, for clients');
      }
    }
  });

  test('over 64 KiB, with and without edits, come out right', () => {
    for (const size of [MAX_RESERVE - 100, MAX_RESERVE - 60, MAX_RESERVE, MAX_RESERVE + 1, 150_000, 700_000]) {
      const frame = requestFrame({ content: pattern(size) });
      const head = headOf(frame);
      const out = new Counting();
      new TarsCodec('client').encodeRequest(out, head, 0x10001, true);
      assert.ok(out.take().equals(frame));
      head.set(headerName('x'), 'y');
      new TarsCodec('client').encodeRequest(out, head, 0x10001, true);
      assert.ok(out.take().equals(requestFrame({ content: pattern(size), context: [['user', 'ann'], ['zone', 'a'], ['x', 'y']] })));
    }
  });

  test('exactly at the largest reservation', () => {
    const overhead = requestFrame({ id: 1, content: pattern(60_000) }).length - 60_000;
    for (let extra = -8; extra <= 8; extra++) {
      const head = headOf(requestFrame({ id: 1, content: pattern(MAX_RESERVE - overhead + extra) }));
      const out = new BlockOutput();
      new TarsCodec('client').encodeRequest(out, head, 0x10001, true);
      assert.ok(out.take().equals(requestFrame({ content: pattern(MAX_RESERVE - overhead + extra) })));
    }
  });

  test('of other protocols, and pieces, are mistakes of the program', () => {
    const codec = new TarsCodec('client');
    const out = new BlockOutput();
    assert.throws(() => codec.encodeRequest(out, new FakeHead({}, 'http1'), 1, true), TypeError);
    assert.throws(() => codec.encodeData(), TypeError);
    assert.throws(() => codec.encodeTrailers(), TypeError);
    const reply = replyFrame();
    assert.throws(() => codec.reid(reply, 0, reply.length, 5), TypeError);
    assert.equal(codec.encodeReset(), false);
    assert.deepEqual([codec.held, codec.blocked, codec.mustClose, codec.tunnel], [0, false, false, false]);
  });

  test('a second try takes another id in the same bytes', () => {
    for (const frame of [requestFrame({ id: 3 }), requestFrame({ id: 300, version: 3, messageType: 70_000 }), requestFrame({ id: 0, type: 1 })]) {
      const out = new BlockOutput();
      const head = headOf(frame);
      new TarsCodec('client').encodeRequest(out, head, 0x10001, true);
      const bytes = out.take();
      new TarsCodec('client').reid(bytes, 0, bytes.length, 0x20002);
      new TarsCodec('client').encodeRequest(out, head, 0x20002, true);
      assert.deepEqual(bytes, out.take());
    }
  });
});

describe('heartbeats', () => {
  const ping = (codec: TarsCodec, id: number): Buffer => {
    const out = new BlockOutput();
    assert.equal(codec.encodePing(out, id), true);
    return out.take();
  };

  test('are calls of tars_ping, of the servant that the connection is used for', () => {
    const codec = new TarsCodec('client');
    assert.equal(readRequests(ping(codec, 1))[0]!.origin.sServantName, '');
    const renamed = headOf(requestFrame());
    renamed.set(headerName(':service'), 'Renamed');
    for (const head of [renamed, headOf(requestFrame({ servant: 'Later' }))]) codec.encodeRequest(new BlockOutput(), head, 0x10001, true);
    const { origin } = readRequests(ping(codec, 1))[0]!;
    assert.deepEqual([origin.iVersion, origin.sServantName, origin.sFuncName, origin.iTimeout], [1, 'Renamed', 'tars_ping', 3000]);
    const second = new TarsCodec('client');
    const bytes = requestFrame({ servant: 'Tried.Again' });
    second.reid(bytes, 0, bytes.length, 0x10002);
    assert.equal(readRequests(ping(second, 1))[0]!.origin.sServantName, 'Tried.Again');
  });

  test('their answers are told apart from replies, whatever they say', () => {
    for (const id of [1, 65_535, 65_536, 0x7fffffff]) {
      const codec = new TarsCodec('client');
      const asked = headOf(ping(codec, id));
      assert.ok(asked.id > 0 && asked.id < 0x10000, `${asked.id} is no id of an exchange`);
      const recorder = new Recorder();
      const answers = Buffer.concat([replyFrame({ id: asked.id, code: -4 }), replyFrame({ id: asked.id }), replyFrame({ id: 0x10001 })]);
      codec.decode(answers, 0, answers.length, recorder);
      assert.deepEqual(recorder.lines.map((line) => line.split(' message')[0]), [`pong ${asked.id}`, `reply v1 id ${asked.id}`, 'reply v1 id 65537'], 'one answer for each');
    }
  });

  test('of clients are answered in their version; one-way ones are not', () => {
    for (const version of [1, 2, 3, 5]) {
      const codec = new TarsCodec('server');
      const out = new BlockOutput();
      const recorder = new Recorder();
      recorder.onPing = (head) => codec.encodePong(out, head);
      const bytes = Buffer.concat([requestFrame({ id: 9, version, name: 'tars_ping', messageType: 4 }), requestFrame({ id: 10, version, type: 1, name: 'tars_ping' })]);
      codec.decode(bytes, 0, bytes.length, recorder);
      const [answer, ...others] = readReplies(out.take(), version);
      assert.equal(others.length, 0);
      assert.deepEqual([answer!.iRequestId, answer!.iResultCode, answer!.origin.iVersion, answer!.origin.iMessageType], [9, 0, version, 4]);
      if (version === 2 || version === 3) assert.equal(answer!.origin.tup.readInt32(''), 0);
      else assert.deepEqual(answer!.origin.sBuffer.toNodeBuffer(), Buffer.from([0x0c]));
    }
  });
});

describe('the call to reconnect', () => {
  test('is written only where it is asked for, and understood by our own codec', () => {
    const out = new BlockOutput();
    assert.equal(new TarsCodec('server').encodeGoAway(out), false);
    assert.equal(out.writer.pos, 0);
    assert.equal(new TarsCodec('server', { ...defaultOptions, goaway: true }).encodeGoAway(out), true);
    const bytes = out.take();
    assert.deepEqual(decodeAll(bytes, { role: 'client' }).lines, ['goaway of the host']);
    assert.deepEqual([readReplies(bytes)[0]!.iRequestId, readReplies(bytes)[0]!.sResultDesc], [0, '_reconnect_']);
  });
});
