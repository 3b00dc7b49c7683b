// The answers of the admin as text for people: aligned columns, and words instead of raw numbers.
import type { ClusterState, ConfigState, ConnectionState, ListenerState, ReadyState, WorkerState } from '../operations.js';

/** Columns as wide as their widest cell; numbers to the right. */
export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const cells = [head, ...rows.map((row) => row.map((cell) => (cell === '' ? '-' : String(cell))))];
  const widths = head.map((_, i) => Math.max(...cells.map((row) => row[i]!.length)));
  const numeric = head.map((_, i) => rows.length > 0 && rows.every((row) => typeof row[i] === 'number'));
  const lines = cells.map((row) => row.map((cell, i) => (numeric[i] ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!))).join('  ').trimEnd());
  return `${lines.join('\n')}\n`;
}

const ofLimit = (level: number, limit: number): string => (limit === 0 ? String(level) : `${level}/${limit}`);

/** 1536 -> "1.5 KiB". */
export function showBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  let value = bytes;
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** 250 -> "250ms", 3024 -> "3s", 61500 -> "1m 1s": the two largest units. */
export function showAge(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)}ms`;
  const seconds = Math.floor(ms / 1000);
  const parts: [number, string][] = [[Math.floor(seconds / 86_400), 'd'], [Math.floor(seconds / 3600) % 24, 'h'], [Math.floor(seconds / 60) % 60, 'm'], [seconds % 60, 's']];
  return parts.filter(([n]) => n > 0).slice(0, 2).map(([n, unit]) => `${n}${unit}`).join(' ');
}

export function readyText({ ready, waiting }: ReadyState): string {
  return `${ready ? 'ready' : 'not ready'}\n${waiting.map((one) => `  awaits ${one}\n`).join('')}`;
}

export function configText(state: ConfigState): string {
  const lines = [`file      ${state.file}`, `wanted    version ${state.wanted}`, `running   version ${state.running}`];
  if (state.rejected !== null) lines.push(`rejected  ${state.rejected.at}`, ...state.rejected.problems.map((problem) => `          ${problem}`));
  return `${lines.join('\n')}\n\n${JSON.stringify(state.effective, null, 2)}\n`;
}

export function listenersText(list: readonly ListenerState[]): string {
  return table(['listener', 'address', 'protocol', 'state', 'connections', 'error'], list.map((l) => [l.name, l.address, l.protocol, l.state, l.connections, l.error]));
}

export function clustersText(list: readonly ClusterState[]): string {
  return list
    .map((cluster) => {
      const { name, protocol, discovery, levels, limits, lastError, hosts } = cluster;
      const use = (['connections', 'pending', 'requests', 'retries'] as const).map((key) => `${key} ${ofLimit(levels[key], limits[key])}`).join(', ');
      const head = `${name}${protocol === '' ? '' : ` (${protocol})`}: hosts by ${discovery}; ${use}\n${lastError === '' ? '' : `  last error: ${lastError}\n`}`;
      if (hosts.length === 0) return `${head}  no hosts\n`;
      const rows = hosts.map((h) => [h.address, h.address.startsWith(h.hostname) ? '' : h.hostname, h.weight, h.healthy ? 'healthy' : 'unhealthy', h.active, h.connections, h.cause]);
      return head + table(['host', 'name', 'weight', 'health', 'active', 'connections', 'cause'], rows).replace(/^/gm, '  ').trimEnd() + '\n';
    })
    .join('\n');
}

export function connectionsText(list: readonly ConnectionState[]): string {
  const rows = list.map((c) => [c.id, c.worker, c.side, c.owner, c.protocol, c.remote, c.local, showAge(c.ageMs), c.active, c.received, c.sent, c.unsent]);
  return table(['id', 'worker', 'side', 'of', 'protocol', 'remote', 'local', 'age', 'active', 'received', 'sent', 'unsent'], rows);
}

export function workersText(list: readonly WorkerState[]): string {
  return table(['worker', 'state', 'config', 'heap', 'connections'], list.map((w) => [w.id, w.state, w.version, showBytes(w.heapUsed), w.connections]));
}

export function countersText(counters: Readonly<Record<string, number>>): string {
  return Object.entries(counters).map(([name, value]) => `${name} ${value}\n`).join('');
}
