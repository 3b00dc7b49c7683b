// A request in JSON as the call of a SOFARPC service: the arguments become a SofaRequest in Hessian, the SofaResponse becomes JSON.
import type { Bridge } from '../../../stream/bridge.js';
import type { Exchange } from '../../../stream/exchange.js';
import { headerName, type Head } from '../../../stream/head.js';
import { inferredType, rawType, writeAs } from '../../../stream/java/arguments.js';
import { failedReply, failureReply, jsonReply, localAsJson, readCall, type NamedCall } from '../../../stream/java/http.js';
import { JsonFault } from '../../../stream/java/json.js';
import { isThrowable, ShowFault, showJson, type JavaValue } from '../../../stream/java/show.js';
import { CLASS_REQUEST, CODEC_HESSIAN2, CODEC_PROTOBUF } from '../../../stream/protocol/bolt/frame.js';
import type { BoltHead } from '../../../stream/protocol/bolt/head.js';
import { DRAFT, HessianObject, HessianReader, HessianWriter } from '../../../stream/protocol/bolt/hessian.js';
import { REASON_HEADER, SUCCESS, statusName } from '../../../stream/protocol/bolt/status.js';
import { DraftWriter } from '../../../stream/protocol/bolt/values.js';
import type { LocalReply } from '../../../stream/protocol.js';
import type { HttpBoltConfig } from './filter.js';
import { requestFrame } from './frame.js';

/** Headers whose names begin so go along in the header map without it. */
const CARRIED = 'bolt-header-';
/** What servers read themselves is not for clients to say. */
const RESERVED = /^(?:service|type|generic|sofa_head_.*)$/;
const reason = headerName(REASON_HEADER);
const errorHeader = headerName('sofa_head_response_error');

export class JsonToBolt implements Bridge {
  readonly name = 'http_bolt';
  readonly protocol = 'bolt';
  readonly limit: number;
  private readonly config: HttpBoltConfig;

  constructor(config: HttpBoltConfig) {
    this.config = config;
    this.limit = config.max_body;
  }

  request(exchange: Exchange, head: Head, body: Uint8Array): Head | null {
    const { config } = this;
    const call = readCall(exchange, head, body, config);
    if (call === null) return null;
    const service = call.service.includes(':') || config.version === '' ? call.service : `${call.service}:${config.version}`;
    let content: Buffer;
    try {
      content = sofaRequest(service, call, config.allowed_classes);
    } catch (error) {
      if (!(error instanceof JsonFault)) throw error;
      exchange.fail('bad-request', { detail: error.message });
      return null;
    }
    const headers: [string, string][] = [['service', service], ['sofa_head_target_service', service], ['sofa_head_method_name', call.method]];
    head.each((name, value) => {
      const lower = name.toLowerCase();
      if (lower.startsWith(CARRIED) && !RESERVED.test(lower.slice(CARRIED.length))) headers.push([lower.slice(CARRIED.length), value]);
      else if (config.headers.some((one) => one.toLowerCase() === lower)) headers.push([lower, value]);
    });
    return requestFrame(exchange, head, config, CODEC_HESSIAN2, CLASS_REQUEST, headers, content);
  }

  reply(exchange: Exchange, head: Head, body: Uint8Array): Head {
    const { config, limit } = this;
    const bolt = head as BoltHead;
    const code = bolt.get(reason) ?? '';
    if (bolt.codec === CODEC_PROTOBUF && bolt.rawStatus !== SUCCESS) return failureReply(bolt.status, { status: statusName(bolt.rawStatus), message: Buffer.from(body).toString() }, code);
    const value = body.length === 0 ? null : bolt.codec === CODEC_HESSIAN2 ? new HessianReader(body, 0, body.length).read() : undefined;
    const fields = value instanceof HessianObject ? value.fields : null;
    if (bolt.rawStatus !== SUCCESS) {
      const said = fields?.get('detailMessage') ?? fields?.get('errorMsg');
      return failureReply(bolt.status, { status: statusName(bolt.rawStatus), message: typeof said === 'string' ? said : statusName(bolt.rawStatus) }, code);
    }
    if (value === undefined) return failedReply(exchange, 'bad-reply', { host: exchange.host?.address, detail: bolt.codec === CODEC_HESSIAN2 ? 'its content is no Hessian' : `its content is of codec ${bolt.codec}` });
    const result: JavaValue = fields !== null && fields.has('appResponse') ? fields.get('appResponse')! : value;
    if (isThrowable(result)) return failureReply(500, exception(result));
    if (fields?.get('isError') === true || bolt.get(errorHeader) === 'true') {
      const said = fields?.get('errorMsg');
      return failureReply(500, { message: typeof said === 'string' ? said : 'the server did not say why' });
    }
    try {
      return jsonReply(200, showJson(result, config.classes, limit));
    } catch (error) {
      if (!(error instanceof ShowFault)) throw error;
      return failedReply(exchange, 'bad-reply', { host: exchange.host?.address, detail: error.message });
    }
  }

  local(_exchange: Exchange, reply: LocalReply): LocalReply {
    return localAsJson(reply);
  }
}

function exception({ className, fields }: { readonly className: string; readonly fields: ReadonlyMap<string, JavaValue> }): { class: string; message: string } {
  const message = fields.get('detailMessage');
  return { class: className, message: typeof message === 'string' ? message : '' };
}

/** The content of a request as a SOFARPC client sends it; JsonFault where an argument is not of its type. */
function sofaRequest(service: string, { method, types, args }: NamedCall, allowed: readonly string[]): Buffer {
  const known = types ?? args.map(inferredType);
  const object = new HessianWriter(DRAFT)
    .object(CLASS_REQUEST, ['targetAppName', 'methodName', 'targetServiceUniqueName', 'requestProps', 'methodArgSigs'])
    .null()
    .string(method)
    .string(service)
    .null();
  const values = new DraftWriter();
  values.list('[string', known.length);
  for (const type of known) values.string(signatureOf(type));
  values.endList();
  for (const [i, arg] of args.entries()) writeAs(values, arg, known[i]!, `args[${i}]`, { classes: true, allowed });
  return object.raw(values.take()).take();
}

const primitives: Readonly<Record<string, string>> = { boolean: 'Z', byte: 'B', char: 'C', short: 'S', int: 'I', long: 'J', float: 'F', double: 'D' };

/** A type as SOFARPC servers compare it, by Class.getName: of arrays as the JVM has them, e.g. [B or [[Ljava.lang.String; */
function signatureOf(type: string): string {
  const raw = rawType(type);
  const at = raw.indexOf('[');
  if (at < 0) return raw;
  const of = raw.slice(0, at);
  return '['.repeat((raw.length - at) / 2) + (Object.hasOwn(primitives, of) ? primitives[of]! : `L${of};`);
}
