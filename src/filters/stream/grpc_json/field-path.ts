// Fields that are set by text, out of a path or a query: found by their names once, then set message by message.
import type { Fields, JsonField, JsonMessage } from './json-message.js';
import { Misfit } from './misfit.js';

/** Different parameters that are remembered, and the longest of them; others are looked up anew. */
const MAX_REMEMBERED = 256;
const MAX_NAME = 100;

export class FieldPath {
  readonly text: string;
  /** The messages on the way. */
  private readonly steps: readonly JsonField[];
  readonly last: JsonField;

  constructor(text: string, steps: readonly JsonField[], last: JsonField) {
    this.text = text;
    this.steps = steps;
    this.last = last;
  }

  /** null: there is no such field, or none that text can be the value of. */
  static find(message: JsonMessage, path: readonly string[]): FieldPath | null {
    const steps: JsonField[] = [];
    let plan: JsonMessage | null = message;
    for (let i = 0; i < path.length; i++) {
      const field: JsonField | undefined = plan?.field(path[i]!);
      if (field === undefined) return null;
      if (i === path.length - 1) return field.textual ? new FieldPath(path.join('.'), steps, field) : null;
      if (field.shape !== 0 || field.message === null || field.message.codec !== null) return null;
      steps.push(field);
      plan = field.message;
    }
    return null;
  }

  /** `over`: what is there already is replaced. Throws Misfit. */
  set(message: Fields, text: string, over: boolean): void {
    let at = message;
    for (const step of this.steps) at = (at[step.key] ??= taken(at, step) ?? Object.create(null)) as Fields;
    const { key, shape } = this.last;
    const value = this.last.fromText(text);
    if (shape !== 0) {
      (at[key] ??= []) as unknown[];
      (at[key] as unknown[]).push(value);
      return;
    }
    if (!over && key in at) throw new Misfit('the field is given twice');
    if (!over) taken(at, this.last);
    else for (const other of this.last.siblings) delete at[other];
    at[key] = value;
  }
}

function taken(message: Fields, field: JsonField): null {
  for (const other of field.siblings) if (other in message) throw new Misfit('another field of the same oneof is given');
  return null;
}

/** The parameters of a query that one method takes. */
export class QueryFields {
  private readonly message: JsonMessage;
  private readonly ignoreUnknown: boolean;
  /** Fields that the path or the content gives; a parameter must not name them, nor what is in them. */
  private readonly bound: readonly string[];
  private readonly known = new Map<string, FieldPath>();

  constructor(message: JsonMessage, bound: readonly string[], ignoreUnknown: boolean) {
    this.message = message;
    this.bound = bound;
    this.ignoreUnknown = ignoreUnknown;
  }

  private find(name: string): FieldPath | null {
    const known = this.known.get(name);
    if (known !== undefined) return known;
    if (this.bound.some((path) => name === path || name.startsWith(`${path}.`))) return null;
    const found = FieldPath.find(this.message, name.split('.'));
    if (found !== null && name.length <= MAX_NAME && this.known.size < MAX_REMEMBERED) this.known.set(name, found);
    return found;
  }

  /** Sets what a query says. Throws Misfit. */
  apply(message: Fields, query: string): void {
    for (const [name, value] of new URLSearchParams(query)) {
      try {
        const path = this.find(name);
        if (path !== null) path.set(message, value, false);
        else if (!this.ignoreUnknown) throw new Misfit(`${this.message.type.name} has no such field that a query can set`);
      } catch (error) {
        throw error instanceof Misfit ? new Misfit(`query parameter ${name}: ${error.toString()}`) : error;
      }
    }
  }
}
