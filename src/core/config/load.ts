// Configuration text to plain data: YAML 1.2 or JSON, variables replaced after parsing, the place of every value kept.
import { readFileSync } from 'node:fs';
import { type Alias, type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { type Path, pathText, type Position, type Problem } from './problem.js';
import { type Environment, substitute } from './substitute.js';

/** Nesting deeper than this is refused. */
const MAX_DEPTH = 100;
/** Values that aliases may add to a file, so that a few lines cannot fill the memory. */
const MAX_ALIASED = 100_000;

export interface Loaded {
  readonly file: string;
  /** Plain objects, arrays and scalars; undefined when the text could not be parsed. */
  readonly data: unknown;
  /** What is wrong already: syntax, duplicate keys, variables that are not set. */
  readonly problems: readonly Problem[];
  /** Paths of the values with such a problem; their value means nothing. */
  readonly faulty: readonly Path[];
  /** Where the value lies, or the nearest thing around it that exists. */
  at(path: Path): Position;
  /** Where the key of the value lies. */
  keyAt(path: Path): Position;
  /** Names of the environment variables that the value was made with. */
  variables(path: Path): readonly string[];
}

const NO_VARIABLES: readonly string[] = [];
const offsetOf = (node: unknown, otherwise: number): number => (node as Node | null)?.range?.[0] ?? otherwise;

class Converter {
  readonly faults: { offset: number; path: Path; expected: string; hint: string }[] = [];
  readonly #document: Document;
  readonly #env: Environment;
  readonly #open = new Set<Node>();
  #inAlias = 0;
  #aliased = 0;

  constructor(document: Document, env: Environment) {
    this.#document = document;
    this.#env = env;
  }

  /** `offset`: where to place a value that has no place of its own. */
  convert(node: unknown, path: Path, offset: number): unknown {
    const own = offsetOf(node, offset);
    if (path.length > MAX_DEPTH) return this.#fault(own, path, `nested deeper than ${MAX_DEPTH}`);
    if (this.#inAlias > 0 && ++this.#aliased > MAX_ALIASED) {
      if (this.#aliased === MAX_ALIASED + 1) this.#fault(own, path, `the aliases of the file add more than ${MAX_ALIASED} values`);
      return null;
    }
    if (isAlias(node)) return this.#alias(node, path, own);
    if (isMap(node)) return this.#map(node.items as { key: unknown; value: unknown }[], path, own);
    if (isSeq(node)) return node.items.map((item, i) => this.convert(item, [...path, i], own));
    if (!isScalar(node)) return null;
    // What would not be printed as it was written stays text, or the version 1.0 would become 1.
    if (typeof node.value === 'number' && node.source !== String(node.value)) return node.source ?? node.value;
    if (typeof node.value !== 'string') return node.value;
    const replaced = substitute(node.value, this.#env);
    if (replaced === null) return node.value;
    for (const { expected, hint } of replaced.faults) this.#fault(own, path, expected, hint);
    return replaced.value;
  }

  #alias(node: Alias, path: Path, offset: number): unknown {
    const target = node.resolve(this.#document);
    if (target === undefined) return this.#fault(offset, path, `there is no anchor &${node.source} before this alias`);
    if (this.#open.has(target)) return this.#fault(offset, path, `the alias *${node.source} lies within what it stands for`);
    this.#open.add(target);
    this.#inAlias++;
    const value = this.convert(target, path, offset);
    this.#inAlias--;
    this.#open.delete(target);
    return value;
  }

  #map(items: { key: unknown; value: unknown }[], path: Path, offset: number): Record<string, unknown> {
    const map: Record<string, unknown> = {};
    for (const { key, value } of items) {
      const at = offsetOf(key, offset);
      if (!isScalar(key) || typeof key.value !== 'string' || key.value === '__proto__') {
        this.#fault(at, path, 'expected a text as key');
        continue;
      }
      map[key.value] = this.convert(value, [...path, key.value], at);
    }
    return map;
  }

  #fault(offset: number, path: Path, expected: string, hint = ''): null {
    this.faults.push({ offset, path, expected, hint });
    return null;
  }
}

/** Parses `text`; `file` is for messages only. */
export function loadText(text: string, file: string, env: Environment = process.env): Loaded {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    schema: 'core',
    strict: true,
    stringKeys: true,
    uniqueKeys: true,
    version: '1.2',
    resolveKnownTags: false,
    logLevel: 'error',
  });
  const position = (offset: number): Position => {
    const { line, col } = lines.linePos(Math.min(Math.max(offset, 0), text.length));
    return { line: Math.max(line, 1), col: Math.max(col, 1) };
  };
  const problems: Problem[] = [];
  for (const e of [...document.errors, ...document.warnings]) {
    const expected = e.code === 'DUPLICATE_KEY' ? 'the key occurs twice' : firstSentence(e.message);
    const at = position(e.pos[0]);
    const hint = bareVariable.test(text.split('\n', at.line)[at.line - 1] ?? '') ? 'within { } and [ ] a variable must be quoted: "${NAME}"' : '';
    problems.push({ file, ...at, path: '', expected, got: '', hint });
  }
  const converter = new Converter(document, env);
  const parsed = problems.length === 0;
  const data = parsed ? (converter.convert(document.contents, [], 0) ?? {}) : undefined;
  for (const { offset, path, expected, hint } of converter.faults) {
    problems.push({ file, ...position(offset), path: pathText(path), expected, got: '', hint });
  }
  return {
    file,
    data,
    problems,
    faulty: converter.faults.map((fault) => fault.path),
    at: (path) => position(locate(document, path).value),
    keyAt: (path) => position(locate(document, path).key),
    variables(path) {
      const { node } = locate(document, path);
      const text = isScalar(node) ? node.value : null;
      return (typeof text === 'string' ? substitute(text, env)?.names : null) ?? NO_VARIABLES;
    },
  };
}

/** Offsets of what lies at `path`, or of the last thing on the way to it; `node` is undefined where the way ends early. */
function locate(document: Document, path: Path): { key: number; value: number; node: unknown } {
  let node: unknown = document.contents;
  let key = 0;
  let value = offsetOf(node, 0);
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(document);
    if (isSeq(node) && typeof step === 'number' && step < node.items.length) {
      node = node.items[step];
      value = offsetOf(node, value);
      key = value;
      continue;
    }
    const pair = isMap(node) ? node.items.find((item) => isScalar(item.key) && item.key.value === String(step)) : undefined;
    if (pair === undefined) return { key, value, node: undefined };
    node = pair.value;
    key = offsetOf(pair.key, value);
    value = offsetOf(node, key);
  }
  return { key, value, node };
}

/** Reads and parses a file; one that cannot be read is a problem like any other. */
export function loadFile(file: string, env: Environment = process.env): Loaded {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (e) {
    const start = { line: 1, col: 1 };
    const problem = { file, ...start, path: '', expected: `the file cannot be read: ${(e as Error).message}`, got: '', hint: '' };
    return { file, data: undefined, problems: [problem], faulty: [], at: () => start, keyAt: () => start, variables: () => NO_VARIABLES };
  }
  return loadText(text, file, env);
}

/** A variable that YAML takes for the start of a map: not quoted, in a list or map that is written in one line. */
const bareVariable = /(?:^|[^$])[[{][^"']*\$\{/;

function firstSentence(message: string): string {
  const line = message.split('\n')[0]!;
  return line.charAt(0).toLowerCase() + line.slice(1).replace(/[.:]$/, '');
}
