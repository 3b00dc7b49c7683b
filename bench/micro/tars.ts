// What the Tars codec costs per packet, in reads of 64 KiB full of packets of about 190 bytes. `node build/bench/micro/tars.js`
//
// Node 20 on a busy 2-core machine, ns: decode 60, a reply to TUP (whose result is in its status map) 190; with a look-up of the servant 80, in the
// context 180; with encoding under another id 170; with a header set and the maps written anew 800.
import { headerName, type Head } from '../../src/stream/head.js';
import { TarsCodec } from '../../src/stream/protocol/tars/codec.js';
import { JceBuilder } from '../../src/stream/protocol/tars/jce.js';
import type { Role } from '../../src/stream/protocol.js';
import { Ring, Sink, benchDecode, fill, type Read } from './frames.js';

class Forward extends Sink {
  private readonly ring = new Ring();
  private readonly to: TarsCodec;
  private readonly edit: boolean;
  private next = 0x10000;
  constructor(role: Role, edit = false) {
    super();
    this.to = new TarsCodec(role);
    this.edit = edit;
  }
  override onRequest(head: Head): void {
    this.next = (this.next + 1) & 0x7fffffff;
    if (this.edit) head.set(trace, 'a3f1c0de');
    this.to.encodeRequest(this.ring, head, this.next, true);
    this.sum = (this.sum + this.ring.writer.pos) | 0;
  }
  override onReply(head: Head): void {
    this.to.encodeReply(this.ring, head, 77, true);
    this.sum = (this.sum + this.ring.writer.pos) | 0;
  }
}

class Look extends Sink {
  private readonly name;
  constructor(name: string) {
    super();
    this.name = headerName(name);
  }
  override onRequest(head: Head): void {
    if (head.find(this.name)) this.sum = (this.sum + head.vend) | 0;
  }
}

const trace = headerName('x-trace');
const content = Buffer.alloc(100);

function run(name: string, sink: Sink, input: Read, role: Role = 'server'): void {
  benchDecode(name, new TarsCodec(role), sink, input);
}

const named = (version: number) => (id: number): Buffer =>
  new JceBuilder().int(1, version).int(2, 0).int(3, 0).int(4, id + 1).string(5, 'Example.HelloServer.HelloObj').string(6, 'greet').bytes(7, content).int(8, 3000)
    .map(9, [['user', 'someone'], ['zone', 'a']]).map(10, []).frame();
const requests = fill(named(1));
const tupReplies = fill(named(3));
const replies = fill((id) => new JceBuilder().int(1, 1).int(2, 0).int(3, id + 70_000).int(4, 0).int(5, 0).bytes(6, content).map(7, []).frame());
run('request: decode', new Sink(), requests);
run('reply: decode', new Sink(), replies, 'client');
run('reply to TUP: decode', new Sink(), tupReplies, 'client');
run('request: decode, find the servant', new Look(':service'), requests);
run('request: decode, find an entry of the context', new Look('zone'), requests);
run('request: decode, encode with another id', new Forward('client'), requests);
run('reply: decode, encode with another id', new Forward('server'), replies, 'client');
run('request: decode, set a header, encode', new Forward('client', true), requests);
