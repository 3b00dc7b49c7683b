// What a file of bench/soak offers: one long measurement, its lines for people, and its figures for machines.
import type { Site } from '../site.js';

export interface SoakOptions {
  readonly site: Site;
  readonly json: boolean;
  /** Undefined: the soak's own default. */
  readonly seconds: number | undefined;
  readonly minutes: number | undefined;
  readonly connections: number | undefined;
  readonly rate: number | undefined;
  readonly config: string | undefined;
  readonly install: boolean;
  readonly workers: number;
  readonly node: string;
  /** A program in place of Sluice, with LP and UP for its ports. */
  readonly command: string | undefined;
  readonly say: (line: string) => void;
}

export interface SoakResult {
  readonly lines: readonly string[];
  readonly figures: Readonly<Record<string, unknown>>;
  /** False when something failed; a missed bar is said in the lines and is no failure. */
  readonly ok: boolean;
}

export interface Soak {
  readonly summary: string;
  run(options: SoakOptions): Promise<SoakResult>;
}
