// What a Thrift codec tells its sink, as text. What was decoded is sent on to a host under its sequence number.
import { headerName } from '../../../src/stream/head.js';
import type { Role } from '../../../src/stream/protocol.js';
import { AS_ASKED, BY_IDS, DEFAULT_MAX_FRAME, ThriftCodec, type Order } from '../../../src/stream/thrift/codec.js';
import type { ThriftHead } from '../../../src/stream/thrift/head.js';
import { FrameRecorder, decodeInCuts, kinds } from '../../support/frame-recorder.js';

const forms = ['strict', 'old', 'compact'];
const service = headerName(':service');
const method = headerName(':rpc-method');

export class Recorder extends FrameRecorder<ThriftHead> {
  constructor(dubbo: boolean) {
    super(new ThriftCodec('client', dubbo));
  }

  protected describe(head: ThriftHead): string {
    const facts = head.kind === 2 ? `status ${head.status}/${head.rawStatus}` : '';
    const dubbo = head.dubbo ? ` dubbo ${(BigInt(head.idHigh) << 32n) | BigInt(head.idLow >>> 0)}` : '';
    return `${kinds[head.kind]} ${forms[head.form]} type ${head.type} seqid ${head.seqid}${dubbo} ${head.get(service) ?? '-'} . ${head.get(method) ?? '-'} ${facts}`;
  }

  protected override idAgain(head: ThriftHead): number {
    return head.seqid;
  }

  override onPing(): void {
    throw new Error('Thrift has no heartbeats');
  }
  override onPong(): void {
    throw new Error('Thrift has no heartbeats');
  }
  override onGoAway(): void {
    throw new Error('Thrift has no go-away');
  }
}

export interface Reading {
  readonly role?: Role;
  readonly dubbo?: boolean;
  readonly max?: number;
  readonly order?: Order;
}

export function decodeCut(bytes: Buffer, cuts: readonly number[], reading: Reading = {}): Recorder {
  const { role = 'server', dubbo = false, max = DEFAULT_MAX_FRAME, order = BY_IDS } = reading;
  return decodeInCuts(new ThriftCodec(role, dubbo, max, order), bytes, cuts, new Recorder(dubbo));
}

export function decodeAll(bytes: Buffer, reading: Reading = {}): Recorder {
  return decodeCut(bytes, [], reading);
}

export { AS_ASKED };
