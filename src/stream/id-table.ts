// Ids of the exchanges that one upstream connection carries: slots with a generation, so that a late reply cannot reach another exchange.
import type { Exchange } from './exchange.js';

/** Most exchanges in flight on one connection. */
export const MAX_IN_FLIGHT = 65535;

/**
 * id = generation << 16 | slot, always in 1..2^31-1: positive in signed readers, never 0.
 * A slot's generation moves on each use, so an id comes back only after 32,767 uses of its slot.
 */
export class IdTable {
  private slots: (Exchange | null)[] = [];
  private ids: number[] = [];
  private free: number[] = [];
  size = 0;

  /** Takes an id for the exchange; 0 when MAX_IN_FLIGHT are in flight. */
  add(exchange: Exchange): number {
    let slot = this.free.pop();
    if (slot === undefined) {
      slot = this.slots.length;
      if (slot >= MAX_IN_FLIGHT) return 0;
      this.slots.push(null);
      this.ids.push(slot);
    }
    const generation = (((this.ids[slot]! >>> 16) + 1) & 0x7fff) || 1;
    const id = (generation << 16) | slot;
    this.ids[slot] = id;
    this.slots[slot] = exchange;
    this.size++;
    return id;
  }

  get(id: number): Exchange | null {
    const slot = id & 0xffff;
    return slot < this.slots.length && this.ids[slot] === id ? this.slots[slot]! : null;
  }

  remove(id: number): void {
    const slot = id & 0xffff;
    if (slot >= this.slots.length || this.ids[slot] !== id || this.slots[slot] === null) return;
    this.slots[slot] = null;
    this.free.push(slot);
    this.size--;
  }

  /** Visits every exchange in flight; the visitor may remove. */
  each(visit: (exchange: Exchange, id: number) => void): void {
    for (let i = 0; i < this.slots.length; i++) {
      const exchange = this.slots[i];
      if (exchange !== null && exchange !== undefined) visit(exchange, this.ids[i]!);
    }
  }
}
