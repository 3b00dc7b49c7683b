// A request in JSON as a generic call of a Dubbo service: no class of Java is needed, because hosts make objects of maps and maps of objects.
import type { Bridge } from '../../../stream/bridge.js';
import type { Exchange } from '../../../stream/exchange.js';
import { headerName, type Head } from '../../../stream/head.js';
import { rawType, writeAs } from '../../../stream/java/arguments.js';
import { failedReply, failureReply, jsonReply, localAsJson, readCall, timeoutOf, type NamedCall } from '../../../stream/java/http.js';
import { JsonFault } from '../../../stream/java/json.js';
import { ShowFault, showJson, type JavaObject, type JavaValue } from '../../../stream/java/show.js';
import { HESSIAN2, RESULT_EXCEPTION, RESULT_EXCEPTION_ATTACHMENTS, RESULT_NULL, RESULT_NULL_ATTACHMENTS } from '../../../stream/protocol/dubbo/frame.js';
import type { DubboHead } from '../../../stream/protocol/dubbo/head.js';
import { madeDubbo } from '../../../stream/protocol/dubbo/made.js';
import { OK, statusName } from '../../../stream/protocol/dubbo/status.js';
import type { LocalReply } from '../../../stream/protocol.js';
import type { HttpDubboConfig } from './filter.js';
import { type Hessian, HessianFault } from './hessian.js';

/** Version of the protocol that servers of 2.6.3 and later know; without attachments in replies they would have to be asked otherwise. */
const PROTOCOL = '2.0.2';
/** GenericService.$invoke(String method, String[] parameterTypes, Object[] arguments). */
const INVOKE = '$invoke';
const DESCRIPTOR = 'Ljava/lang/String;[Ljava/lang/String;[Ljava/lang/Object;';

/** Headers whose names begin so become attachments without it. */
const CARRIED = 'dubbo-attachment-';
/** What servers read themselves is not for clients to say. */
const reserved = new Set(['path', 'interface', 'group', 'version', 'timeout', 'generic', 'token', 'dubbo', 'async', 'return', 'invocation-generic']);
const groupHeader = headerName('dubbo-group');
const versionHeader = headerName('dubbo-version');
const timeoutHeader = headerName('dubbo-timeout');

export class DubboBridge implements Bridge {
  readonly name = 'http_dubbo';
  readonly protocol = 'dubbo';
  readonly limit: number;
  private readonly config: HttpDubboConfig;
  private readonly hessian: Hessian;

  constructor(config: HttpDubboConfig, hessian: Hessian) {
    this.config = config;
    this.hessian = hessian;
    this.limit = config.max_body;
  }

  request(exchange: Exchange, head: Head, body: Uint8Array): Head | null {
    const { config } = this;
    const call = readCall(exchange, head, body, config);
    if (call === null) return null;
    const group = head.get(groupHeader) ?? config.group;
    const version = head.get(versionHeader) ?? config.version;
    const asked = timeoutOf(head.get(timeoutHeader)) || (config.timeout ?? 0);
    const attachments = new Map<string, string>();
    head.each((name, value) => {
      const lower = name.toLowerCase();
      const own = lower.startsWith(CARRIED) ? lower.slice(CARRIED.length) : config.attachments.some((one) => one.toLowerCase() === lower) ? lower : '';
      if (own !== '' && !reserved.has(own)) attachments.set(own, value);
    });
    attachments.set('path', call.service).set('interface', call.service).set('generic', 'true');
    if (version !== '') attachments.set('version', version);
    if (group !== '') attachments.set('group', group);
    const timeout = asked || exchange.route!.timeout;
    if (timeout > 0) attachments.set('timeout', String(timeout));
    let content: Buffer;
    try {
      content = this.invocation(call, version, attachments);
    } catch (error) {
      if (!(error instanceof JsonFault)) throw error;
      exchange.fail('bad-request', { detail: error.message });
      return null;
    }
    const made = madeDubbo(content);
    made.timeout = asked;
    return made;
  }

  /** Types that nobody said are a null: the server then takes the method of the name, if there is but one. */
  private invocation({ service, method, types, args }: NamedCall, version: string, attachments: ReadonlyMap<string, string>): Buffer {
    const w = this.hessian.writer();
    w.string(PROTOCOL);
    w.string(service);
    w.string(version === '' ? '0.0.0' : version);
    w.string(INVOKE);
    w.string(DESCRIPTOR);
    w.string(method);
    if (types === null) {
      w.null();
    } else {
      w.list('[string', types.length);
      for (const type of types) w.string(rawType(type));
      w.endList();
    }
    w.list('[object', args.length);
    for (const [i, arg] of args.entries()) writeAs(w, arg, types?.[i] ?? '', `args[${i}]`, { classes: false, allowed: this.config.allowed_classes });
    w.endList();
    w.map('');
    for (const [name, value] of attachments) {
      w.string(name);
      w.string(value);
    }
    w.endMap();
    return w.take();
  }

  reply(exchange: Exchange, head: Head, body: Uint8Array): Head {
    const dubbo = head as DubboHead;
    const bad = (detail: string): Head => failedReply(exchange, 'bad-reply', { host: exchange.host?.address, detail });
    if (dubbo.serialization !== HESSIAN2) return bad(`its serialization is ${dubbo.serialization}, not Hessian 2`);
    try {
      const reader = this.hessian.reader(body);
      if (dubbo.rawStatus !== OK) {
        const text = reader.next();
        return failureReply(dubbo.status, { status: statusName(dubbo.rawStatus), message: typeof text === 'string' ? text : statusName(dubbo.rawStatus) });
      }
      const result = reader.next();
      if (typeof result !== 'number' || result < RESULT_EXCEPTION || result > RESULT_NULL_ATTACHMENTS) return bad('its content is no result');
      if (result === RESULT_NULL || result === RESULT_NULL_ATTACHMENTS) return jsonReply(200, 'null');
      const value = reader.next();
      if (result === RESULT_EXCEPTION || result === RESULT_EXCEPTION_ATTACHMENTS) return failureReply(500, exception(value));
      return jsonReply(200, showJson(value, this.config.classes, this.limit));
    } catch (error) {
      if (error instanceof HessianFault) return bad(`its content cannot be read: ${error.message}`);
      if (error instanceof ShowFault) return bad(error.message);
      throw error;
    }
  }

  local(_exchange: Exchange, reply: LocalReply): LocalReply {
    return localAsJson(reply);
  }
}

/** What was thrown; hosts wrap what a generic call throws in a GenericException, which tells class and message. */
function exception(value: JavaValue): { class: string; message: string } {
  if (value === null || typeof value !== 'object' || !('fields' in value)) return { class: '', message: typeof value === 'string' ? value : '' };
  const { className, fields } = value as JavaObject;
  const text = (name: string): string | undefined => {
    const found = fields.get(name);
    return typeof found === 'string' ? found : undefined;
  };
  return { class: text('exceptionClass') ?? className, message: text('exceptionMessage') ?? text('detailMessage') ?? '' };
}
