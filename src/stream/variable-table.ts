// Every variable by name: what it reads, when it is known, whether it is a number; MOSN's names where MOSN has one (table).

/** When a variable is first known; a template for an earlier moment refuses it. */
export const AT_REQUEST = 0;
export const AT_REPLY = 1;
export const AT_END = 2;
export type Moment = typeof AT_REQUEST | typeof AT_REPLY | typeof AT_END;

export type VariableKind = 'text' | 'number' | 'list';

// What to write; see `writeVariable`. Numbers, because a switch over small integers is a jump table.
export const LITERAL = 0;
export const START_TIME = 1;
export const TIMESTAMP = 2;
export const DURATION = 3;
export const REQUEST_DURATION = 4;
export const CONNECTED_DURATION = 5;
export const REPLY_DURATION = 6;
export const PROCESS_TIME = 7;
export const BYTES_IN = 8;
export const BYTES_OUT = 9;
export const PROTOCOL = 10;
export const RESPONSE_CODE = 11;
export const RAW_STATUS = 12;
export const FLAGS = 13;
export const REASON = 14;
export const REASON_TEXT = 15;
export const WHERE = 16;
export const ERRNO = 17;
export const UPSTREAM_HOST = 18;
export const UPSTREAM_CLUSTER = 19;
export const UPSTREAM_LOCAL = 20;
export const UPSTREAM_CONNECTION = 21;
export const DOWNSTREAM_REMOTE = 22;
export const DOWNSTREAM_IP = 23;
export const DOWNSTREAM_LOCAL = 24;
export const DOWNSTREAM_ORIGINAL = 25;
export const CONNECTION = 26;
export const LISTENER_NAME = 27;
export const LISTENER_PORT = 28;
export const ROUTE_NAME = 29;
export const ATTEMPTS = 30;
export const ATTEMPT_COUNT = 31;
export const NOTES = 32;
export const KIND = 33;
export const REQUEST_FIELD = 34;
export const REPLY_FIELD = 35;
export const PATH_ONLY = 36;
export const QUERY = 37;
export const OPERATION = 38;
export const REQUEST_ID = 39;
export const TRACE_ID = 40;
export const SERVER_NAME = 41;
export const TLS_VERSION = 42;
export const PEER_SUBJECT = 43;
export const SCHEME = 44;
export const SPAN_ID = 45;

export interface Variable {
  readonly op: number;
  readonly kind: VariableKind;
  readonly known: Moment;
  /** Parts and headers of the request head that it reads, by the names of head.ts. */
  readonly reads: readonly string[];
  readonly doc: string;
}

const v = (op: number, kind: VariableKind, known: Moment, doc: string, ...reads: string[]): Variable => ({ op, kind, known, doc, reads });

const duration = v(DURATION, 'number', AT_END, 'ms from the first byte of the request to the end of the exchange');
const flags = v(FLAGS, 'text', AT_END, "Envoy's response flag of the reason");
const path = v(REQUEST_FIELD, 'text', AT_REQUEST, 'path and query as received', ':path');
const query = v(QUERY, 'text', AT_REQUEST, 'what follows the question mark of the path', ':path');
const method = v(REQUEST_FIELD, 'text', AT_REQUEST, 'method of an HTTP request', ':method');
const scheme = v(SCHEME, 'text', AT_REQUEST, 'http or https, as the request says or the connection is', ':scheme');

export const variables: Readonly<Record<string, Variable>> = {
  start_time: v(START_TIME, 'text', AT_REQUEST, 'when the request began, as 2024-01-01T00:00:00.000Z'),
  timestamp: v(TIMESTAMP, 'number', AT_REQUEST, 'the same in ms since 1970'),
  duration,
  request_finished_duration: duration,
  request_received_duration: v(REQUEST_DURATION, 'number', AT_END, 'ms until the last byte of the request was read'),
  upstream_connected_duration: v(CONNECTED_DURATION, 'number', AT_REPLY, 'ms until a connection to the host was at hand'),
  response_received_duration: v(REPLY_DURATION, 'number', AT_REPLY, 'ms until the first byte of the reply came from the host'),
  process_time_duration: v(PROCESS_TIME, 'number', AT_END, 'ms of the duration in which no host was waited for'),
  bytes_received: v(BYTES_IN, 'number', AT_END, 'bytes of the request, head and content'),
  bytes_sent: v(BYTES_OUT, 'number', AT_END, 'bytes of the reply, head and content'),
  protocol: v(PROTOCOL, 'text', AT_REQUEST, "the listener's protocol"),
  message_kind: v(KIND, 'text', AT_REQUEST, 'request, or oneway for a message that expects no reply'),
  response_code: v(RESPONSE_CODE, 'number', AT_REPLY, 'status of the reply, HTTP-like in every protocol'),
  response_raw_code: v(RAW_STATUS, 'number', AT_REPLY, "the protocol's own status of the reply"),
  response_flag: flags,
  response_flags: flags,
  reason: v(REASON, 'text', AT_REPLY, 'stable code of why the exchange ended other than well; see docs/errors.md'),
  reason_text: v(REASON_TEXT, 'text', AT_REPLY, 'the reason as a sentence'),
  upstream_transport_failure_reason: v(ERRNO, 'text', AT_REPLY, 'errno of the last attempt'),
  errno: v(ERRNO, 'text', AT_REPLY, 'errno of the last attempt'),
  where: v(WHERE, 'text', AT_REPLY, 'side of the cause: downstream, proxy or upstream'),
  attempts: v(ATTEMPTS, 'list', AT_REPLY, 'each host that was tried; with reason, errno and ms where it failed'),
  attempt_count: v(ATTEMPT_COUNT, 'number', AT_REPLY, 'how many attempts were made'),
  notes: v(NOTES, 'text', AT_END, 'what else happened: not-replayable, free-retry, retry-limit, tunnel, local-reply, draining, held'),
  upstream_host: v(UPSTREAM_HOST, 'text', AT_REPLY, 'host of the last attempt'),
  upstream_cluster: v(UPSTREAM_CLUSTER, 'text', AT_REQUEST, 'cluster that the route chose'),
  upstream_local_address: v(UPSTREAM_LOCAL, 'text', AT_REPLY, 'our address on the connection to the host'),
  upstream_connection_id: v(UPSTREAM_CONNECTION, 'number', AT_REPLY, 'number of the connection to the host'),
  downstream_remote_address: v(DOWNSTREAM_REMOTE, 'text', AT_REQUEST, "the client's address and port"),
  downstream_remote_ip: v(DOWNSTREAM_IP, 'text', AT_REQUEST, "the client's address without port"),
  downstream_local_address: v(DOWNSTREAM_LOCAL, 'text', AT_REQUEST, 'the address and port the client came in on'),
  downstream_original_address: v(DOWNSTREAM_ORIGINAL, 'text', AT_REQUEST, 'the address and port the client dialled, where a redirect or the PROXY protocol hid it'),
  connection_id: v(CONNECTION, 'number', AT_REQUEST, 'number of the connection of the client'),
  listener_name: v(LISTENER_NAME, 'text', AT_REQUEST, 'name of the listener'),
  listener_port: v(LISTENER_PORT, 'number', AT_REQUEST, 'port the client came in on'),
  route_name: v(ROUTE_NAME, 'text', AT_REQUEST, 'name of the route'),
  tls_server_name: v(SERVER_NAME, 'text', AT_REQUEST, 'server name the client asked for in its TLS handshake'),
  tls_version: v(TLS_VERSION, 'text', AT_REQUEST, 'TLS version of the connection of the client'),
  tls_peer_subject: v(PEER_SUBJECT, 'text', AT_REQUEST, "subject of the client's certificate"),
  operation: v(OPERATION, 'text', AT_REQUEST, 'what is asked for: `GET /path`, or `service.method` of an RPC', ':path', ':method', ':service', ':rpc-method'),
  method,
  request_method: method,
  path,
  request_uri: path,
  request_path: v(PATH_ONLY, 'text', AT_REQUEST, 'path without query', ':path'),
  query,
  request_arg: query,
  authority: v(REQUEST_FIELD, 'text', AT_REQUEST, 'host the request is for', ':authority'),
  scheme,
  request_scheme: scheme,
  service: v(REQUEST_FIELD, 'text', AT_REQUEST, 'service of an RPC', ':service'),
  rpc_method: v(REQUEST_FIELD, 'text', AT_REQUEST, 'method of an RPC', ':rpc-method'),
  service_version: v(REQUEST_FIELD, 'text', AT_REQUEST, 'version of the service of an RPC', ':version'),
  service_group: v(REQUEST_FIELD, 'text', AT_REQUEST, 'group of the service of an RPC', ':group'),
  request_id: v(REQUEST_ID, 'text', AT_REQUEST, 'the x-request-id header, or the id made for a request without one', 'x-request-id'),
  trace_id: v(TRACE_ID, 'text', AT_REQUEST, 'trace id of an exchange that a trace records, else that of its traceparent header', 'traceparent'),
  span_id: v(SPAN_ID, 'text', AT_REQUEST, 'id of the server span of an exchange that a trace records'),
};

/** Families: the rest of the name is the name of a header, as in `%request_header_user-agent%`. */
export const requestHeaderPrefix = 'request_header_';
export const replyHeaderPrefix = 'response_header_';
