// The network filter connection_limit: no more than so many connections of a listener at a time.
import * as z from 'zod';
import { integer, option } from '../../../core/config/schema.js';
import { SluiceError } from '../../../core/reason.js';
import type { FilterContext, Level, NetworkFilter, NetworkFilterManifest } from '../../../network/filter.js';

const schema = z.strictObject({
  max_connections: option(integer(1, 10_000_000), { doc: 'Most connections (with udp: sessions) of the listener at a time, over all workers; a further one is closed at once.' }),
});

class ConnectionLimit implements NetworkFilter {
  readonly name = 'connection_limit';
  private readonly limit: number;
  private readonly level: Level;
  private readonly listener: string;

  constructor(limit: number, context: FilterContext) {
    this.limit = limit;
    this.listener = context.listener;
    // The same level before and after a change of the limit: those who are in stay counted.
    this.level = context.level(`connection_limit ${context.listener}`);
  }

  admit(): SluiceError | null {
    if (this.level.read() >= this.limit) return new SluiceError('connection-limit', { listener: this.listener, limit: this.limit });
    this.level.add(1);
    return null;
  }

  leave(): void {
    this.level.add(-1);
  }
}

export const manifest: NetworkFilterManifest = {
  kind: 'network-filter',
  role: 'gate',
  name: 'connection_limit',
  doc: 'No more than so many connections of a listener at a time.',
  schema,
  create: (options, context) => new ConnectionLimit((options as z.output<typeof schema>).max_connections, context),
};
