// Finds what a TypeScript source imports, without a compiler: a small scanner that knows comments, strings, templates and regular expressions.

export interface Import {
  /** What stands between the quotes. */
  readonly specifier: string;
  /** Gone after compilation: `import type`, `export type ... from`, or only `type` names between the braces. */
  readonly typeOnly: boolean;
  /** `import(...)`: loaded when the line runs. In a type position it is indistinguishable and counts the same. */
  readonly dynamic: boolean;
  /** The names between the braces as exported there; `*` for a namespace or a bare import, `default` for a default one. */
  readonly names: readonly string[];
  readonly line: number;
}

interface Token {
  readonly kind: 'word' | 'string' | 'mark';
  readonly text: string;
  readonly line: number;
}

const beforeExpression = new Set(['return', 'typeof', 'case', 'in', 'of', 'delete', 'void', 'throw', 'new', 'else', 'do', 'await', 'yield', 'instanceof']);

/** Splits a source into words, strings and single marks. Code inside `${}` of a template is scanned, its text is not. */
export function tokens(source: string): Token[] {
  const found: Token[] = [];
  // One entry per open template: the depth of braces at which its `${` ends.
  const templates: number[] = [];
  let depth = 0;
  let line = 1;
  let at = 0;

  const template = (): void => {
    while (at < source.length) {
      const c = source[at]!;
      if (c === '\\') at++;
      else if (c === '\n') line++;
      else if (c === '`') {
        at++;
        return;
      } else if (c === '$' && source[at + 1] === '{') {
        at += 2;
        templates.push(depth++);
        return;
      }
      at++;
    }
  };
  const divides = (): boolean => {
    const last = found[found.length - 1];
    if (last === undefined) return false;
    if (last.kind === 'string') return true;
    if (last.kind === 'word') return !beforeExpression.has(last.text);
    return last.text === ')' || last.text === ']' || last.text === '}';
  };

  while (at < source.length) {
    const c = source[at]!;
    if (c === '\n') {
      line++;
      at++;
    } else if (c === '/' && source[at + 1] === '/') {
      const end = source.indexOf('\n', at);
      at = end < 0 ? source.length : end;
    } else if (c === '/' && source[at + 1] === '*') {
      const end = source.indexOf('*/', at + 2);
      const stop = end < 0 ? source.length : end + 2;
      for (; at < stop; at++) if (source[at] === '\n') line++;
    } else if (c === "'" || c === '"') {
      const start = ++at;
      while (at < source.length && source[at] !== c && source[at] !== '\n') at += source[at] === '\\' ? 2 : 1;
      found.push({ kind: 'string', text: source.slice(start, at), line });
      at++;
    } else if (c === '`') {
      at++;
      found.push({ kind: 'string', text: '', line });
      template();
    } else if (c === '/' && !divides()) {
      let inClass = false;
      for (at++; at < source.length && source[at] !== '\n'; at++) {
        const r = source[at];
        if (r === '\\') at++;
        else if (r === '[') inClass = true;
        else if (r === ']') inClass = false;
        else if (r === '/' && !inClass) break;
      }
      at++;
      // A literal is an operand: a slash after it divides.
      found.push({ kind: 'string', text: '', line });
    } else if (/[A-Za-z0-9_$]/.test(c)) {
      const start = at;
      while (at < source.length && /[A-Za-z0-9_$]/.test(source[at]!)) at++;
      found.push({ kind: 'word', text: source.slice(start, at), line });
    } else {
      at++;
      if (c === '{') depth++;
      if (c === '}') {
        depth--;
        if (templates[templates.length - 1] === depth) {
          templates.pop();
          template();
          continue;
        }
      }
      if (c.trim() !== '') found.push({ kind: 'mark', text: c, line });
    }
  }
  return found;
}

/** Every import and re-export of a source, in its order. An `import(x)` of something computed has no specifier and is left out. */
export function importsOf(source: string): Import[] {
  const list = tokens(source);
  const found: Import[] = [];
  for (let i = 0; i < list.length; i++) {
    const { kind, text, line } = list[i]!;
    if (kind !== 'word' || (text !== 'import' && text !== 'export') || list[i - 1]?.text === '.') continue;
    const next = list[i + 1];
    if (text === 'import' && next?.text === '(' && next.kind === 'mark') {
      const argument = list[i + 2];
      if (argument?.kind === 'string' && argument.text !== '') {
        found.push({ specifier: argument.text, typeOnly: false, dynamic: true, names: ['*'], line });
      }
    } else if (text === 'import' && next?.kind === 'string') {
      found.push({ specifier: next.text, typeOnly: false, dynamic: false, names: ['*'], line });
    } else {
      const clause = clauseAt(list, i + 1);
      if (clause !== undefined) found.push({ ...clause, dynamic: false, line });
    }
  }
  return found;
}

/** Reads `[type] [default] [, {a as b, type c} | * as d] from 'x'`; anything else, as `export const`, is undefined. */
function clauseAt(list: readonly Token[], start: number): { specifier: string; typeOnly: boolean; names: string[] } | undefined {
  const names: string[] = [];
  let at = start;
  let typeOnly = false;
  if (list[at]?.text === 'type' && list[at + 1]?.text !== 'from' && list[at + 1]?.text !== ',') {
    typeOnly = true;
    at++;
  }
  let anyValue = false;
  for (; at < list.length; at++) {
    const token = list[at]!;
    if (token.text === 'from' && list[at + 1]?.kind === 'string') {
      return { specifier: list[at + 1]!.text, typeOnly: typeOnly || !anyValue, names };
    }
    if (token.text === ',') continue;
    if (token.text === '*') {
      names.push('*');
      anyValue = true;
      if (list[at + 1]?.text === 'as') at += 2;
    } else if (token.text === '{') {
      for (at++; at < list.length && list[at]!.text !== '}'; at++) {
        if (list[at]!.text === ',') continue;
        if (list[at]!.kind === 'mark') return undefined;
        const isType = list[at]!.text === 'type' && list[at + 1]?.kind === 'word' && list[at + 1]!.text !== 'as';
        if (isType) at++;
        else anyValue = true;
        names.push(list[at]!.text);
        if (list[at + 1]?.text === 'as') at += 2;
      }
    } else if (token.kind === 'word' && at === start + (typeOnly ? 1 : 0) && list[start - 1]!.text === 'import') {
      names.push('default');
      anyValue = true;
    } else {
      return undefined;
    }
  }
  return undefined;
}
