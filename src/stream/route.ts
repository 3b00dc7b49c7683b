// A route, compiled: what it does with an exchange, within which times, and what it changes of its heads.
import type { Cluster } from '../network/upstream/cluster.js';
import type { Head } from './head.js';
import { HeaderEdits } from './header-edits.js';
import { RouteMatch } from './match.js';
import { RetryPolicy } from './retry-policy.js';
import { Redirect, Rewrite } from './rewrite.js';
import { type DirectConfig, type EditsConfig, matchAll, type RouteConfig } from './route-config.js';
import { AT_REPLY, AT_REQUEST, compile, type Template, type VariableSource } from './variables.js';
import { WeightedChoice } from './weights.js';

/** What routes are bound to. Clusters are looked up for every exchange: they come and go while a table stays. */
export interface RouteDeps {
  readonly clusters: { get(name: string): Cluster | undefined };
  /** Whatever ends an exchange in this process, by name. */
  readonly terminals: { get(name: string): unknown };
}

export const TO_CLUSTER = 0;
export const TO_WEIGHTED = 1;
export const REDIRECT = 2;
export const DIRECT_RESPONSE = 3;
export const TERMINAL = 4;

export class ClusterAction {
  readonly kind = TO_CLUSTER;
  readonly cluster: string;

  constructor(cluster: string) {
    this.cluster = cluster;
  }
}

export class WeightedAction {
  readonly kind = TO_WEIGHTED;
  readonly choice: WeightedChoice<string>;

  constructor(choices: readonly { readonly cluster: string; readonly weight: number }[]) {
    this.choice = new WeightedChoice(choices.map(({ cluster, weight }) => ({ value: cluster, weight })));
  }
}

export class RedirectAction {
  readonly kind = REDIRECT;
  readonly redirect: Redirect;

  constructor(redirect: Redirect) {
    this.redirect = redirect;
  }
}

export class DirectAction {
  readonly kind = DIRECT_RESPONSE;
  readonly status: number;
  readonly contentType: string;
  readonly body: Template;

  constructor(config: DirectConfig) {
    this.status = config.status;
    this.contentType = config.content_type;
    this.body = compile(config.body, AT_REQUEST);
  }
}

export class TerminalAction {
  readonly kind = TERMINAL;
  readonly name: string;
  /** What the wiring registered under the name when the table was built; undefined when nothing was. */
  readonly terminal: unknown;

  constructor(name: string, deps: RouteDeps) {
    this.name = name;
    this.terminal = deps.terminals.get(name);
  }
}

export type Action = ClusterAction | WeightedAction | RedirectAction | DirectAction | TerminalAction;

/** Edits of everything that encloses a route, nearest first. */
export interface Enclosing {
  readonly request_headers: EditsConfig;
  readonly reply_headers: EditsConfig;
}

/** ms. */
const DEFAULT_TIMEOUT = 15_000;

const defaultRetry = { on: ['connect-failure'], statuses: [], attempts: 2, backoff: { base: 25, max: 250 } } as const;

export class Route {
  readonly name: string;
  readonly match: RouteMatch;
  readonly action: Action;
  /** ms from the last byte of the request to the head of the reply; 0 for none. */
  readonly timeout: number;
  /** The configuration names the timeout. */
  readonly timeoutGiven: boolean;
  /** ms for one attempt; 0 for none. */
  readonly perTryTimeout: number;
  /** ms in which nothing moves; 0 for none. */
  readonly streamIdle: number;
  /** null: never retried. */
  readonly retry: RetryPolicy | null;
  readonly idempotent: boolean;
  readonly requestEdits: HeaderEdits | null;
  readonly replyEdits: HeaderEdits | null;
  readonly rewrite: Rewrite | null;
  /** True when the head of a request is changed at all: else its bytes may go on as they came. */
  readonly editsRequest: boolean;
  /** True when edits of the reply read the request head, which must then be kept. */
  readonly replyReadsRequest: boolean;
  /** Options of filters for this route, by the name of the filter, as its schema decoded them. */
  readonly filters: ReadonlyMap<string, unknown>;
  /** The name of the cluster drawn last by `pickCluster`; '' where the action leads to none. */
  pickedName = '';
  private readonly clusters: RouteDeps['clusters'];

  constructor(config: RouteConfig, name: string, enclosing: readonly Enclosing[], deps: RouteDeps) {
    this.name = config.name ?? name;
    this.match = new RouteMatch(config.match ?? matchAll);
    this.action = actionOf(config, deps);
    this.timeout = config.timeout ?? DEFAULT_TIMEOUT;
    this.timeoutGiven = config.timeout !== undefined;
    this.streamIdle = config.stream_idle_timeout;
    this.perTryTimeout = config.retry === false || config.retry === undefined ? 0 : config.retry.per_try_timeout;
    const retry = config.retry ?? defaultRetry;
    this.retry = retry === false || retry.attempts < 2 ? null : new RetryPolicy(retry);
    this.idempotent = config.idempotent;
    this.requestEdits = HeaderEdits.compile([config.request_headers, ...enclosing.map((e) => e.request_headers)], AT_REQUEST);
    this.replyEdits = HeaderEdits.compile([config.reply_headers, ...enclosing.map((e) => e.reply_headers)], AT_REPLY);
    this.rewrite = Rewrite.compile(config);
    this.editsRequest = this.requestEdits !== null || this.rewrite !== null;
    this.replyReadsRequest = this.replyEdits !== null && this.replyEdits.readsRequest;
    this.filters = new Map(Object.entries(config.filters));
    this.clusters = deps.clusters;
  }

  /**
   * The cluster of a new exchange; null when it does not exist (`pickedName` says which) or the action leads to none. Weighted
   * clusters are drawn here: once per exchange, or the shares are wrong.
   */
  pickCluster(): Cluster | null {
    const action = this.action;
    if (action.kind === TO_CLUSTER) this.pickedName = action.cluster;
    else if (action.kind === TO_WEIGHTED) this.pickedName = action.choice.draw();
    else return null;
    return this.clusters.get(this.pickedName) ?? null;
  }

  /** Applies header edits, then rewrites. The record should know the cluster by now: edits may name it. */
  editRequest(head: Head, source: VariableSource): void {
    if (this.requestEdits !== null) this.requestEdits.apply(head, source);
    if (this.rewrite !== null) this.rewrite.apply(head, source);
  }

  editReply(head: Head, source: VariableSource): void {
    if (this.replyEdits !== null) this.replyEdits.apply(head, source);
  }
}

function actionOf(config: RouteConfig, deps: RouteDeps): Action {
  if (config.cluster !== undefined) return new ClusterAction(config.cluster);
  if (config.weighted !== undefined) return new WeightedAction(config.weighted);
  if (config.direct_response !== undefined) return new DirectAction(config.direct_response);
  if (config.terminal !== undefined) return new TerminalAction(config.terminal, deps);
  if (config.redirect === undefined) throw new Error('a route without action was not checked');
  return new RedirectAction(new Redirect(config.redirect, (config.match?.prefix ?? config.match?.path ?? '').length));
}
