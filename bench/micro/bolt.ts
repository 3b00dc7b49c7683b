// What the Bolt codec costs per frame, in reads of 64 KiB full of frames of about 240 bytes. `node build/bench/micro/bolt.js`
//
// Node 20 on a busy 2-core machine, ns: decode 19; with a look-up in the headers 69; with encoding under another id 120; with a header set and
// the block written anew 500-1000; v2 with checksum: decode 340, decode and encode 750.
import { headerName, type Head } from '../../src/stream/head.js';
import { BoltCodec } from '../../src/stream/protocol/bolt/codec.js';
import { CLASS_REQUEST, CLASS_RESPONSE, buildFrame, buildHeaders } from '../../src/stream/protocol/bolt/frame.js';
import { Ring, Sink, benchDecode, fill, type Read } from './frames.js';

class Forward extends Sink {
  private readonly ring = new Ring();
  private readonly to = new BoltCodec('client');
  private readonly edit: boolean;
  private next = 0;
  constructor(edit = false) {
    super();
    this.edit = edit;
  }
  override onRequest(head: Head): void {
    this.next = (this.next + 1) | 0;
    if (this.edit) head.set(trace, 'a3f1c0de');
    this.to.encodeRequest(this.ring, head, this.next >>> 0, true);
    this.sum = (this.sum + this.ring.writer.pos) | 0;
  }
}

class Route extends Sink {
  override onRequest(head: Head): void {
    if (head.find(method)) this.sum = (this.sum + head.vend) | 0;
  }
}

const method = headerName(':rpc-method');
const trace = headerName('x-trace');

function read(crc: boolean, reply: boolean): Read {
  return fill((id) => buildFrame({
    proto: crc ? 2 : 1, ver1: 2, switches: 1, type: reply ? 0 : 1, command: reply ? 2 : 1, id, codec: 1, timeoutOrStatus: reply ? 0 : 3000,
    className: Buffer.from(reply ? CLASS_RESPONSE : CLASS_REQUEST),
    headers: reply ? Buffer.alloc(0) : buildHeaders([['service', 'com.example.Hello:1.0'], ['sofa_head_method_name', 'greet']]), content: Buffer.alloc(100),
  }));
}

function run(name: string, sink: Sink, input: Read): void {
  benchDecode(name, new BoltCodec('server'), sink, input);
}

const v1 = read(false, false);
const replies = read(false, true);
const checked = read(true, false);
run('request: decode', new Sink(), v1);
run('reply: decode', new Sink(), replies);
run('request: decode, find the method', new Route(), v1);
run('request: decode, encode with another id', new Forward(), v1);
run('request: decode, set a header, encode', new Forward(true), v1);
run('v2 with checksum: decode', new Sink(), checked);
run('v2 with checksum: decode, encode', new Forward(), checked);
