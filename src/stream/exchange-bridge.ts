// Exchanges that a bridge carries to another protocol: the whole request goes through it, and the reply, gathered or in pieces.
import type { ReasonCode, ReasonContext } from '../core/reason.js';
import { Gather } from './body.js';
import type { Bridge } from './bridge.js';
import { ExchangeTerminal } from './exchange-terminal.js';
import type { Exchange } from './exchange.js';
import { headerName, type Head } from './head.js';
import { ListHead } from './list-head.js';
import { CLUSTER, DONE, REPLY } from './phases.js';
import type { LocalReply } from './protocol.js';
import type { Session } from './session.js';

const EMPTY = Buffer.alloc(0);
const EXPECT = headerName('expect');
const GO_ON = new ListHead([], 100);
GO_ON.interim = true;

export abstract class ExchangeBridge extends ExchangeTerminal {
  /** Set by a filter in its `onRoute`. */
  bridge: Bridge | null = null;
  private bridged = false;
  /** The host's reply is gathered: its head, and its content so far. */
  private gatheredHead: Head | null = null;
  private gathered: Gather | null = null;
  /** The reply goes through the bridge in pieces. */
  private inPieces = false;
  /** Bytes of the host that became pieces which the client has not taken yet. */
  private uncredited = 0;

  /** The reply as the client is to get it, from here on through filters and edits. */
  protected abstract takeReply(head: Head, last: boolean): void;
  protected abstract replyGoesOn(session: Session | null, buf: Uint8Array, start: number, end: number, last: boolean): void;

  private get self(): Exchange {
    return this as unknown as Exchange;
  }

  /** For filters in `onRoute`: gives the exchange to the next route that it matches. False: there is none, and it keeps the one it has. */
  nextRoute(): boolean {
    const next = this.route === null ? null : this.listener.table.after(this.route, this.requestHead!);
    if (next === null) return false;
    this.route = next;
    this.record.routeName = next.name;
    return true;
  }

  /** Whether the exchange waits for the rest of a request that a bridge is to carry. */
  protected get gathersForBridge(): boolean {
    return this.bridge !== null && !this.bridged && this.phase === CLUSTER;
  }

  /** Carries the request over; false while it is not whole, or when the exchange has ended. */
  protected bridgeRequest(bridge: Bridge): boolean {
    if (this.bridged) return true;
    if (!this.requestDone) {
      this.askForRest();
      this.keepRequest();
      return false;
    }
    const head = this.requestHead!;
    const body = this.body !== null ? this.body.take() : head.whole ? head.bodyBuf.subarray(head.bodyStart, head.bodyEnd) : EMPTY;
    this.body = null;
    if (body.length > bridge.limit) {
      this.fail('body-too-large', { limit: bridge.limit });
      return false;
    }
    const { generation } = this;
    let made: Head | null;
    try {
      made = bridge.request(this.self, head, body);
    } catch (error) {
      this.threw(bridge, error);
      return false;
    }
    if (this.generation !== generation || this.phase === DONE || made === null) return false;
    this.bridged = true;
    if (this.record.trace !== null) this.listener.tracer?.carryOver(made, this.record.trace);
    this.requestHead = made;
    this.requestKept = true;
    // It is whole, however it came.
    this.sharing = made.sharing;
    this.trailers = null;
    return true;
  }

  /** A client that waits for a word before it sends its content gets it here: no host will hear of it before it is whole. */
  private askForRest(): void {
    const { down } = this;
    if (this.requestKept || this.body !== null || down.closed || this.requestHead!.get(EXPECT)?.toLowerCase() !== '100-continue') return;
    down.codec.encodeReply(down.connection, GO_ON, this.downId, false);
  }

  /** Takes the head of a host's reply; what follows comes to `bridgeData` and `bridgeEnd`. */
  protected bridgeReply(bridge: Bridge, head: Head, last: boolean): void {
    if (last) {
      this.replyDone = true;
      this.convert(bridge, head, head.whole ? head.bodyBuf.subarray(head.bodyStart, head.bodyEnd) : EMPTY, null);
      return;
    }
    let made: Head | null;
    try {
      made = bridge.replyHead?.(this.self, head) ?? null;
    } catch (error) {
      this.threw(bridge, error);
      return;
    }
    if (made !== null) {
      this.inPieces = true;
      this.tookStatus(made);
      this.takeReply(made, false);
      return;
    }
    this.gatheredHead = head.keep();
    this.gathered = new Gather();
  }

  /** A failure stays one in logs and metrics where the client's protocol tells it behind a head that looks well. */
  private tookStatus(made: Head): void {
    const { record } = this;
    if (made.status >= 400 || record.status < 400) record.status = made.status;
  }

  /** Content of a reply that goes through a bridge. */
  protected bridgeData(bridge: Bridge, session: Session | null, buf: Uint8Array, start: number, end: number, last: boolean): void {
    if (this.inPieces) {
      this.pieces(bridge, session, buf, start, end, last, null);
      return;
    }
    if (this.gathered === null) return;
    if (!this.gathered.add(buf, start, end, bridge.limit)) {
      this.fail('reply-too-large', { host: this.host?.address, limit: bridge.limit });
      return;
    }
    if (session !== null) this.replyGathered(session, end - start);
    if (last) this.gatheredAll(bridge, null);
  }

  protected bridgeEnd(bridge: Bridge, session: Session | null, trailers: Head): void {
    if (this.inPieces) this.pieces(bridge, session, EMPTY, 0, 0, true, trailers);
    else if (this.gathered !== null) this.gatheredAll(bridge, trailers);
  }

  private pieces(bridge: Bridge, session: Session | null, buf: Uint8Array, start: number, end: number, last: boolean, trailers: Head | null): void {
    let bytes: Uint8Array;
    const { generation } = this;
    try {
      bytes = end > start ? bridge.piece!(this.self, buf, start, end) : EMPTY;
      if (this.generation !== generation || this.phase === DONE) return;
      if (last) {
        const rest = bridge.end!(this.self, trailers);
        if (rest.length > 0) bytes = bytes.length === 0 ? rest : Buffer.concat([bytes, rest]);
      }
    } catch (error) {
      this.threw(bridge, error);
      return;
    }
    if (this.generation !== generation || this.phase === DONE) return;
    if (trailers !== null && trailers.status > 0) {
      this.record.status = trailers.status;
      this.record.rawStatus = trailers.rawStatus;
    }
    // Credit is for what the host sent, not for what became of it.
    let from = session;
    if (session !== null && this.phase < REPLY && (bytes.length === 0 || !this.heldReply)) {
      this.replyGathered(session, end - start);
      from = null;
    } else {
      this.uncredited += end - start;
      // Also what nothing came of yet: a host is not to go on while the client takes nothing.
      if (bytes.length === 0 && !last) this.replyMoved(0);
    }
    if (bytes.length > 0 || last) this.replyGoesOn(from, bytes, 0, bytes.length, last);
  }

  protected override replyMoved(bytes: number): void {
    if (!this.inPieces) {
      super.replyMoved(bytes);
      return;
    }
    const came = this.uncredited;
    this.uncredited = 0;
    super.replyMoved(came);
  }

  protected override cut(code: ReasonCode, context: ReasonContext): void {
    const { bridge } = this;
    if (bridge?.cut === undefined || !this.inPieces || this.down.closed) {
      super.cut(code, context);
      return;
    }
    const bytes = this.ofFailure(() => bridge.cut!(this.self, code, context));
    if (bytes === null) {
      super.cut(code, context);
      return;
    }
    this.record.code = code;
    this.record.context = context;
    const { down } = this;
    const from = down.produced;
    down.codec.encodeData(down.connection, this.downId, bytes, 0, bytes.length, true);
    this.record.bytesOut += down.produced - from;
    this.finish();
  }

  protected override forClient(reply: LocalReply): LocalReply {
    const { bridge } = this;
    return bridge?.local === undefined ? reply : (this.ofFailure(() => bridge.local!(this.self, reply)) ?? reply);
  }

  /** What a bridge makes of a failure; a failure of its own is only logged. */
  private ofFailure<T>(make: () => T | null): T | null {
    try {
      return make();
    } catch (error) {
      this.listener.filterThrew(this.bridge!.name, error);
      return null;
    }
  }

  private gatheredAll(bridge: Bridge, trailers: Head | null): void {
    const head = this.gatheredHead!;
    const body = this.gathered!.take();
    this.gathered = null;
    this.gatheredHead = null;
    this.replyDone = true;
    if (trailers !== null && trailers.status > 0) this.record.rawStatus = trailers.rawStatus;
    this.convert(bridge, head, body, trailers);
  }

  private convert(bridge: Bridge, head: Head, body: Uint8Array, trailers: Head | null): void {
    let made: Head;
    try {
      made = bridge.reply(this.self, head, body, trailers);
    } catch (error) {
      this.replyDone = true;
      this.threw(bridge, error);
      return;
    }
    if (this.phase === DONE) return;
    this.tookStatus(made);
    this.takeReply(made, true);
  }

  protected clearBridge(): void {
    this.bridge = null;
    this.bridged = false;
    this.gatheredHead = null;
    this.gathered = null;
    this.inPieces = false;
    this.uncredited = 0;
  }
}
