// What every plug-in says of itself, and the catalog that finds plug-ins by kind and name.
import type { z } from 'zod';

/** The head of every plug-in's manifest; each kind extends it with its factory. */
export interface Manifest {
  /** `protocol`, `balancer`, `stream-filter`, ... */
  readonly kind: string;
  /** As written in the configuration. */
  readonly name: string;
  /** One line: what it is for. */
  readonly doc: string;
  /** Its options. */
  readonly schema: z.ZodType;
}

/** The plug-ins of a process; immutable. The order in which they are given has no effect. */
export class Catalog {
  readonly #byKind = new Map<string, Map<string, Manifest>>();

  /** Throws when two manifests share kind and name. */
  constructor(manifests: readonly Manifest[]) {
    const sorted = [...manifests].sort((a, b) => compare(a.kind, b.kind) || compare(a.name, b.name));
    for (const manifest of sorted) {
      let named = this.#byKind.get(manifest.kind);
      if (named === undefined) this.#byKind.set(manifest.kind, (named = new Map()));
      if (named.has(manifest.name)) throw new Error(`two plug-ins of kind ${manifest.kind} are called ${manifest.name}`);
      named.set(manifest.name, manifest);
    }
  }

  find<M extends Manifest = Manifest>(kind: string, name: string): M | undefined {
    return this.#byKind.get(kind)?.get(name) as M | undefined;
  }

  /** Names of a kind in alphabetical order. */
  names(kind: string): string[] {
    return [...(this.#byKind.get(kind)?.keys() ?? [])];
  }

  /** Manifests of a kind in the order of their names. */
  all<M extends Manifest = Manifest>(kind: string): M[] {
    return [...(this.#byKind.get(kind)?.values() ?? [])] as M[];
  }

  kinds(): string[] {
    return [...this.#byKind.keys()];
  }

  /** A catalog of these and `extra`; throws when one of `extra` has the kind and name of another. */
  with(extra: readonly Manifest[]): Catalog {
    return new Catalog([...this.kinds().flatMap((kind) => this.all(kind)), ...extra]);
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
