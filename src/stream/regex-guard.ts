// Regular expressions of the configuration: anchored, and refused where a request could make one run for seconds.

/**
 * V8 backtracks, so an expression that can read the same text in many ways takes time exponential (nested repetition) or of a high
 * power (several repetitions side by side) in the length of what a client sent. Three limits keep one match below ten
 * milliseconds: repeated groups must be told apart by a separator, at most three repetitions that overlap may follow one another,
 * and a longer text than `maxSubject` never matches. The check errs on the side of refusal.
 */
export const MAX_PATTERN = 512;
const MAX_OVERLAPPING = 3;

export class GuardedRegex {
  readonly source: string;
  private readonly regex: RegExp;
  /** Longest text, in characters, that is looked at. */
  readonly maxSubject: number;

  constructor(source: string, regex: RegExp, maxSubject: number) {
    this.source = source;
    this.regex = regex;
    this.maxSubject = maxSubject;
  }

  /** Whether the whole text matches. */
  test(text: string): boolean {
    return text.length <= this.maxSubject && this.regex.test(text);
  }

  /** The text with its match replaced; `$1` and `$<name>` stand for groups. The text itself where it does not match. */
  replace(text: string, substitution: string): string {
    return text.length <= this.maxSubject ? text.replace(this.regex, substitution) : text;
  }
}

/** Compiles an expression that must match a whole text (`whole`) or a part of it; a string says why it is refused. */
export function guardedRegex(source: string, options: { readonly ignoreCase?: boolean; readonly whole?: boolean } = {}): GuardedRegex | string {
  if (source.length > MAX_PATTERN) return `a regular expression of at most ${MAX_PATTERN} characters`;
  let regex: RegExp;
  try {
    regex = new RegExp(options.whole === false ? source : `^(?:${source})$`, options.ignoreCase === true ? 'i' : '');
  } catch (error) {
    return `a regular expression (${(error as Error).message.replace(/^Invalid regular expression: /, '')})`;
  }
  const overlapping = new Reader(source).read();
  if (typeof overlapping === 'string') return overlapping;
  // Without an anchor every place of the text is tried as a beginning, which costs as much as one more repetition.
  const power = overlapping + (options.whole === false && !source.startsWith('^') ? 1 : 0);
  return new GuardedRegex(source, regex, power <= 2 ? 2048 : power === 3 ? 256 : 64);
}

interface Atom {
  /** Source of the atom without quantifier; null for a group. */
  readonly source: string | null;
  /** The one character it stands for, if it is that. */
  readonly literal: string | null;
  /** Contains a quantifier, or is a group whose alternatives cannot be told apart. */
  readonly vague: boolean;
  readonly least: number;
  readonly most: number;
}

const nested = 'a regular expression without repetition inside a repeated group, unless each turn begins or ends with a separator that the rest cannot match';
const tooMany = `a regular expression with at most ${MAX_OVERLAPPING} repetitions that can match the same characters one after another`;

/** Reads an expression as JavaScript does without flags, far enough to judge its repetitions. */
class Reader {
  private readonly source: string;
  private at = 0;
  private worst = 0;

  constructor(source: string) {
    this.source = source;
  }

  /** The largest number of repetitions side by side that can match the same text, or why the expression is refused. */
  read(): number | string {
    const group = this.alternatives();
    return typeof group === 'string' ? group : this.worst;
  }

  /** The alternatives of a group, up to its closing parenthesis or the end. */
  private alternatives(): Atom[][] | string {
    const all: Atom[][] = [];
    for (;;) {
      const one = this.sequence();
      if (typeof one === 'string') return one;
      all.push(one);
      if (this.source[this.at] !== '|') return all;
      this.at++;
    }
  }

  private sequence(): Atom[] | string {
    const atoms: Atom[] = [];
    let run: Atom[] = [];
    while (this.at < this.source.length && this.source[this.at] !== '|' && this.source[this.at] !== ')') {
      const atom = this.atom();
      if (typeof atom === 'string') return atom;
      if (atom === null) continue;
      atoms.push(atom);
      if (atom.most > 8 || atom.vague) {
        run.push(atom);
        this.worst = Math.max(this.worst, run.length);
        if (run.length > MAX_OVERLAPPING) return tooMany;
      } else if (atom.literal !== null && atom.least > 0 && !run.some((r) => canMatch(r, atom.literal!))) {
        run = [];
      }
    }
    return atoms;
  }

  /** One atom with its quantifier; null for an assertion. */
  private atom(): Atom | string | null {
    const begin = this.at;
    const c = this.source[this.at]!;
    let source: string | null = null;
    let literal: string | null = null;
    let inside: Atom[][] | null = null;
    if (c === '(') {
      const lead = /^\((?:\?(?::|=|!|<=|<!|<[A-Za-z_$][\w$]*>))?/.exec(this.source.slice(this.at))![0];
      this.at += lead.length;
      const read = this.alternatives();
      if (typeof read === 'string') return read;
      this.at++;
      inside = read;
    } else if (c === '[') {
      for (this.at++; this.source[this.at] !== ']'; this.at++) if (this.source[this.at] === '\\') this.at++;
      this.at++;
      source = this.source.slice(begin, this.at);
    } else if (c === '\\') {
      const escape = /^\\(?:x[\da-fA-F]{2}|u[\da-fA-F]{4}|c[A-Za-z]|k<[^>]*>|\d+|.)/s.exec(this.source.slice(this.at))![0];
      this.at += escape.length;
      if (/^\\[bB]$/.test(escape)) return null;
      if (/^\\[1-9k]/.test(escape)) return 'a regular expression without references to its own groups';
      source = escape;
      if (/^\\[^a-zA-Z0-9]$/s.test(escape)) literal = escape[1]!;
    } else {
      this.at++;
      if (c === '^' || c === '$') return null;
      source = c;
      if (c !== '.') literal = c;
    }
    const { least, most } = this.quantifier();
    if (inside !== null && most > 1 && !separated(inside)) return nested;
    return { source, literal, vague: inside !== null && inside.some((s) => s.some(repeats)), least, most };
  }

  private quantifier(): { least: number; most: number } {
    const found = /^(?:\*|\+|\?|\{(\d+)(,(\d*))?\})\??/.exec(this.source.slice(this.at));
    if (found === null) return { least: 1, most: 1 };
    this.at += found[0].length;
    switch (found[0][0]) {
      case '*':
        return { least: 0, most: Infinity };
      case '+':
        return { least: 1, most: Infinity };
      case '?':
        return { least: 0, most: 1 };
      default: {
        const least = Number(found[1]);
        return { least, most: found[2] === undefined ? least : found[3] === '' ? Infinity : Number(found[3]) };
      }
    }
  }
}

const repeats = (atom: Atom): boolean => atom.vague || atom.least !== atom.most;

function canMatch(atom: Atom, character: string): boolean {
  if (atom.source === null) return true;
  return new RegExp(`^(?:${atom.source})$`, 'i').test(character);
}

/**
 * Whether the turns of a repeated group can be told apart. With several alternatives each must begin with a character of its own;
 * a turn with repetition in it must begin, or always end, with a character that nothing repeated or optional in it can match.
 */
function separated(alternatives: readonly (readonly Atom[])[]): boolean {
  const firsts = alternatives.map((s) => marker(s[0]));
  if (alternatives.length > 1 && (firsts.includes(null) || new Set(firsts).size !== firsts.length)) return false;
  const loose = alternatives.flatMap((s) => s.filter(repeats));
  if (loose.length === 0) return true;
  const lasts = alternatives.map((s) => marker(s.at(-1)));
  const clear = (marks: readonly (string | null)[]): boolean => marks.every((m) => m !== null && !loose.some((atom) => canMatch(atom, m)));
  return clear(firsts) || (alternatives.length === 1 && clear(lasts));
}

/** The character that an atom always matches, in lower case. */
function marker(atom: Atom | undefined): string | null {
  return atom === undefined || atom.literal === null || atom.least !== 1 || atom.most !== 1 ? null : atom.literal.toLowerCase();
}
