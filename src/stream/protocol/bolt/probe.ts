// The active health check of a Bolt host: a heartbeat asked over a connection, its answer awaited.
import type { Output } from '../../../core/bytes.js';
import { PROBE_DOWN, PROBE_MORE, PROBE_UP, type Probe, type ProbeVerdict } from '../../../network/upstream/probe.js';
import {
  CODEC_HESSIAN2, COMMAND_GOAWAY, COMMAND_HEARTBEAT, EMPTY, MIN_FIXED, TYPE_ONEWAY, TYPE_REQUEST, TYPE_RESPONSE, V1, V2, buildFrame, fixedLength,
  frameLength, i32, u16,
} from './frame.js';
import { statusName } from './status.js';

const ID = 1;

/** Frames that come before the answer (a host may push requests of its own) are skipped; a go-away means down. */
export class BoltProbe implements Probe {
  cause = '';

  ask(out: Output): void {
    const frame = buildFrame({
      proto: V1, ver1: 1, switches: 0, type: TYPE_REQUEST, command: COMMAND_HEARTBEAT, id: ID, codec: CODEC_HESSIAN2, timeoutOrStatus: -1, className: EMPTY,
      headers: EMPTY, content: EMPTY,
    });
    out.write(frame, 0, frame.length);
  }

  judge(buf: Uint8Array, start: number, end: number): ProbeVerdict {
    for (let p = start; p < end; ) {
      const proto = buf[p]!;
      if (proto !== V1 && proto !== V2) return this.down('the answer is not Bolt');
      if (end - p < MIN_FIXED) return PROBE_MORE;
      const typeAt = proto === V2 ? p + 2 : p + 1;
      const type = buf[typeAt]!;
      if (type > TYPE_ONEWAY) return this.down('the answer is not Bolt');
      const fixed = fixedLength(proto, type);
      if (end - p < fixed) return PROBE_MORE;
      if (i32(buf, p + fixed - 4) < 0) return this.down('the answer is not Bolt');
      const next = p + frameLength(buf, p);
      if (next > end) return PROBE_MORE;
      const command = u16(buf, typeAt + 1);
      if (type !== TYPE_RESPONSE && command === COMMAND_GOAWAY) return this.down('the host is going away');
      if (type === TYPE_RESPONSE && i32(buf, typeAt + 4) === ID) {
        const status = u16(buf, p + fixed - 10);
        if (command !== COMMAND_HEARTBEAT) return this.down('the heartbeat was answered as a request');
        return status === 0 ? PROBE_UP : this.down(`the heartbeat was answered with ${statusName(status)}`);
      }
      p = next;
    }
    return PROBE_MORE;
  }

  private down(cause: string): ProbeVerdict {
    this.cause = cause;
    return PROBE_DOWN;
  }
}
