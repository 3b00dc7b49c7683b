// The commands of the program: their options as one table, from which command lines are read and the help is written.
import { parseArgs } from 'node:util';
import { nearest } from '../../core/nearest.js';

interface OptionSpec {
  readonly short?: string;
  /** What stands for the value in the help; left out for switches. */
  readonly value?: string;
  readonly doc: string;
}

interface CommandSpec {
  /** Operands as the help shows them. */
  readonly operands: string;
  readonly least: number;
  readonly most: number;
  readonly doc: string;
  readonly options: Readonly<Record<string, OptionSpec>>;
}

const config = { short: 'c', value: 'FILE', doc: 'the configuration, YAML or JSON' } as const;
const find = {
  admin: { value: 'ADDRESS', doc: 'admin of the process; else $ADMIN, else the one of the configuration' },
  config: { short: 'c', value: 'FILE', doc: 'the configuration of the process' },
} as const;

export const commands = {
  start: {
    operands: '',
    least: 0,
    most: 0,
    doc: 'starts, and runs until it is told to stop',
    options: { config, workers: { value: 'N', doc: 'worker threads, or auto, in place of the configuration\'s' }, 'no-watch': { doc: 'do not look for changes of the configuration; SIGHUP still reads it again' } },
  },
  check: {
    operands: '',
    least: 0,
    most: 0,
    doc: 'tells everything that is wrong or odd with a configuration',
    options: {
      config,
      explain: { doc: 'print every value in effect and where it comes from' },
      schema: { doc: 'print the JSON Schema of configurations instead' },
      json: { doc: 'answer in JSON' },
    },
  },
  explain: { operands: '[CODE]', least: 0, most: 1, doc: 'says what a reason code means, or lists all', options: {} },
  wait: { operands: '', least: 0, most: 0, doc: 'waits until a process is ready', options: { ...find, timeout: { value: 'TIME', doc: 'give up after this; default 60s' } } },
  drain: { operands: '', least: 0, most: 0, doc: 'has a process send its peers away, finish and end; waits for the end', options: { ...find, 'no-wait': { doc: 'do not wait for the end' } } },
  stop: {
    operands: '',
    least: 0,
    most: 0,
    doc: 'the same with a deadline; 0 ends at once',
    options: { ...find, deadline: { value: 'TIME', doc: 'time to finish; default drain_timeout of the configuration' }, 'no-wait': { doc: 'do not wait for the end' } },
  },
  call: {
    operands: 'bolt ADDRESS SERVICE METHOD [TEXT...]',
    least: 4,
    most: 32,
    doc: 'makes one call and prints the reply',
    options: { timeout: { value: 'TIME', doc: 'time for the reply; default 3s' }, version: { value: '1|2', doc: 'version of the protocol; default 1' } },
  },
} as const satisfies Readonly<Record<string, CommandSpec>>;

export type CommandName = keyof typeof commands;

export interface Command {
  readonly name: CommandName;
  readonly operands: readonly string[];
  /** Values of options; `true` for switches. */
  readonly options: Readonly<Record<string, string | true>>;
}

/** A command line that cannot be understood: what is wrong with it. */
export interface Misuse {
  readonly misuse: string;
}

/** What to print instead of doing anything. */
export interface Asked {
  readonly asked: 'version' | 'help';
  readonly about: CommandName | null;
}

const isCommand = (name: string): name is CommandName => Object.hasOwn(commands, name);
const guess = (word: string, words: readonly string[]): string => {
  const [near] = nearest(word, words);
  return near === undefined ? '' : `; did you mean ${near}?`;
};

/** Reads a command line, without the program's own name. */
export function readArguments(words: readonly string[]): Command | Misuse | Asked {
  const [first, ...rest] = words;
  if (first === undefined) return { misuse: 'no command is given' };
  if (first === '--version' || first === '-v' || first === 'version') return { asked: 'version', about: null };
  if (first === '--help' || first === '-h' || first === 'help') return { asked: 'help', about: rest[0] !== undefined && isCommand(rest[0]) ? rest[0] : null };
  if (!isCommand(first)) return { misuse: first.startsWith('-') ? `${first} stands before any command` : `there is no command ${first}${guess(first, Object.keys(commands))}` };
  const spec: CommandSpec = commands[first];
  if (rest.includes('--help') || rest.includes('-h')) return { asked: 'help', about: first };
  const options = Object.fromEntries(Object.entries(spec.options).map(([name, { short, value }]) => [name, { type: value === undefined ? ('boolean' as const) : ('string' as const), ...(short === undefined ? {} : { short }) }]));
  const { tokens } = parseArgs({ args: rest, options, strict: false, allowPositionals: true, tokens: true });
  const given: Record<string, string | true> = {};
  const operands: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') operands.push(token.value);
    if (token.kind !== 'option') continue;
    const option = Object.hasOwn(spec.options, token.name) ? spec.options[token.name] : undefined;
    if (option === undefined) return { misuse: `${first} has no option ${token.rawName}${guess(token.rawName, Object.keys(spec.options).map((name) => `--${name}`))}` };
    if (option.value !== undefined && (token.value === undefined || token.value === '')) return { misuse: `${token.rawName} needs a value: ${token.rawName} ${option.value}` };
    if (option.value === undefined && token.value !== undefined) return { misuse: `${token.rawName} takes no value` };
    if (given[token.name] !== undefined) return { misuse: `${token.rawName} is given twice` };
    given[token.name] = token.value ?? true;
  }
  if (operands.length < spec.least || operands.length > spec.most) {
    const extra = operands[spec.most];
    return { misuse: extra !== undefined ? `${first} does not know what to do with ${extra}` : `usage: sluice ${first} ${spec.operands}` };
  }
  return { name: first, operands, options: given };
}

/** The help of the program, or of one command. */
export function helpText(about: CommandName | null): string {
  if (about === null) {
    const width = Math.max(...Object.keys(commands).map((name) => name.length));
    const list = Object.entries(commands).map(([name, { doc }]) => `  ${name.padEnd(width)}  ${doc}\n`).join('');
    return `usage: sluice COMMAND [OPTIONS]\n\n${list}\nsluice COMMAND --help tells the options of a command; sluice --version the version.\nExit codes: 0 done, 1 failed, 2 not understood, 3 configuration refused.\n`;
  }
  const spec: CommandSpec = commands[about];
  const rows = Object.entries(spec.options).map(([name, { short, value, doc }]) => [`${short === undefined ? '    ' : `-${short}, `}--${name}${value === undefined ? '' : ` ${value}`}`, doc] as const);
  const width = Math.max(0, ...rows.map(([flag]) => flag.length));
  const options = rows.map(([flag, doc]) => `  ${flag.padEnd(width)}  ${doc}\n`).join('');
  return `usage: sluice ${about}${spec.operands === '' ? '' : ` ${spec.operands}`}${rows.length === 0 ? '' : ' [OPTIONS]'}\n\n${spec.doc}\n${options === '' ? '' : `\n${options}`}`;
}
