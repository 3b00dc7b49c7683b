// Everything that a descriptor set says of HTTP, put together once: which request is which call, and how its message is made.
import { readDescriptorSet, type DescriptorSet, type HttpRule, type Method } from './descriptor.js';
import { FieldPath, QueryFields } from './field-path.js';
import { Compiler, type Fields, type JsonField, type JsonMessage, type JsonOptions } from './json-message.js';
import { Misfit } from './misfit.js';
import { ErrorBody } from './error-body.js';
import { parseTemplate, PathTree, valueOf, type Variable } from './template.js';

export interface TranscoderOptions extends JsonOptions {
  /** Names of services; none for all. */
  readonly services: readonly string[];
  /** Methods without a rule are called by POST /package.Service/Method. */
  readonly allMethods: boolean;
}

/** One way to call one method. */
export class Binding {
  /** `/package.Service/Method`. */
  readonly path: string;
  readonly input: JsonMessage;
  readonly output: JsonMessage;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  /** The content is the whole message ('*'), one field of it, or nothing (null). */
  private readonly body: '*' | JsonField | null;
  /** The one field of the reply that is its content; null for all of it. */
  private readonly part: JsonField | null;
  private readonly variables: readonly { readonly variable: Variable; readonly field: FieldPath }[];
  private readonly query: QueryFields;

  constructor(method: Method, rule: HttpRule, variables: readonly Variable[], compiler: Compiler) {
    this.path = `/${method.service}/${method.name}`;
    this.input = compiler.of(method.input);
    this.output = compiler.of(method.output);
    this.requestStream = method.requestStream;
    this.responseStream = method.responseStream;
    const body = rule.body ?? '';
    this.body = body === '' ? null : body === '*' ? '*' : fieldOf(this.input, body, 'body');
    this.part = rule.responseBody === undefined || rule.responseBody === '' ? null : fieldOf(this.output, rule.responseBody, 'response_body');
    this.variables = variables.map((variable) => {
      const field = FieldPath.find(this.input, variable.path);
      if (field === null || field.last.shape !== 0) throw new Error(`${variable.path.join('.')} of its path is no single field of ${method.input.name} that text can set`);
      return { variable, field };
    });
    const bound = variables.map((variable) => variable.path.join('.'));
    if (this.body !== null && this.body !== '*') bound.push(body, this.body.name);
    this.query = new QueryFields(this.input, bound, compiler.options.ignoreUnknown);
  }

  /** Messages of a request, encoded. `json`: of its content, undefined where there is none. Throws Misfit. */
  messages(segments: readonly string[], query: string, json: unknown): Uint8Array[] {
    if (!this.requestStream || this.body === null) return [this.message(segments, query, json)];
    if (json === undefined) return [];
    if (!Array.isArray(json)) throw new Misfit('a list was expected, with the messages of the stream');
    return json.map((element, i) => {
      try {
        return this.message(segments, query, element);
      } catch (error) {
        throw error instanceof Misfit ? error.at(`[${i}]`) : error;
      }
    });
  }

  private message(segments: readonly string[], query: string, json: unknown): Uint8Array {
    let message: Fields;
    if (this.body === '*' && json !== undefined) {
      message = this.input.read(json) as Fields;
    } else {
      message = Object.create(null) as Fields;
      if (this.body !== null && this.body !== '*' && json !== undefined && (json !== null || this.body.nullable)) message[this.body.key] = this.body.read(json);
    }
    for (const { variable, field } of this.variables) {
      try {
        field.set(message, valueOf(variable, segments), true);
      } catch (error) {
        if (error instanceof URIError) throw new Misfit(`${field.text} in the path: it is not percent-encoded right`);
        throw error instanceof Misfit ? new Misfit(`${field.text} in the path: ${error.toString()}`) : error;
      }
    }
    // Content that is the whole message leaves nothing to a query.
    if (query !== '' && this.body !== '*') this.query.apply(message, query);
    return this.input.encode(message);
  }

  /** A message of a reply as JSON. Throws where its bytes are no such message. */
  json(bytes: Uint8Array): string {
    const message = this.output.decode(bytes);
    if (this.part === null) return JSON.stringify(this.output.write(message));
    const into: Fields = {};
    this.part.put(message, into, true);
    return JSON.stringify(into[this.part.name] ?? null);
  }
}

function fieldOf(message: JsonMessage, name: string, option: string): JsonField {
  const field = message.field(name);
  if (field === undefined) throw new Error(`its ${option} ${name} is no field of ${message.type.name}`);
  return field;
}

export class Transcoder {
  readonly errors: ErrorBody;
  private readonly tree = new PathTree<Binding>();
  /** Ways to call a method. */
  readonly size: number;

  /** Throws an Error that says what is wrong with the set or one of its rules. */
  constructor(bytes: Uint8Array, options: TranscoderOptions) {
    const set = readDescriptorSet(bytes);
    const compiler = new Compiler(options);
    this.errors = new ErrorBody(set.root, compiler);
    let size = 0;
    for (const method of chosen(set, options.services)) {
      try {
        size += this.addMethod(method, options.allMethods, compiler);
      } catch (error) {
        throw new Error(`the rule of ${method.service}.${method.name}: ${(error as Error).message}`);
      }
    }
    if (size === 0) throw new Error('none of its services has a method with an HTTP rule (google.api.http)');
    this.size = size;
  }

  private addMethod(method: Method, all: boolean, compiler: Compiler): number {
    let size = 0;
    if (method.rule !== null) {
      for (const rule of [method.rule, ...(method.rule.additionalBindings ?? [])]) {
        this.addRule(method, rule, compiler);
        size++;
      }
    }
    if (!all) return size;
    const path = `/${method.service}/${method.name}`;
    if (this.tree.find('POST', path) !== null) return size;
    this.addRule(method, { post: path, body: '*' }, compiler);
    return size + 1;
  }

  private addRule(method: Method, rule: HttpRule, compiler: Compiler): void {
    const [verb, path] = patternOf(rule);
    const template = parseTemplate(path);
    const there = this.tree.add(verb, template, new Binding(method, rule, template.variables, compiler));
    if (there !== undefined) throw new Error(`${verb} ${path} is ${there.path} already`);
  }

  /** The call that a request is, with the segments of its path; null where it is none. */
  find(method: string, path: string): { readonly binding: Binding; readonly segments: readonly string[] } | null {
    const found = this.tree.find(method, path);
    return found === null ? null : { binding: found.value, segments: found.segments };
  }
}

function chosen(set: DescriptorSet, names: readonly string[]): readonly Method[] {
  for (const name of names) if (!set.methods.some((method) => method.service === name)) throw new Error(`it has no service ${name}; it has ${[...new Set(set.methods.map((method) => method.service))].join(', ') || 'none at all'}`);
  return names.length === 0 ? set.methods : set.methods.filter((method) => names.includes(method.service));
}

function patternOf(rule: HttpRule): [string, string] {
  if (rule.get !== undefined) return ['GET', rule.get];
  if (rule.put !== undefined) return ['PUT', rule.put];
  if (rule.post !== undefined) return ['POST', rule.post];
  if (rule.delete !== undefined) return ['DELETE', rule.delete];
  if (rule.patch !== undefined) return ['PATCH', rule.patch];
  if (rule.custom?.path !== undefined) return [rule.custom.kind ?? '*', rule.custom.path];
  throw new Error('it names no method and path');
}
