// The first page of the admin: what runs, in what state, and where to look further; as HTML for browsers and as text for everyone else.
import type { ClusterState, ConfigState, ListenerState, Operations, ReadyState, WorkerState } from '../operations.js';
import { clustersText, listenersText, readyText, showAge, showBytes, workersText } from './text.js';

/** Everything there is, with one line each; the routes of server.ts are made from the same list. */
export const pages = [
  { method: 'GET', path: '/', doc: 'this page' },
  { method: 'GET', path: '/ready', doc: 'whether work can be sent here (200 or 503), and what is awaited' },
  { method: 'GET', path: '/healthz', doc: 'whether the process lives' },
  { method: 'GET', path: '/version', doc: 'version, Node, process id and uptime' },
  { method: 'GET', path: '/config', doc: 'the configuration: wanted and running version, what was refused last and why, and what is in force' },
  { method: 'GET', path: '/listeners', doc: 'listeners and their connections' },
  { method: 'GET', path: '/clusters', doc: 'clusters with hosts, health, load and breaker levels' },
  { method: 'GET', path: '/connections', doc: 'live connections; ?limit=100' },
  { method: 'GET', path: '/workers', doc: 'worker threads' },
  { method: 'GET', path: '/counters', doc: 'counters and gauges; ?prefix=sluice_cluster' },
  { method: 'GET', path: '/metrics', doc: 'the same, and histograms, for Prometheus' },
  { method: 'GET', path: '/log/level', doc: 'level of the log' },
  { method: 'PUT', path: '/log/level', doc: 'changes it: ?level=debug, or {"level": "debug"}' },
  { method: 'POST', path: '/reload', doc: 'reads the configuration file again; answers with its problems' },
  { method: 'POST', path: '/drain', doc: 'tells peers to go elsewhere, finishes, and ends' },
  { method: 'POST', path: '/stop', doc: 'the same with another deadline: ?deadline=5s, 0 for at once' },
] as const;

export interface Overview {
  readonly version: string;
  readonly uptimeMs: number;
  readonly ready: ReadyState;
  readonly config: ConfigState;
  readonly listeners: readonly ListenerState[];
  readonly clusters: readonly ClusterState[];
  readonly workers: readonly WorkerState[];
}

export async function overview(operations: Operations, wallMs: number): Promise<Overview> {
  const [listeners, clusters, workers] = await Promise.all([operations.listeners(), operations.clusters(), operations.workers()]);
  return { version: operations.version, uptimeMs: Math.max(0, wallMs - operations.startedAt), ready: operations.ready(), config: operations.config(), listeners, clusters, workers };
}

const headline = (o: Overview): string => `Sluice ${o.version}, up ${showAge(o.uptimeMs)}, configuration ${o.config.running}${o.config.wanted === o.config.running ? '' : ` (wanted: ${o.config.wanted})`}${o.config.rejected === null ? '' : ', the last change was refused in part'}`;

export function overviewText(o: Overview): string {
  const list = pages.map(({ method, path, doc }) => `${method.padEnd(4)} ${path.padEnd(13)} ${doc}\n`).join('');
  return `${headline(o)}\n${readyText(o.ready)}\n${listenersText(o.listeners)}\n${clustersText(o.clusters)}\n${workersText(o.workers)}\n${list}`;
}

const escapes: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
const html = (value: string | number): string => String(value).replace(/[&<>"']/g, (c) => escapes[c]!);

/** Cells are escaped here, so nothing that a peer or a configuration says becomes markup. */
function rows(head: readonly string[], list: readonly (readonly (string | number)[])[]): string {
  const line = (tag: string, cells: readonly (string | number)[]): string => `<tr>${cells.map((cell) => `<${tag}${typeof cell === 'number' ? ' class="n"' : ''}>${html(cell)}</${tag}>`).join('')}</tr>`;
  return `<table>${line('th', head)}${list.map((cells) => line('td', cells)).join('')}</table>`;
}

const style = `
  body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #1b1f24; background: #fff }
  h1 { font-size: 1.4rem } h2 { font-size: 1.05rem; margin: 1.6rem 0 .3rem } table { border-collapse: collapse; width: 100% }
  th, td { text-align: left; padding: .2rem .9rem .2rem 0; border-bottom: 1px solid #ddd; vertical-align: top } .n { text-align: right }
  .ok { color: #116329 } .bad { color: #a40e26 } code { font: 13px ui-monospace, monospace } ul { margin: .2rem 0 }
  @media (prefers-color-scheme: dark) { body { color: #e6e6e6; background: #16181b } th, td { border-color: #333 } .ok { color: #6fdd8b } .bad { color: #ff8d9b } a { color: #8ab8ff } }`;

export function overviewHtml(o: Overview): string {
  const state = o.ready.ready ? '<p class="ok">ready</p>' : `<p class="bad">not ready</p><ul>${o.ready.waiting.map((one) => `<li>awaits ${html(one)}</li>`).join('')}</ul>`;
  const rejected = o.config.rejected === null ? '' : `<h2 class="bad">Refused: ${html(o.config.rejected.at)}</h2><ul>${o.config.rejected.problems.map((one) => `<li><code>${html(one)}</code></li>`).join('')}</ul>`;
  const clusters = o.clusters.map((cluster) => {
    const error = cluster.lastError === '' ? '' : `<p class="bad">${html(cluster.lastError)}</p>`;
    const hosts = cluster.hosts.map((h) => [h.address, h.weight, h.healthy ? 'healthy' : `unhealthy: ${h.cause}`, h.active, h.connections]);
    return `<h2>Cluster ${html(cluster.name)}</h2>${error}${rows(['host', 'weight', 'health', 'active', 'connections'], hosts)}`;
  });
  const list = pages.map(({ method, path, doc }) => {
    const link = method === 'GET' ? `<a href="${html(path)}"><code>${html(path)}</code></a>` : `<code>${html(path)}</code>`;
    return `<tr><td><code>${method}</code></td><td>${link}</td><td>${html(doc)}</td></tr>`;
  });
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Sluice</title><style>${style}</style></head><body>
<h1>${html(headline(o))}</h1>
${state}
${rejected}
<h2>Listeners</h2>${rows(['listener', 'address', 'protocol', 'state', 'connections'], o.listeners.map((l) => [l.name, l.address, l.protocol, l.error === '' ? l.state : `${l.state}: ${l.error}`, l.connections]))}
${clusters.join('\n')}
<h2>Workers</h2>${rows(['worker', 'state', 'configuration', 'heap', 'connections'], o.workers.map((w) => [w.id, w.state, w.version, showBytes(w.heapUsed), w.connections]))}
<h2>Everything there is</h2><table>${list.join('')}</table>
</body></html>
`;
}
