// Variables of the environment in configuration values: ${NAME}, ${NAME:-default}, and $$ for a dollar sign.

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Substituted {
  /** The text with every variable replaced; a number or boolean where the text was one variable only and reads as such. */
  readonly value: string | number | boolean;
  /** Names of the variables that were read. */
  readonly names: readonly string[];
  /** What is wrong, one sentence each; `value` is of no use then. */
  readonly faults: readonly { readonly expected: string; readonly hint: string }[];
}

const NAME = /[A-Za-z_][A-Za-z0-9_]*/y;
/** Defaults may hold variables in turn, this deep. */
const MAX_DEPTH = 8;

class Reader {
  readonly names: string[] = [];
  readonly faults: { expected: string; hint: string }[] = [];
  readonly #env: Environment;

  constructor(env: Environment) {
    this.#env = env;
  }

  expand(text: string, depth: number): string {
    let out = '';
    let at = 0;
    for (;;) {
      const dollar = text.indexOf('$', at);
      if (dollar === -1) return out + text.slice(at);
      out += text.slice(at, dollar);
      const next = text[dollar + 1];
      if (next === '$') {
        out += '$';
        at = dollar + 2;
      } else if (next === '{') {
        const end = closing(text, dollar + 2);
        if (end === -1) {
          this.#fault('expected } after ${', 'write $$ for a dollar sign');
          return out;
        }
        out += this.#variable(text.slice(dollar + 2, end), depth);
        at = end + 1;
      } else {
        out += '$';
        at = dollar + 1;
      }
    }
  }

  #variable(inside: string, depth: number): string {
    NAME.lastIndex = 0;
    const name = NAME.exec(inside)?.[0] ?? '';
    const rest = inside.slice(name.length);
    if (name === '' || (rest !== '' && !rest.startsWith(':-'))) {
      return this.#fault(`expected \${NAME} or \${NAME:-default}, got \${${inside}}`, 'write $$ for a dollar sign');
    }
    this.names.push(name);
    const value = Object.hasOwn(this.#env, name) ? this.#env[name] : undefined;
    if (rest === '') {
      if (value !== undefined) return value;
      return this.#fault(`the environment variable ${name} is not set`, `\${${name}:-default} gives it a default`);
    }
    if (value !== undefined && value !== '') return value;
    if (depth === MAX_DEPTH) return this.#fault(`defaults are nested deeper than ${MAX_DEPTH}`, '');
    return this.expand(rest.slice(2), depth + 1);
  }

  #fault(expected: string, hint: string): string {
    this.faults.push({ expected, hint });
    return '';
  }
}

/** Where the brace that was opened before `from` closes; -1 when it does not. */
function closing(text: string, from: number): number {
  let depth = 1;
  for (let i = from; i < text.length; i++) {
    if (text[i] === '$' && text[i + 1] === '{') depth++;
    else if (text[i] === '}' && --depth === 0) return i;
  }
  return -1;
}

/** A number or boolean if that is what the text is, written as it would be printed: "1.10" and "007" stay text. */
function retype(text: string): string | number | boolean {
  if (text === 'true') return true;
  if (text === 'false') return false;
  const number = Number(text);
  return text !== '' && Number.isFinite(number) && String(number) === text ? number : text;
}

/** Replaces the variables in `text`; null when there is nothing to replace. The environment's values are taken as they are. */
export function substitute(text: string, env: Environment): Substituted | null {
  if (!text.includes('${') && !text.includes('$$')) return null;
  const reader = new Reader(env);
  const value = reader.expand(text, 0);
  const whole = text.startsWith('${') && closing(text, 2) === text.length - 1;
  return { value: whole ? retype(value) : value, names: reader.names, faults: reader.faults };
}
