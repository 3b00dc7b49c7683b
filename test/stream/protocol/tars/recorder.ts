// What a Tars codec tells its sink, as text.
import type { Head } from '../../../../src/stream/head.js';
import { TarsCodec, type CodecOptions } from '../../../../src/stream/protocol/tars/codec.js';
import type { TarsHead } from '../../../../src/stream/protocol/tars/head.js';
import { defaultOptions } from '../../../../src/stream/protocol/tars/protocol.js';
import type { Role } from '../../../../src/stream/protocol.js';
import { FrameRecorder, decodeInCuts, kinds } from '../../../support/frame-recorder.js';

export class Recorder extends FrameRecorder<TarsHead> {
  constructor() {
    super(new TarsCodec('client'));
  }

  protected describe(head: TarsHead): string {
    if (!head.whole) throw new Error('a packet that is not whole');
    if (head.length !== head.bodyEnd - head.bodyStart) throw new Error('the length is not that of the content');
    const headers: string[] = [];
    head.each((name, value) => headers.push(`${name}=${value}`));
    const facts = head.kind === 2 ? `code ${head.rawStatus}/${head.status}` : `timeout ${head.timeout} sharing ${head.sharing}`;
    return `${kinds[head.kind]} v${head.version}${head.push ? ' push' : ''} id ${head.id} message ${head.messageType} ${names(head)} ${facts} {${headers.join(' ')}}`;
  }

  protected override encodeAgain(head: TarsHead): void {
    if (head.kind === 2) this.encoder.encodeReply(this.again, head, head.id, true);
    else this.encoder.encodeRequest(this.again, head, head.id, true);
  }

  protected override showContent(bytes: Uint8Array): string {
    const content = Buffer.from(bytes).toString('latin1');
    return `${content.length} ${content.length > 100 ? `${content.slice(0, 50)}...${content.slice(-50)}` : content}`;
  }

  override onData(): void {
    throw new Error('Tars comes whole');
  }
  override onPing(head: Head): void {
    this.lines.push(`ping ${kinds[head.kind]} ${head.id}`);
  }
}

function names(head: TarsHead): string {
  const buf = head.buf as Buffer;
  return `${buf.utf8Slice(head.servantFrom, head.servantEnd)}.${buf.utf8Slice(head.functionFrom, head.functionEnd)}`;
}

export interface DecodeOptions extends Partial<CodecOptions> {
  readonly role?: Role;
}

export function decodeCut(bytes: Buffer, cuts: readonly number[], options: DecodeOptions = {}, recorder = new Recorder()): Recorder {
  return decodeInCuts(new TarsCodec(options.role ?? 'server', { ...defaultOptions, ...options }), bytes, cuts, recorder);
}

export function decodeAll(bytes: Buffer, options: DecodeOptions = {}): Recorder {
  return decodeCut(bytes, [], options);
}

/** The one message in `bytes`, as a kept head. */
export function headOf(bytes: Buffer, role: Role = 'server'): TarsHead {
  const { heads, lines } = decodeAll(bytes, { role, ping: 'forward' });
  if (heads.length !== 1) throw new Error(`one message was due: ${lines.join('; ')}`);
  return heads[0]!;
}
