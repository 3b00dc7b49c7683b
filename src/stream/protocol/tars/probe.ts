// The active health check of a Tars host: tars_ping, which every servant of every implementation has.
import { equalAt, type Output } from '../../../core/bytes.js';
import { PROBE_DOWN, PROBE_MORE, PROBE_UP, type Probe, type ProbeVerdict } from '../../../network/upstream/probe.js';
import { headerName } from '../../head.js';
import { RESULT_DESC, TarsHead } from './head.js';
import { u32 } from './jce.js';
import { buildPing } from './local-reply.js';
import { MIN_FRAME, RECONNECT, readPacket, readPrefix } from './packet.js';
import { NO_FUNC, NO_SERVANT, SUCCESS, codeName } from './status.js';

const ID = 1;
const TIMEOUT = 1000;
/** An answer is a few dozen bytes; a longer packet before it is a push. */
const MAX_ANSWER = 16 * 1024 * 1024;

const description = headerName(RESULT_DESC);

/**
 * Without a servant to ask for any servant's answer counts, "no such servant" too: servers in C++ look for it before they answer. With
 * one only that it is there. Packets that come before the answer are skipped; a call to reconnect means down.
 */
export class TarsProbe implements Probe {
  cause = '';
  private readonly servant: string;
  private readonly head = new TarsHead();

  constructor(servant = '') {
    this.servant = servant;
  }

  ask(out: Output): void {
    const frame = buildPing(Buffer.from(this.servant), ID, TIMEOUT);
    out.write(frame, 0, frame.length);
  }

  judge(buf: Uint8Array, start: number, end: number): ProbeVerdict {
    const head = this.head;
    for (let p = start; p < end; ) {
      if (end - p < 4) return PROBE_MORE;
      const size = u32(buf, p);
      if (size < MIN_FRAME || size > MAX_ANSWER) return this.down('the answer is not Tars');
      if (end - p < size) return PROBE_MORE;
      if (readPrefix(head, buf, p, true) !== '' || readPacket(head, buf, p, p + size, true) !== '') return this.down('the answer is not Tars');
      if (head.id === ID) {
        const code = head.rawStatus;
        const fine = code === SUCCESS || code === NO_FUNC || (code === NO_SERVANT && this.servant === '');
        return fine ? PROBE_UP : this.down(`tars_ping was answered with ${codeName(code)}`);
      }
      if (head.id === 0 && head.find(description) && head.vend - head.vstart === RECONNECT.length && equalAt(head.vbuf, head.vstart, RECONNECT)) {
        return this.down('the host is going away');
      }
      p += size;
    }
    return PROBE_MORE;
  }

  private down(cause: string): ProbeVerdict {
    this.cause = cause;
    return PROBE_DOWN;
  }
}
