// Path templates of google.api.http, and the tree that finds the rule of a path: literals before *, * before **.

/** A part of the path that becomes a field: the segments from `from` to `to`, -1 for all that are left. */
export interface Variable {
  readonly path: readonly string[];
  readonly from: number;
  readonly to: number;
}

export interface Template {
  /** Literals, `*` for one segment, `**` (at the end only) for any number. */
  readonly segments: readonly string[];
  readonly variables: readonly Variable[];
  /** What stands behind the last colon; '' for none. */
  readonly verb: string;
}

const IDENT = /^[A-Za-z_]\w*$/;
const LITERAL = /^(?:[A-Za-z0-9._~!$&'()+,;@-]|%[0-9A-Fa-f]{2})+$/;

/** `/v1/{name=shelves/*}/books:list`; throws an Error that says what is wrong. */
export function parseTemplate(text: string): Template {
  const fail = (what: string): never => {
    throw new Error(`the path ${text}: ${what}`);
  };
  if (!text.startsWith('/')) fail('it must begin with /');
  const colon = text.lastIndexOf(':');
  const verbal = colon > text.lastIndexOf('/') && colon > text.lastIndexOf('}');
  const verb = verbal ? text.slice(colon + 1) : '';
  if (verbal && !LITERAL.test(verb)) fail('a verb is a word behind a colon');
  const body = verbal ? text.slice(1, colon) : text.slice(1);
  const segments: string[] = [];
  const variables: Variable[] = [];
  const add = (segment: string): void => {
    if (segments.at(-1) === '**') fail('nothing may follow **');
    if (segment !== '*' && segment !== '**' && !LITERAL.test(segment)) fail(`${JSON.stringify(segment)} is no segment`);
    segments.push(segment);
  };
  let at = 0;
  while (at <= body.length) {
    if (body[at] === '{') {
      const close = body.indexOf('}', at);
      if (close < 0) fail('a { without }');
      const inner = body.slice(at + 1, close);
      const equals = inner.indexOf('=');
      const path = (equals < 0 ? inner : inner.slice(0, equals)).split('.');
      if (!path.every((name) => IDENT.test(name))) fail(`${JSON.stringify(inner)} names no field`);
      const from = segments.length;
      for (const segment of (equals < 0 ? '*' : inner.slice(equals + 1)).split('/')) add(segment);
      if (variables.some((other) => other.path.join('.') === path.join('.'))) fail(`${path.join('.')} stands twice`);
      variables.push({ path, from, to: segments.at(-1) === '**' ? -1 : segments.length });
      at = close + 1;
      if (at < body.length && body[at] !== '/') fail('a variable is all of its segments');
    } else {
      const slash = body.indexOf('/', at);
      const end = slash < 0 ? body.length : slash;
      add(body.slice(at, end));
      at = end;
    }
    if (at >= body.length) break;
    at++;
  }
  return { segments, variables, verb };
}

class Leaf<T> {
  /** By verb, then by method; `*` for any. */
  readonly verbs = new Map<string, Map<string, T>>();

  find(verb: string, method: string): T | undefined {
    const methods = this.verbs.get(verb);
    return methods?.get(method) ?? methods?.get('*');
  }
}

class Node<T> {
  readonly literals = new Map<string, Node<T>>();
  one: Node<T> | null = null;
  rest: Leaf<T> | null = null;
  leaf: Leaf<T> | null = null;
}

export interface Found<T> {
  readonly value: T;
  /** Of the path as it came, without the verb. */
  readonly segments: readonly string[];
}

/** Every rule of a set of services. A path is looked for in time bound by the number of rules. */
export class PathTree<T> {
  private readonly root = new Node<T>();

  /** The rule that has the same method and an equal path already, or undefined. */
  add(method: string, template: Template, value: T): T | undefined {
    let node = this.root;
    let leaf: Leaf<T> | null = null;
    for (const segment of template.segments) {
      if (segment === '**') {
        leaf = node.rest ??= new Leaf();
      } else if (segment === '*') {
        node = node.one ??= new Node();
      } else {
        let next = node.literals.get(segment);
        if (next === undefined) node.literals.set(segment, (next = new Node()));
        node = next;
      }
    }
    leaf ??= node.leaf ??= new Leaf();
    let methods = leaf.verbs.get(template.verb);
    if (methods === undefined) leaf.verbs.set(template.verb, (methods = new Map()));
    const there = methods.get(method);
    if (there === undefined) methods.set(method, value);
    return there;
  }

  /** `path` without its query. A colon in the last segment is a verb where a rule has it, else a part of the segment. */
  find(method: string, path: string): Found<T> | null {
    const segments = path.slice(1).split('/');
    const last = segments.at(-1)!;
    const colon = last.lastIndexOf(':');
    if (colon >= 0) {
      const verbal = [...segments.slice(0, -1), last.slice(0, colon)];
      const value = walk(this.root, verbal, 0, last.slice(colon + 1), method);
      if (value !== undefined) return { value, segments: verbal };
    }
    const value = walk(this.root, segments, 0, '', method);
    return value === undefined ? null : { value, segments };
  }
}

function walk<T>(node: Node<T>, segments: readonly string[], at: number, verb: string, method: string): T | undefined {
  if (at === segments.length) return node.leaf?.find(verb, method) ?? node.rest?.find(verb, method);
  const segment = segments[at]!;
  const literal = node.literals.get(segment);
  let found = literal === undefined ? undefined : walk(literal, segments, at + 1, verb, method);
  if (found === undefined && node.one !== null && segment !== '') found = walk(node.one, segments, at + 1, verb, method);
  return found ?? node.rest?.find(verb, method);
}

/** The value of a variable: percent-decoded, but where it may hold several segments not %2F, which is no slash then. Throws URIError. */
export function valueOf(variable: Variable, segments: readonly string[]): string {
  const { from, to } = variable;
  if (to === from + 1) return decodeURIComponent(segments[from]!);
  return segments
    .slice(from, to < 0 ? undefined : to)
    .map((segment) => segment.split(/(%2[fF])/).map((part, i) => (i % 2 === 1 ? part : decodeURIComponent(part))).join(''))
    .join('/');
}
