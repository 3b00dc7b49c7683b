// What each protocol replies for each reason: the columns of docs/errors.md, and lines of `sluice explain CODE`.
import type { ReasonColumn } from '../core/explain.js';
import type { Manifest } from '../core/manifest.js';
import type { ProtocolManifest } from './protocol.js';

/** One column for each protocol with statuses of its own; HTTP's are in the table itself. */
export function replyColumns(manifests: readonly Manifest[]): ReasonColumn[] {
  const columns: ReasonColumn[] = [];
  for (const manifest of manifests) {
    if (manifest.kind !== 'protocol' || manifest.name === 'http1') continue;
    const protocol = (manifest as ProtocolManifest).create(manifest.schema.parse({}));
    columns.push({ title: manifest.name, value: (code, reason) => (reason.http === 0 ? '-' : String(protocol.statusOf(code))) });
  }
  return columns.sort((a, b) => (a.title < b.title ? -1 : 1));
}
