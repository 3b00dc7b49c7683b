// A refusal of the configuration: where it lies, what was expected, what was found, and what may have been meant.

/** Keys and indexes from the root of a configuration. */
export type Path = readonly (string | number)[];

/** Line and column count from 1. */
export interface Position {
  readonly line: number;
  readonly col: number;
}

export interface Problem extends Position {
  readonly file: string;
  /** As `pathText` writes it; empty for the whole file. */
  readonly path: string;
  /** What was expected, or the whole complaint where there is no value to speak of. */
  readonly expected: string;
  /** The value as it was found; empty where it is missing or would give away a secret. */
  readonly got: string;
  /** The nearest name, or what to write; may be empty. */
  readonly hint: string;
}

const bare = /^[A-Za-z_][\w-]*$/;

/** `listeners[0].address`; keys that are no plain words are quoted. */
export function pathText(path: Path): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else if (!bare.test(step)) text += `[${JSON.stringify(step)}]`;
    else text += text === '' ? step : `.${step}`;
  }
  return text;
}

/** `file:line:col: path: expected ..., got ... (hint)`. */
export function formatProblem(problem: Problem): string {
  const { file, line, col, path, expected, got, hint } = problem;
  let text = `${file}:${line}:${col}: `;
  if (path !== '') text += `${path}: `;
  text += expected;
  if (got !== '') text += `, got ${got}`;
  if (hint !== '') text += ` (${hint})`;
  return text;
}

/** All problems, a line each, with a line break after the last. */
export function formatProblems(problems: readonly Problem[]): string {
  return problems.map((problem) => `${formatProblem(problem)}\n`).join('');
}

/** The problems as JSON, for tools. */
export function problemsJson(problems: readonly Problem[]): string {
  return `${JSON.stringify({ problems }, null, 2)}\n`;
}

/** In the order of the file; the same one twice only once. */
export function sortProblems(problems: readonly Problem[]): Problem[] {
  const seen = new Set<string>();
  return problems
    .filter((problem) => {
      const text = formatProblem(problem);
      return seen.has(text) ? false : seen.add(text);
    })
    .sort((a, b) => a.line - b.line || a.col - b.col);
}
