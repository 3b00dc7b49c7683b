// `sluice check`: everything that is wrong or odd with a configuration, its values in effect, or the schema of all configurations.
import { formatProblem, formatProblems, type Problem } from '../../core/config/problem.js';
import type { Manifest } from '../../core/manifest.js';
import { Catalog } from '../../core/manifest.js';
import { explainConfig, explanationText } from '../explain-config.js';
import { configJsonSchema } from '../model.js';
import { type Reading, SourceFile } from '../source-file.js';
import type { Command } from './arguments.js';
import { DONE, MISUSED, REFUSED, type Surroundings } from './output.js';

export async function check({ options }: Command, builtins: readonly Manifest[], to: Surroundings): Promise<number> {
  const json = options['json'] === true;
  if (options['schema'] === true) {
    to.out(`${JSON.stringify(configJsonSchema(new Catalog(builtins)), null, 2)}\n`);
    return DONE;
  }
  const file = options['config'];
  if (typeof file !== 'string') {
    to.err('sluice check: -c FILE says which configuration\n');
    return MISUSED;
  }
  const source = new SourceFile({ file, builtins, env: to.env });
  const reading = await source.read();
  source.close();
  // Paths as they were typed are shorter to read.
  const named = (list: readonly Problem[]): Problem[] => list.map((problem) => ({ ...problem, file }));
  const problems = named(reading.problems);
  const warnings = named(reading.warnings);
  const valid = reading.config !== null && problems.length === 0;
  const rows = valid && options['explain'] === true ? explainConfig(reading) : null;
  if (json) {
    to.out(`${JSON.stringify({ valid, problems, warnings, ...(rows === null ? {} : { values: rows }) }, null, 2)}\n`);
    return valid ? DONE : REFUSED;
  }
  if (rows !== null) to.out(explanationText(rows));
  for (const warning of warnings) to.err(`warning: ${formatProblem(warning)}\n`);
  if (!valid) {
    to.err(formatProblems(problems));
    to.err(`${file} is refused: ${count(problems.length, 'problem')}\n`);
    return REFUSED;
  }
  to.err(`${file} is valid: ${summary(reading)}${warnings.length === 0 ? '' : `; ${count(warnings.length, 'warning')}`}\n`);
  return DONE;
}

const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;

function summary({ config }: Reading): string {
  const { listeners, routes, clusters } = config!;
  return `${count(listeners.length, 'listener')}, ${count(routes.filter((table) => !table.name.includes(':')).length, 'route table')}, ${count(clusters.length, 'cluster')}`;
}
