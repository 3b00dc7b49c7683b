// What a Dubbo codec tells its sink, as text. What was decoded is encoded again under the ids 1, 2, ...
import { headerName, type Head } from '../../../../src/stream/head.js';
import { DubboCodec, defaults, type CodecOptions } from '../../../../src/stream/protocol/dubbo/codec.js';
import type { DubboHead } from '../../../../src/stream/protocol/dubbo/head.js';
import type { Role } from '../../../../src/stream/protocol.js';
import { FrameRecorder, decodeInCuts, digest, kinds } from '../../../support/frame-recorder.js';

const parts = [':service', ':rpc-method', ':version', ':group', ':status', 'dubbo', 'dubbo-result'].map(headerName);

export class Recorder extends FrameRecorder<DubboHead> {
  constructor() {
    super(new DubboCodec('client'));
  }

  protected describe(head: DubboHead): string {
    const headers: string[] = [];
    head.each((name, value) => headers.push(`${name}=${value.length > 100 ? `${value.length} of ${value[0]!}` : value}`));
    const facts = head.kind === 2 ? `status ${head.rawStatus}/${head.status}` : `timeout ${head.timeout}`;
    return `${kinds[head.kind]} ${head.id} serialization ${head.serialization} ${facts} ${parts.map((name) => head.get(name) ?? '-').join(' ')} {${headers.join(' ')}}`;
  }

  protected override idAgain(): number {
    return this.heads.length;
  }

  protected override showContent(bytes: Uint8Array): string {
    return digest(bytes);
  }

  override onPing(head: Head): void {
    const { buf, start, end } = head;
    this.lines.push(`ping ${Buffer.from(buf.subarray(start, end)).toString('hex')}`);
  }
}

export function decodeCut(bytes: Buffer, cuts: readonly number[], role: Role = 'server', options: Partial<CodecOptions> = {}): Recorder {
  return decodeInCuts(new DubboCodec(role, { ...defaults, ...options }), bytes, cuts, new Recorder());
}

export function decodeAll(bytes: Buffer, role: Role = 'server', options: Partial<CodecOptions> = {}): Recorder {
  return decodeCut(bytes, [], role, options);
}
