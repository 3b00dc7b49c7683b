// What each protocol of the catalog replies for each reason: the columns of docs/errors.md, and lines of `sluice explain CODE`.
import { catalog } from './catalog.js';
import type { ReasonColumn } from './core/explain.js';
import type { ProtocolManifest } from './stream/protocol.js';

/** One column for each protocol with statuses of its own; HTTP's are in the table itself. */
export function replyColumns(): ReasonColumn[] {
  const columns: ReasonColumn[] = [];
  for (const manifest of catalog) {
    if (manifest.kind !== 'protocol' || manifest.name === 'http1') continue;
    const protocol = (manifest as ProtocolManifest).create(manifest.schema.parse({}));
    columns.push({ title: manifest.name, value: (code, reason) => (reason.http === 0 ? '-' : String(protocol.statusOf(code))) });
  }
  return columns.sort((a, b) => (a.title < b.title ? -1 : 1));
}
