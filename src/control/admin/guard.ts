// Who may call the admin: no web page may, neither under a name that it made resolve to this machine nor by sending a form.
import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';

export interface Refused {
  readonly status: number;
  readonly code: string;
  readonly message: string;
}

/** The name in a Host header or an origin, lower case, without port and brackets; null when it is malformed. */
function nameOf(authority: string): string | null {
  const found = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?$/.exec(authority);
  return found === null ? null : found[1]!.toLowerCase().replace(/^\[|\]$/g, '');
}

/**
 * Why a request is refused, or null.
 *
 * Host: an IP address cannot be rebound by DNS, `localhost` is not asked of DNS, and the names of the configuration are trusted;
 * every other name may belong to a page that had it resolve to this machine, so that the browser takes both for one site.
 * Writing requests: browsers tell of another site by Origin and Sec-Fetch-Site, and send a form or a text without asking first,
 * but not JSON.
 */
export function refusal(method: string, headers: IncomingHttpHeaders, names: ReadonlySet<string>, overUnixSocket: boolean): Refused | null {
  const host = headers.host ?? '';
  if (!overUnixSocket) {
    const name = nameOf(host);
    if (name === null || (isIP(name) === 0 && name !== 'localhost' && !names.has(name))) {
      return { status: 421, code: 'wrong-host', message: `the admin does not answer for host "${host}"; call it by IP address or localhost, or add the name to admin.hosts` };
    }
  }
  if (method === 'GET' || method === 'HEAD') return null;
  const { origin } = headers;
  const site = headers['sec-fetch-site'];
  const foreign = (origin !== undefined && origin.replace(/^https?:\/\//, '').toLowerCase() !== host.toLowerCase()) || (site !== undefined && site !== 'same-origin' && site !== 'none');
  if (foreign) return { status: 403, code: 'cross-origin', message: 'requests that change something are not taken from other sites' };
  const type = headers['content-type'];
  if (type !== undefined && !/^application\/json\s*(;|$)/i.test(type)) return { status: 415, code: 'not-json', message: 'the body is to be JSON (content-type: application/json), or empty' };
  return null;
}
