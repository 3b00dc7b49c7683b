// How routes are configured: every option with its default, unit and effect; what the rest of the router is built from.
import * as z from 'zod';
import { duration, flag, integer, name, oneOf, option, Refusal, scalar, section, text } from '../core/config/schema.js';
import { guardedRegex } from './regex-guard.js';
import { retryConditions } from './retry-policy.js';
import { AT_REPLY, AT_REQUEST, type Moment, templateProblems } from './variables.js';

/** A text with %variables%, checked for the moment at which it is rendered. */
export function template(moment: Moment): z.ZodType<string, unknown> {
  const expected = 'a text, in which %variable% stands for its value';
  return scalar<string>({ expected, input: () => ({ type: ['string', 'number', 'boolean'] }) }, (value) => {
    if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') return new Refusal(expected);
    const [problem] = templateProblems(String(value), moment);
    return problem === undefined ? String(value) : new Refusal(expected, problem);
  });
}

function regex(whole: boolean): z.ZodType<string, unknown> {
  const expected = 'a regular expression';
  return scalar<string>({ expected, input: () => ({ type: 'string', format: 'regex' }) }, (value) => {
    if (typeof value !== 'string' || value === '') return new Refusal(expected);
    const made = guardedRegex(value, { whole });
    return typeof made === 'string' ? new Refusal(made) : value;
  });
}

const headerToken = /^[!#$&'*+.^_`|~0-9A-Za-z-]+$/;
/** Headers by which a protocol frames its messages; the codecs write them. */
const framing = ['connection', 'content-length', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade'];

function headerToMatch(): z.ZodType<string, unknown> {
  const expected = 'the name of a header';
  return scalar<string>({ expected, input: () => ({ type: 'string', pattern: headerToken.source }) }, (value) =>
    typeof value === 'string' && headerToken.test(value) ? value : new Refusal(expected),
  );
}

function headerToEdit(): z.ZodType<string, string> {
  const expected = 'the name of a header that may be edited';
  const schema = scalar<string>({ expected, input: () => ({ type: 'string', pattern: headerToken.source }) }, (value) => {
    if (typeof value !== 'string' || !headerToken.test(value)) return new Refusal(expected);
    if (framing.includes(value.toLowerCase())) return new Refusal(expected, 'the protocol itself writes this one');
    return value.toLowerCase() === 'host' ? new Refusal(expected, 'use host_rewrite') : value;
  });
  return schema as z.ZodType<string, string>;
}

// === conditions

export interface TextMatchConfig {
  readonly exact?: string | undefined;
  readonly prefix?: string | undefined;
  readonly suffix?: string | undefined;
  readonly contains?: string | undefined;
  readonly anyOf?: readonly string[] | undefined;
  readonly regex?: string | undefined;
  readonly present?: boolean | undefined;
  readonly absent?: boolean | undefined;
  readonly invert?: boolean | undefined;
  readonly ignore_case?: boolean | undefined;
}

const operators = ['exact', 'prefix', 'suffix', 'contains', 'regex', 'present', 'absent'] as const;

const textMatchShape = {
  exact: option(text(), { optional: true, doc: 'The value is this, byte for byte.' }),
  prefix: option(text(), { optional: true, doc: 'The value begins with this.' }),
  suffix: option(text(), { optional: true, doc: 'The value ends with this.' }),
  contains: option(text(), { optional: true, doc: 'The value contains this.' }),
  regex: option(regex(true), { optional: true, doc: 'The whole value matches this regular expression; a value longer than 2048 characters (256 with three repetitions) never does.' }),
  present: option(z.literal(true), { optional: true, doc: 'There is a value.' }),
  absent: option(z.literal(true), { optional: true, doc: 'There is no value.' }),
  invert: option(flag(), { default: false, doc: 'The opposite: also true where there is no value. Default false.' }),
  ignore_case: option(flag(), { default: false, doc: 'For `regex`: upper and lower case are the same. Default false.' }),
};

type Given = Readonly<Partial<Record<(typeof operators)[number], unknown>>>;
type Refinement = Pick<z.core.$RefinementCtx, 'addIssue'>;

function refuse(context: Refinement, expected: string, path: (string | number)[] = [], hint = ''): void {
  context.addIssue({ code: 'custom', params: { expected, hint }, path });
}

function oneOperator(value: Given & { readonly ignore_case?: boolean }, context: Refinement): void {
  const given = operators.filter((key) => value[key] !== undefined);
  // The complaint is about a key and not about the map: that it is a map tells which form was meant.
  if (given.length !== 1) refuse(context, `exactly one of ${operators.join(', ')}`, [given[1] ?? operators[0]], given.length === 0 ? '' : `found ${given.join(' and ')}`);
  if (value.ignore_case === true && value['regex'] === undefined) refuse(context, 'a regex to go with it', ['ignore_case']);
}

const asList = (values: readonly string[]): TextMatchConfig => ({ anyOf: values });

/** `x` for exact, a list for any of several, or a map with an operator. */
const textMatch = z.union([
  text().transform((exact): TextMatchConfig => ({ exact })),
  z.array(text()).min(1).transform(asList),
  z.strictObject(textMatchShape).superRefine(oneOperator).transform((value): TextMatchConfig => value),
]);

const namedMatch = (what: z.ZodType<string, unknown>, doc: string) =>
  z.strictObject({ name: option(what, { doc }), ...textMatchShape }).superRefine(oneOperator);

const matchShape = {
  prefix: option(text(), { optional: true, doc: 'The path begins with this, byte for byte: /a is a prefix of /ab. The query is not looked at.' }),
  path: option(text(), { optional: true, doc: 'The path without its query is this.' }),
  regex: option(regex(true), { optional: true, doc: 'The whole path without its query matches this regular expression.' }),
  ignore_case: option(flag(), { default: false, doc: 'Upper and lower case of the path are the same. Default false.' }),
  method: option(textMatch, { optional: true, doc: 'Method of the request, or a list of them; beside `service`, and in a protocol without HTTP methods, the method of the RPC.' }),
  service: option(textMatch, { optional: true, doc: 'Service of an RPC.' }),
  version: option(textMatch, { optional: true, doc: 'Version of the service of an RPC.' }),
  group: option(textMatch, { optional: true, doc: 'Group of the service of an RPC.' }),
  headers: option(z.array(namedMatch(headerToMatch(), 'Name of the header; case matters where the protocol says so.')), { default: [], doc: 'Conditions on headers; all must hold. `header.NAME: value` is a short form.' }),
  query: option(z.array(namedMatch(text(), 'Name of the parameter.')), { default: [], doc: 'Conditions on parameters of the query, percent-decoded; all must hold.' }),
};
const matchObject = z.strictObject(matchShape);
type MatchShape = z.output<typeof matchObject>;

export type NamedMatchConfig = TextMatchConfig & { readonly name: string };

export interface MatchConfig extends Omit<MatchShape, 'headers' | 'query' | 'method' | 'service' | 'version' | 'group'> {
  readonly method?: TextMatchConfig | undefined;
  readonly service?: TextMatchConfig | undefined;
  readonly version?: TextMatchConfig | undefined;
  readonly group?: TextMatchConfig | undefined;
  readonly headers: readonly NamedMatchConfig[];
  readonly query: readonly NamedMatchConfig[];
}

/** What matches every request. */
export const matchAll: MatchConfig = { ignore_case: false, headers: [], query: [] };

const SHORT = 'header.';

const match = z
  .object(matchShape)
  .catchall(textMatch)
  .superRefine((value, context) => {
    const paths = (['prefix', 'path', 'regex'] as const).filter((key) => value[key] !== undefined);
    if (paths.length > 1) refuse(context, `only one of prefix, path and regex`, [paths[1]!], `found ${paths.join(' and ')}`);
    for (const key of ['prefix', 'path'] as const) {
      const path = value[key];
      if (path === undefined) continue;
      if (!path.startsWith('/') && path !== '*') refuse(context, 'a path that begins with /', [key]);
      if (path.includes('?') || path.includes('#')) refuse(context, 'a path without query or fragment', [key], 'use `query`');
    }
    for (const key of Object.keys(value)) {
      if (Object.hasOwn(matchShape, key)) continue;
      if (!key.startsWith(SHORT)) context.addIssue({ code: 'unrecognized_keys', keys: [key], input: value, inst: matchObject });
      else if (!headerToken.test(key.slice(SHORT.length))) refuse(context, 'the name of a header behind "header."', [key]);
    }
  })
  .transform((value): MatchConfig => {
    const headers: NamedMatchConfig[] = [...value.headers];
    for (const [key, condition] of Object.entries(value)) {
      if (key.startsWith(SHORT)) headers.push({ name: key.slice(SHORT.length), ...(condition as TextMatchConfig) });
    }
    const { prefix, path, regex: expression, ignore_case, method, service, version, group, query } = value;
    return { prefix, path, regex: expression, ignore_case, method, service, version, group, headers, query };
  });

// === what is done to heads

const editsOf = (moment: Moment, whose: string) =>
  section(
    {
      add: option(z.record(headerToEdit(), template(moment)), { default: {}, doc: `Headers added to the ${whose} beside values they have already; in a protocol whose headers are a map, in their place. A text with variables that are all absent adds nothing.` }),
      set: option(z.record(headerToEdit(), template(moment)), { default: {}, doc: `Headers of the ${whose} whose values are replaced, or added where there are none.` }),
      remove: option(z.array(headerToEdit()), { default: [], doc: `Headers removed from the ${whose}.` }),
    },
    `Edits of the headers of the ${whose}: first remove, then set, then add. Those of the route come first, then those of the virtual host, then those of the table.`,
  );
const requestEdits = editsOf(AT_REQUEST, 'request');
const replyEdits = editsOf(AT_REPLY, 'reply');
export type EditsConfig = z.output<typeof requestEdits>;

const regexRewrite = z.strictObject({
  regex: option(regex(false), { doc: 'What is replaced in the path (without query); its first match only.' }),
  substitution: option(text(), { doc: 'What comes in its place; `$1` and `$<name>` stand for groups.' }),
});

// === actions

const weighted = z
  .array(
    z.strictObject({
      cluster: option(name(), { doc: 'Name of the cluster.' }),
      weight: option(integer(0, 1_000_000), { doc: 'Its share; 0 gets nothing. Shares are exact: in as many requests as the weights sum up to, each cluster gets just its weight (per worker).' }),
    }),
  )
  .min(1)
  .refine((list) => list.some((c) => c.weight > 0), 'at least one weight above 0');

const redirect = z
  .strictObject({
    code: option(z.union([z.literal(301), z.literal(302), z.literal(303), z.literal(307), z.literal(308)]), { default: 301, doc: 'Status: 301, 302, 303, 307 or 308. Default 301.' }),
    scheme: option(oneOf(['http', 'https']), { optional: true, doc: 'Scheme of the new address; a port :80 or :443 that was the default of the old scheme is dropped.' }),
    host: option(template(AT_REQUEST), { optional: true, doc: 'Host, with port where it has one. Default: the host asked for.' }),
    path: option(template(AT_REQUEST), { optional: true, doc: 'Path, in place of the whole one. The query is kept unless this has one.' }),
    prefix: option(template(AT_REQUEST), { optional: true, doc: 'What comes in place of the prefix that the route matched.' }),
    strip_query: option(flag(), { default: false, doc: 'Leaves the query away. Default false.' }),
  })
  .superRefine((value, context) => {
    if (value.path !== undefined && value.prefix !== undefined) refuse(context, 'only one of path and prefix', ['prefix']);
    if ((value.scheme ?? value.host ?? value.path ?? value.prefix) === undefined) refuse(context, 'at least one of scheme, host, path and prefix');
  });
export type RedirectConfig = z.output<typeof redirect>;

const directResponse = z.strictObject({
  status: option(integer(200, 599), { default: 200, doc: 'HTTP status; other protocols answer with their own status for it. Default 200.' }),
  body: option(template(AT_REQUEST), { default: '', doc: 'Content of the reply; %variables% are filled in. Default empty.' }),
  content_type: option(text(), { default: 'text/plain; charset=utf-8', doc: 'Type of the content. Default text/plain.' }),
});
export type DirectConfig = z.output<typeof directResponse>;

const retry = z.strictObject({
  on: option(z.array(oneOf(retryConditions)), {
    default: ['connect-failure'],
    doc: `Conditions: ${retryConditions.join(', ')}. All but connect-failure apply only to what may be repeated: idempotent HTTP methods, or a route with \`idempotent: true\`. Default connect-failure.`,
  }),
  statuses: option(z.array(integer(100, 599)), { default: [], doc: 'Statuses of replies that are retried, under the same rule.' }),
  attempts: option(integer(1, 10), { default: 2, doc: 'Most attempts in all, the first one included; 1 retries nothing. Default 2. The retry budget of the cluster applies besides.' }),
  per_try_timeout: option(duration(0), { doc: 'Time that one attempt may take, within the timeout of the route. Default 0: no limit of its own.' }),
  backoff: section(
    {
      base: option(duration(25), { doc: 'Longest wait before the second attempt; it doubles with each one, and a random share of it is waited. Default 25 ms.' }),
      max: option(duration(250), { doc: 'Longest wait of all. Default 250 ms.' }),
    },
    'Waits between attempts.',
  ),
});
export type RetryConfig = z.output<typeof retry>;

const actions = ['cluster', 'weighted', 'redirect', 'direct_response', 'terminal'] as const;

const route = z
  .strictObject({
    name: option(name(), { optional: true, doc: 'Name in logs, metrics and the admin. Default: the virtual host and the number of the route, as app/1.' }),
    match: option(match, { optional: true, doc: 'What a request must be like; all conditions must hold. Default: every request.' }),
    cluster: option(name(), { optional: true, doc: 'Sends the request to this cluster.' }),
    weighted: option(weighted, { optional: true, doc: 'Sends the request to one of several clusters, by exact weights.' }),
    redirect: option(redirect, { optional: true, doc: 'Answers with another address.' }),
    direct_response: option(directResponse, { optional: true, doc: 'Answers by itself.' }),
    terminal: option(name(), { optional: true, doc: 'Ends the request in this process: the name of a service that it runs.' }),
    timeout: option(duration(), { optional: true, doc: 'Time from the last byte of the request to the head of the reply, all attempts together; the timeout that an RPC itself names goes before it. What follows the head is limited by `stream_idle_timeout` only. Default 15 s, for gRPC none; 0 for none.' }),
    stream_idle_timeout: option(duration(300_000), { doc: 'Time in which neither side of an exchange sends a byte. Default 5 m; 0 for none.' }),
    retry: option(z.union([z.literal(false), retry]), { optional: true, doc: 'When the request is tried again; false for never. Default: one retry, after a failure to connect.' }),
    idempotent: option(flag(), { default: false, doc: 'Requests may be repeated without harm, whatever their method. The only way to have an RPC retried after it was sent. Default false.' }),
    request_headers: requestEdits,
    reply_headers: replyEdits,
    prefix_rewrite: option(text(), { optional: true, doc: 'Replaces the prefix (or path) that the route matched before the request goes on. No double slash is made.' }),
    regex_rewrite: option(regexRewrite, { optional: true, doc: 'Rewrites the path by a regular expression.' }),
    host_rewrite: option(template(AT_REQUEST), { optional: true, doc: 'Replaces the host that the request is for.' }),
    filters: option(z.record(z.string(), z.unknown()), { default: {}, doc: 'Options of stream filters for this route, by the name of the filter, in place of those of the listener.' }),
  })
  .superRefine((value, context) => {
    const given = actions.filter((key) => value[key] !== undefined);
    if (given.length !== 1) refuse(context, `exactly one of ${actions.join(', ')}`, [], given.length === 0 ? '' : `found ${given.join(' and ')}`);
    const fixed = value.match?.prefix ?? value.match?.path;
    if (value.prefix_rewrite !== undefined && fixed === undefined) refuse(context, 'a match with prefix or path to go with it', ['prefix_rewrite']);
    if (value.prefix_rewrite !== undefined && !value.prefix_rewrite.startsWith('/')) refuse(context, 'a path that begins with /', ['prefix_rewrite']);
    if (value.redirect?.prefix !== undefined && fixed === undefined) refuse(context, 'a match with prefix or path to go with it', ['redirect', 'prefix']);
    if (value.prefix_rewrite !== undefined && value.regex_rewrite !== undefined) refuse(context, 'only one of prefix_rewrite and regex_rewrite', ['regex_rewrite']);
  });
export type RouteConfig = z.output<typeof route>;

// === virtual hosts

const port = /:(\d{1,5})$/;

/** `example.com`, `*.example.com`, `example.*`, `*`; each with an optional `:port`. */
function domain(): z.ZodType<string, unknown> {
  const expected = 'a domain such as example.com, *.example.com, example.* or *, with an optional :port';
  return scalar<string>({ expected, input: () => ({ type: 'string' }) }, (value) => {
    if (typeof value !== 'string' || value === '') return new Refusal(expected);
    const lower = value.toLowerCase();
    const found = port.exec(lower);
    if (found !== null && (Number(found[1]) > 65535 || Number(found[1]) === 0)) return new Refusal('a port from 1 to 65535');
    const host = found === null ? lower : lower.slice(0, found.index);
    if (/^\[[0-9a-f:.]+\]$/.test(host)) return lower;
    const body = host.replace(/^\*|\*$/, '');
    if (host.includes('/')) return new Refusal(expected, 'a scheme or path is not part of a domain');
    if (body.includes('*')) return new Refusal(expected, 'one * at the beginning or at the end');
    return /^[a-z0-9._-]*$/.test(body) && (body !== '' || host === '*') ? lower : new Refusal(expected);
  });
}

const virtualHost = z.strictObject({
  name: option(name(), { doc: 'Name in logs and the admin.' }),
  domains: option(z.array(domain()).min(1), {
    default: ['*'],
    doc: 'Hosts that the request may be for, without regard to case. A domain without port takes every port. An exact domain goes before wildcards, the longest suffix (*.a.b) before the longest prefix (a.*), and * takes the rest; at equal rank the one with a port goes first. Default *.',
  }),
  routes: option(z.array(route), { doc: 'Routes; the first that matches is taken.' }),
  request_headers: requestEdits,
  reply_headers: replyEdits,
});
export type VirtualHostConfig = z.output<typeof virtualHost>;

const table = z
  .strictObject({
    name: option(name(), { doc: 'Name by which listeners refer to the table.' }),
    virtual_hosts: option(z.array(virtualHost), { default: [], doc: 'Virtual hosts, told apart by the host of the request.' }),
    routes: option(z.array(route), { optional: true, doc: 'Short for one virtual host with the domain *; the usual form for RPC.' }),
    normalize_path: option(flag(), { default: false, doc: 'Resolves . and .. in paths, joins slashes, turns \\ into / and decodes percent-encoded letters, digits and -._~ before a route is chosen; the request goes on with that path. Default false: paths are compared and forwarded byte for byte.' }),
    request_headers: requestEdits,
    reply_headers: replyEdits,
  })
  .superRefine((value, context) => {
    if ((value.routes === undefined) === (value.virtual_hosts.length === 0)) refuse(context, 'either virtual_hosts or routes');
    unique(value, context);
  });
export type RouteTableConfig = z.output<typeof table>;

/** Refuses names of virtual hosts and routes, and domains, that are given twice. */
function unique(value: { readonly virtual_hosts: readonly VirtualHostConfig[]; readonly routes?: readonly RouteConfig[] | undefined }, context: Refinement): void {
  const names = new Set<string>();
  const domains = new Map<string, string>();
  const routes = new Set<string>();
  const checkRoutes = (list: readonly RouteConfig[], path: (string | number)[]): void =>
    list.forEach((r, i) => {
      if (r.name === undefined) return;
      if (routes.has(r.name)) refuse(context, 'a name that no other route of the table has', [...path, i, 'name']);
      routes.add(r.name);
    });
  value.virtual_hosts.forEach((host, i) => {
    if (names.has(host.name)) refuse(context, 'a name that no other virtual host of the table has', ['virtual_hosts', i, 'name']);
    names.add(host.name);
    host.domains.forEach((d, k) => {
      const owner = domains.get(d);
      if (owner !== undefined) refuse(context, 'a domain of one virtual host only', ['virtual_hosts', i, 'domains', k], `${d} belongs to ${owner}`);
      domains.set(d, host.name);
    });
    checkRoutes(host.routes, ['virtual_hosts', i, 'routes']);
  });
  checkRoutes(value.routes ?? [], ['routes']);
}

export const routeSchema = route;
export const routeTableSchema = table;

/** The section `routes` of the configuration. */
export const routesSchema = z.array(table).superRefine((tables, context) => {
  const names = new Set<string>();
  tables.forEach((t, i) => {
    if (names.has(t.name)) refuse(context, 'a name that no other route table has', [i, 'name']);
    names.add(t.name);
  });
});
