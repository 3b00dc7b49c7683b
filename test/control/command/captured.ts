// Surroundings that keep what a command says.
import type { Surroundings } from '../../../src/control/command/output.js';

export class Captured implements Surroundings {
  output = '';
  errors = '';
  readonly env: Readonly<Record<string, string>>;

  constructor(env: Readonly<Record<string, string>> = {}) {
    this.env = env;
  }
  out = (text: string): void => {
    this.output += text;
  };
  err = (text: string): void => {
    this.errors += text;
  };
}
