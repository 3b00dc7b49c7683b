// The active health check of a Dubbo host: a heartbeat asked over a connection, its answer awaited.
import type { Output } from '../../../core/bytes.js';
import { PROBE_DOWN, PROBE_MORE, PROBE_UP, type Probe, type ProbeVerdict } from '../../../network/upstream/probe.js';
import { FLAG_EVENT, FLAG_REQUEST, FLAG_TWO_WAY, HEADER, HESSIAN2, MAGIC_HIGH, MAGIC_LOW, READ_ONLY, buildFrame, i32, idOf } from './frame.js';
import { OK, statusName } from './status.js';

const ID = 1;
const NULL = Buffer.from([0x4e]);

/** Frames that come before the answer are skipped; READONLY means down. */
export class DubboProbe implements Probe {
  cause = '';

  ask(out: Output): void {
    const frame = buildFrame(FLAG_REQUEST | FLAG_TWO_WAY | FLAG_EVENT | HESSIAN2, 0, ID, NULL);
    out.write(frame, 0, frame.length);
  }

  judge(buf: Uint8Array, start: number, end: number): ProbeVerdict {
    for (let p = start; p < end; ) {
      if (buf[p] !== MAGIC_HIGH || (p + 1 < end && buf[p + 1] !== MAGIC_LOW)) return this.down('the answer is not Dubbo');
      if (end - p < HEADER) return PROBE_MORE;
      const length = i32(buf, p + 12);
      if (length < 0) return this.down('the answer is not Dubbo');
      const next = p + HEADER + length;
      if (next > end) return PROBE_MORE;
      const flags = buf[p + 2]!;
      const event = (flags & FLAG_EVENT) !== 0;
      if (event && (flags & FLAG_REQUEST) !== 0 && length <= 32 && buf.subarray(p + HEADER, next).includes(READ_ONLY)) return this.down('the host is going away');
      if ((flags & FLAG_REQUEST) === 0 && idOf(buf, p) === ID) {
        if (!event) return this.down('the heartbeat was answered as a request');
        return buf[p + 3] === OK ? PROBE_UP : this.down(`the heartbeat was answered with ${statusName(buf[p + 3]!)}`);
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
