// A worked example of a protocol from outside: the one of docs/add-a-protocol.md. Request and reply frames with ids, heartbeats, go-away.
//
//   0 u8 'x'   1 u8 type (0 heartbeat, 1 message, 2 go-away)   2 u8 direction (0 request, 1 reply)   3 u32 id
//   request:  7 u32 length, 11 payload      reply:  7 u16 status (0 ok, 1 error), 9 u32 length, 13 payload
//
// 1 ends: a length in front. 2 pairing: the id. 3 nobody relies on order. 4 every message has one reply. 5 nothing stops or marks a
// connection. 6 hosts begin nothing. 7 every failure is status 1 with a text. 8 nothing is known to be safe to repeat.

const MAGIC = 0x78;
const HEARTBEAT = 0;
const MESSAGE = 1;
const GOAWAY = 2;
const REQUEST_HEAD = 11;
const REPLY_HEAD = 13;
const EMPTY = Buffer.alloc(0);

const u32 = (buf, at) => ((buf[at] << 24) | (buf[at + 1] << 16) | (buf[at + 2] << 8) | buf[at + 3]) >>> 0;

export default (api) => {
  const { Head, REQUEST, REPLY, MATCH_NO, MATCH_YES, MATCH_MORE } = api.protocol;

  /** A frame has no headers: what filters add is left out, and there is nothing to find. */
  class XHead extends Head {
    constructor() {
      super('x-example', EMPTY);
    }

    find() {
      return false;
    }

    set() {}
    add() {}
    remove() {}
    each() {}

    keep() {
      const kept = new XHead();
      const content = Buffer.from(this.bodyBuf.subarray(this.bodyStart, this.bodyEnd));
      return Object.assign(kept, this, { buf: content, bodyBuf: content, vbuf: EMPTY, bodyStart: 0, bodyEnd: content.length, start: 0, end: content.length });
    }
  }

  /** The same for both roles: ids are on the wire, frames come whole, nothing is remembered between them. */
  class XCodec {
    want = 0;
    blocked = false;
    tunnel = false;
    held = 0;
    mustClose = false;
    #failed = false;
    #head = new XHead();

    constructor(role, maxFrame) {
      this.role = role;
      this.maxFrame = maxFrame;
    }

    decode(buf, start, end, sink) {
      if (this.#failed) return end - start;
      this.want = 0;
      let p = start;
      while (p < end) {
        if (buf[p] !== MAGIC) return this.#fail(sink, -1, 'bad-frame', { detail: `byte ${buf[p]} where a frame begins` }, end - start);
        if (end - p < REPLY_HEAD && (end - p < 3 || end - p < (buf[p + 2] === 1 ? REPLY_HEAD : REQUEST_HEAD))) {
          this.want = end - p < 3 || buf[p + 2] === 0 ? REQUEST_HEAD : REPLY_HEAD;
          break;
        }
        const type = buf[p + 1];
        const reply = buf[p + 2] === 1;
        const id = u32(buf, p + 3);
        if (type > GOAWAY || buf[p + 2] > 1) return this.#fail(sink, id, 'bad-frame', { detail: `type ${type}, direction ${buf[p + 2]}` }, end - start);
        const fixed = reply ? REPLY_HEAD : REQUEST_HEAD;
        const size = fixed + u32(buf, p + fixed - 4);
        // A length is judged when it is read, not when the bytes are there.
        if (size > this.maxFrame) return this.#fail(sink, id, 'frame-too-large', { limit: this.maxFrame }, end - start);
        if (end - p < size) {
          this.want = size;
          break;
        }
        const head = this.#head;
        Object.assign(head, { kind: reply ? REPLY : REQUEST, id, buf, start: p, end: p + size, whole: true, bodyBuf: buf, bodyStart: p + fixed, bodyEnd: p + size, length: size - fixed, edited: false });
        head.rawStatus = reply ? (buf[p + 7] << 8) | buf[p + 8] : 0;
        head.status = reply ? (head.rawStatus === 0 ? 200 : 500) : 0;
        p += size;
        if (type === GOAWAY) sink.onGoAway();
        else if (type === MESSAGE) reply ? sink.onReply(head, true) : sink.onRequest(head, true);
        else if (reply) sink.onPong(id);
        else sink.onPing(head);
      }
      // A head left pointing at the bytes would keep them alive on an idle connection.
      this.#head.buf = this.#head.bodyBuf = EMPTY;
      return p - start;
    }

    #fail(sink, id, code, context, swallowed) {
      this.#failed = true;
      sink.onError(id, code, context);
      return swallowed;
    }

    eof() {
      return this.want === 0;
    }

    #frame(out, type, reply, id, status, body, start, end) {
      const n = end - start;
      const w = out.out(REPLY_HEAD + (n <= 4096 ? n : 0));
      w.u8(MAGIC);
      w.u8(type);
      w.u8(reply ? 1 : 0);
      w.u32(id);
      if (reply) w.u16(status);
      w.u32(n);
      // One reservation for what is short, so that a second try finds it there; longer content is not kept for one.
      if (n <= 4096) w.bytes(body, start, end);
      else out.write(body, start, end);
    }

    encodeRequest(out, head, id) {
      this.#frame(out, MESSAGE, false, id, 0, head.bodyBuf, head.bodyStart, head.bodyEnd);
    }

    encodeReply(out, head, id) {
      this.#frame(out, MESSAGE, true, id, head.rawStatus, head.bodyBuf, head.bodyStart, head.bodyEnd);
    }

    encodeLocalReply(out, id, reply) {
      const body = Buffer.from(reply.body);
      this.#frame(out, MESSAGE, true, id, reply.code === 'filter-replied' || reply.code === 'direct-response' ? 0 : 1, body, 0, body.length);
    }

    encodePing(out, id) {
      this.#frame(out, HEARTBEAT, false, id, 0, EMPTY, 0, 0);
      return true;
    }

    encodePong(out, ping) {
      this.#frame(out, HEARTBEAT, true, ping.id, 0, EMPTY, 0, 0);
    }

    encodeGoAway(out) {
      this.#frame(out, GOAWAY, false, 0, 0, EMPTY, 0, 0);
      return true;
    }

    /** For a second try on another connection only the id is another. */
    reid(buf, start, _end, id) {
      buf.writeUInt32BE(id, start + 3);
    }

    /** Frames are whole, so no content follows a head; and a peer cannot be told that an exchange is given up. */
    encodeData() {}
    encodeTrailers() {}
    encodeReset() {
      return false;
    }
    release() {}
  }

  return {
    kind: 'protocol',
    name: 'x-example',
    doc: 'Requests and replies in frames with ids: the worked example of docs/add-a-protocol.md.',
    schema: api.z.strictObject({ max_frame: api.schema.option(api.schema.size(1024 * 1024), { doc: 'Largest frame accepted; a larger one costs its connection.' }) }),
    create: (options) => ({
      name: 'x-example',
      pool: 'multiplex',
      matchBytes: 3,
      bidirectional: false,
      requestIds: false,
      heartbeat: { interval: 15_000, timeout: 3000, misses: 2 },
      downstreamIdle: 0,
      match(buf, start, end) {
        if (start === end) return MATCH_MORE;
        if (buf[start] !== MAGIC || (start + 1 < end && buf[start + 1] > GOAWAY)) return MATCH_NO;
        return start + 2 >= end ? MATCH_MORE : buf[start + 2] === 0 ? MATCH_YES : MATCH_NO;
      },
      codec: (role) => new XCodec(role, options.max_frame),
      statusOf: (code) => (code === 'filter-replied' || code === 'direct-response' ? 0 : 1),
      idempotent: () => false,
      mirror: () => -1,
    }),
  };
};
