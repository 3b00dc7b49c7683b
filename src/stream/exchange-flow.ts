// Backpressure of one exchange: content moves on only as fast as the slower side takes it, by credit where a protocol has it, else by pausing.
import { PAUSE_PEER } from '../network/connection.js';
import { ExchangeState } from './exchange-state.js';
import type { Exchange } from './exchange.js';
import { DONE } from './phases.js';
import type { MultiplexPool } from './pool/multiplex.js';
import type { Session } from './session.js';

/** Unsent bytes of one client at which the shared connection that feeds it is taken out of use. */
const FAR_BEHIND = 1024 * 1024;

/**
 * A side is behind when its connection is (more unsent bytes than HIGH_WATER) or when its own window for this exchange is used up. The
 * other side then gets no credit, where exchanges have flow control (`flow`), or its connection is paused, which it has for itself
 * (exclusive) or after a quarantine (shared).
 */
export abstract class ExchangeFlow extends ExchangeState {
  /** Bytes taken from the client, or from the host, that it is to be credited with when the other side has room again. */
  private owedDown = 0;
  private owedUp = 0;
  /** The connection of the client, or of the host, is paused because a window of the other side is used up. */
  private pausedDown = false;
  private pausedUp = false;

  /** Content of the request was handed to the host's connection. */
  protected requestMoved(bytes: number): void {
    const up = this.up;
    const down = this.down;
    if (up === null) return;
    const { behind } = up;
    if (!behind && !(up.flow && up.codec.stalled!(this.upId))) {
      up.relieve();
      const owed = this.owedDown + bytes;
      this.owedDown = 0;
      if (down.flow && owed > 0) down.codec.credit!(down.connection, this.downId, owed);
    } else if (down.flow) {
      this.owedDown += bytes;
      if (behind) up.tell(this as unknown as Exchange);
    } else if (behind) {
      down.waitFor(up);
    } else {
      this.pausedDown = true;
      down.connection.pause(PAUSE_PEER);
    }
  }

  /** Content of the reply was handed to the client's connection, and more is to come. */
  protected replyMoved(bytes: number): void {
    const up = this.up;
    const down = this.down;
    const behind = down.behindFor(this.downId);
    if (up === null) {
      // A terminal hears of room by its own way.
      if (behind) {
        down.tooFarBehind();
        down.tell(this as unknown as Exchange);
      }
      return;
    }
    if (!up.flow) {
      if (behind) this.pushBack();
      else if (down.flow && down.codec.stalled!(this.downId)) {
        this.pausedUp = true;
        up.connection.pause(PAUSE_PEER);
      }
      return;
    }
    if (behind || (down.flow && down.codec.stalled!(this.downId))) {
      this.owedUp += bytes;
      if (!behind) return;
      down.tooFarBehind();
      down.tell(this as unknown as Exchange);
    } else if (bytes > 0) {
      up.codec.credit!(up.connection, this.upId, bytes);
    }
  }

  /** What was kept here for filters counts as moved: it is bounded by their limit. */
  protected requestGathered(bytes: number): void {
    const down = this.down;
    if (down.flow && bytes > 0 && !down.closed) down.codec.credit!(down.connection, this.downId, bytes);
  }

  protected replyGathered(session: Session, bytes: number): void {
    if (session.flow && bytes > 0) session.codec.credit!(session.connection, this.upId, bytes);
  }

  /** The session, one of the two, may have room again for this exchange. */
  roomAt(session: Session): void {
    if (this.phase === DONE) return;
    const up = this.up;
    const down = this.down;
    if (session === up) {
      if (up.behind) up.tell(this as unknown as Exchange);
      else if (!(up.flow && up.codec.stalled!(this.upId))) {
        this.resumeDown();
        const owed = this.owedDown;
        this.owedDown = 0;
        if (owed > 0 && !down.closed) down.codec.credit!(down.connection, this.downId, owed);
      }
    } else if (session === down) {
      if (down.behindFor(this.downId)) down.tell(this as unknown as Exchange);
      else if (!(down.flow && down.codec.stalled!(this.downId))) {
        this.resumeUp();
        const owed = this.owedUp;
        this.owedUp = 0;
        if (owed > 0 && up !== null && !up.closed) up.codec.credit!(up.connection, this.upId, owed);
        if (up === null) this.roomForTerminal();
      }
    }
  }

  /** The client has room again for the reply of a terminal. */
  protected roomForTerminal(): void {}

  private resumeDown(): void {
    if (!this.pausedDown) return;
    this.pausedDown = false;
    if (!this.down.closed) this.down.connection.resume(PAUSE_PEER);
  }

  private resumeUp(): void {
    if (!this.pausedUp) return;
    this.pausedUp = false;
    const up = this.up;
    if (up !== null && !up.closed) up.connection.resume(PAUSE_PEER);
  }

  /** The exchange leaves its host's connection; nothing of it may stay paused. */
  protected flowEnds(session: Session): void {
    this.owedUp = 0;
    // What the client is owed stays: its content is sent again to another host.
    this.resumeDown();
    if (!this.pausedUp) return;
    this.pausedUp = false;
    if (!session.closed) session.connection.resume(PAUSE_PEER);
  }

  override clear(): void {
    super.clear();
    this.owedDown = 0;
    this.owedUp = 0;
    this.pausedDown = false;
    this.pausedUp = false;
  }

  /** The client is behind: its reply waits on the host's connection, which a shared one may do only after its quarantine. */
  pushBack(): void {
    const up = this.up;
    const down = this.down;
    if (up === null || !down.behindFor(this.downId)) return;
    down.tooFarBehind();
    if (this.up !== up) return;
    if (this.sharesUpstream && (down.unsent < FAR_BEHIND || !(up.pool as MultiplexPool).quarantine(up, this as unknown as Exchange))) return;
    up.waitFor(down);
  }

  /** A reply so long that it holds up the others of a shared connection whoever receives it. */
  protected longReply(length: number): void {
    if (length > FAR_BEHIND && this.sharesUpstream) (this.up!.pool as MultiplexPool).quarantine(this.up!, this as unknown as Exchange);
  }

  private get sharesUpstream(): boolean {
    return this.pools !== null && this.pools.kind === 'multiplex' && !this.up!.alone && !this.up!.flow;
  }
}
