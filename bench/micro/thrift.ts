// What the Thrift codec costs per frame, in reads of 64 KiB full of frames with 100 bytes of content. `node build/bench/micro/thrift.js`
//
// Node 20 on a busy 2-core machine, ns, binary / compact / with Dubbo's header: decode a reply 30 / 38 / 72; decode a call, find its service
// and method, encode a reply 155 / 219 / 212; decode a call, encode it and its reply 211 / 289 / 340.
import { headerName, type Head } from '../../src/stream/head.js';
import { AS_ASKED, BY_IDS, ThriftCodec } from '../../src/stream/thrift/codec.js';
import { COMPACT, STRICT, buildFrame, type Form } from '../../src/stream/thrift/frame.js';
import { Ring, Sink, benchDecode, fill, type Read } from './frames.js';

const method = headerName(':rpc-method');
const service = headerName(':service');

class Route extends Sink {
  override onRequest(head: Head): void {
    if (head.find(service)) this.sum = (this.sum + head.vend) | 0;
    if (head.find(method)) this.sum = (this.sum + head.vend) | 0;
  }
}

/** All that a call and its reply go through: decoded of a client, encoded for a host, and an answer to the client under its number. */
class There extends Sink {
  readonly ring = new Ring();
  private readonly to: ThriftCodec;
  private readonly from: ThriftCodec;
  private readonly reply: Head | null;
  private next = 0;

  constructor(from: ThriftCodec, dubbo: boolean, reply: Head | null) {
    super();
    this.from = from;
    this.to = new ThriftCodec('client', dubbo);
    this.reply = reply;
  }
  override onRequest(head: Head): void {
    this.next = (this.next + 1) & 0x7fffffff;
    this.to.encodeRequest(this.ring, head, this.next, true);
    if (this.reply !== null) this.from.encodeReply(this.ring, this.reply, head.id, true);
    this.sum = (this.sum + this.ring.writer.pos) | 0;
  }
}

function read(form: Form, reply: boolean, dubbo: boolean): Read {
  return fill((number) => buildFrame({
    form, type: reply ? 2 : 1, seqid: number + 1, name: Buffer.from(dubbo || reply ? 'greet' : 'Hello:greet'), content: Buffer.alloc(100),
    dubbo: dubbo ? { service: Buffer.from('com.example.Hello'), high: 0, low: number } : null,
  }));
}

/** Every call is answered at once, so that nothing piles up in the codec. */
function run(name: string, form: Form, dubbo: boolean, kind: 'decode' | 'route' | 'both'): void {
  const replies = read(form, true, dubbo);
  if (kind === 'decode') {
    benchDecode(`${name}: decode a reply`, new ThriftCodec('client', dubbo), new Sink(), replies);
    return;
  }
  let reply: Head | null = null;
  const keeper = Object.assign(new Sink(), { onReply: (head: Head) => void (reply ??= head.keep()) });
  new ThriftCodec('client', dubbo).decode(replies.bytes, 0, replies.bytes.length, keeper);
  const codec = new ThriftCodec('server', dubbo, undefined, dubbo ? BY_IDS : AS_ASKED);
  const sink = kind === 'both' ? new There(codec, dubbo, reply) : new Answering(codec, reply!);
  benchDecode(`${name}: ${kind === 'both' ? 'decode a call, encode it and its reply' : 'decode a call, find service and method, encode a reply'}`, codec, sink, read(form, false, dubbo));
}

class Answering extends Route {
  private readonly ring = new Ring();
  private readonly from: ThriftCodec;
  private readonly reply: Head;

  constructor(from: ThriftCodec, reply: Head) {
    super();
    this.from = from;
    this.reply = reply;
  }
  override onRequest(head: Head): void {
    super.onRequest(head);
    this.from.encodeReply(this.ring, this.reply, head.id, true);
  }
}

for (const [name, form, dubbo] of [['binary', STRICT, false], ['compact', COMPACT, false], ['dubbo-thrift', STRICT, true]] as const) {
  run(name, form, dubbo, 'decode');
  run(name, form, dubbo, 'route');
  run(name, form, dubbo, 'both');
}
