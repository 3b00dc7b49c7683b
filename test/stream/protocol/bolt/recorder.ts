// What a Bolt codec tells its sink, as text.
import { BoltCodec, DEFAULT_MAX_FRAME } from '../../../../src/stream/protocol/bolt/codec.js';
import type { BoltHead } from '../../../../src/stream/protocol/bolt/head.js';
import type { Role } from '../../../../src/stream/protocol.js';
import { FrameRecorder, decodeInCuts, kinds } from '../../../support/frame-recorder.js';

export class Recorder extends FrameRecorder<BoltHead> {
  constructor() {
    super(new BoltCodec('client'));
  }

  protected describe(head: BoltHead): string {
    const headers: string[] = [];
    head.each((name, value) => headers.push(`${name}=${value}`));
    const facts = head.kind === 2 ? `status ${head.rawStatus}/${head.status}` : `timeout ${head.timeout}`;
    return `${kinds[head.kind]} v${head.proto}.${head.ver1} id ${head.id} codec ${head.codec} ${facts} class '${head.className}' {${headers.join(' ')}}`;
  }
}

export function decodeCut(bytes: Buffer, cuts: readonly number[], role: Role = 'server', maxFrame = DEFAULT_MAX_FRAME): Recorder {
  return decodeInCuts(new BoltCodec(role, maxFrame), bytes, cuts, new Recorder());
}

export function decodeAll(bytes: Buffer, role: Role = 'server', maxFrame = DEFAULT_MAX_FRAME): Recorder {
  return decodeCut(bytes, [], role, maxFrame);
}
