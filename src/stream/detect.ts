// Finds out which of several protocols a connection speaks, by what TLS agreed on or by its first bytes, and hands it to that one.
import { Deadline, type DeadlineOwner } from '../core/deadline.js';
import type { SluiceError } from '../core/reason.js';
import type { Connection, Reader } from '../network/connection.js';
import type { MessageListener } from './listener.js';
import { MATCH_MORE, MATCH_YES, type Protocol, type Upgrade } from './protocol.js';

/** Most bytes of a request that asks to go on as another protocol: what is longer stays with the one it began with. */
const MAX_UPGRADE = 16 * 1024;

/**
 * Protocols are asked in the order of the configuration, and one is taken when it says yes and all before it have said no: so the
 * answer depends on the bytes alone, never on how they are cut into packets. Nothing is consumed meanwhile, and no protocol waits for
 * more than its `matchBytes`.
 */
export class Detector implements Reader, DeadlineOwner {
  private readonly connection: Connection;
  private readonly listener: MessageListener;
  private readonly protocols: readonly Protocol[];
  private readonly deadline: Deadline;

  constructor(connection: Connection, listener: MessageListener, protocols: readonly Protocol[], timeout: number) {
    this.connection = connection;
    this.listener = listener;
    this.protocols = protocols;
    this.deadline = new Deadline(this, 0);
    this.deadline.set(timeout);
  }

  /** The protocol that TLS agreed on needs no look at the bytes. */
  static byAlpn(connection: Connection, protocols: readonly Protocol[]): Protocol | null {
    const { alpn } = connection.info;
    return alpn === '' ? null : (protocols.find((protocol) => protocol.alpn === alpn) ?? null);
  }

  onBytes(connection: Connection, buf: Uint8Array, start: number, end: number, owned: boolean): number {
    for (const protocol of this.protocols) {
      const answer = protocol.match(buf, start, end);
      if (answer === MATCH_YES) {
        const upgrade = this.upgradeOf(protocol, buf, start, end);
        return upgrade === 'more' ? 0 : upgrade === null ? this.begin(protocol, buf, start, end, owned) : this.beginUpgraded(upgrade, buf, start, end, owned);
      }
      if (answer === MATCH_MORE && end - start < protocol.matchBytes) return 0;
    }
    this.deadline.cancel();
    if (!this.listener.carry(connection)) {
      this.listener.undetected(connection);
      connection.close();
      return end - start;
    }
    return connection.reader.onBytes(connection, buf, start, end, owned);
  }

  /** Another protocol of the same family that the first request asks for. */
  private upgradeOf(found: Protocol, buf: Uint8Array, start: number, end: number): readonly [Protocol, Upgrade] | 'more' | null {
    for (const protocol of this.protocols) {
      if (protocol === found || protocol.family === undefined || protocol.family !== found.family || protocol.upgradeOf === undefined) continue;
      const upgrade = protocol.upgradeOf(buf, start, end);
      if (upgrade === 'more') return end - start < MAX_UPGRADE ? 'more' : null;
      if (upgrade !== null) return [protocol, upgrade];
    }
    return null;
  }

  private begin(protocol: Protocol, buf: Uint8Array, start: number, end: number, owned: boolean): number {
    this.deadline.cancel();
    const session = this.listener.open(this.connection, protocol);
    return session.onBytes(this.connection, buf, start, end, owned);
  }

  private beginUpgraded([protocol, upgrade]: readonly [Protocol, Upgrade], buf: Uint8Array, start: number, end: number, owned: boolean): number {
    this.deadline.cancel();
    const { connection } = this;
    connection.write(upgrade.greeting, 0, upgrade.greeting.length);
    const session = this.listener.open(connection, protocol);
    upgrade.begin(session.codec, session);
    if (session.closed) return end - start;
    return upgrade.length + (end - start > upgrade.length ? session.onBytes(connection, buf, start + upgrade.length, end, owned) : 0);
  }

  onOpen(): void {}

  onEnd(connection: Connection): void {
    this.deadline.cancel();
    connection.close();
  }

  onDrain(): void {}

  onClose(_connection: Connection, _error: SluiceError | null): void {
    this.deadline.cancel();
  }

  /** A client that waits for the server to speak first, or is too slow, speaks none of the protocols. */
  onDeadline(): void {
    const { connection } = this;
    if (this.listener.carry(connection)) {
      connection.redeliver();
      return;
    }
    this.listener.undetected(connection);
    connection.close();
  }
}
