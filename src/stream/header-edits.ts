// Edits of headers that routes, virtual hosts and tables ask for, compiled into one list in the order in which they apply.
import { type Head, type HeaderName, headerName } from './head.js';
import type { EditsConfig } from './route-config.js';
import { compile, type Moment, type Template, type VariableSource } from './variables.js';

interface Edit {
  readonly name: HeaderName;
  /** null removes. */
  readonly value: Template | null;
  readonly add: boolean;
}

export class HeaderEdits {
  private readonly edits: readonly Edit[];
  /** A value reads the request head; for edits of a reply that means that the request head must be kept until then. */
  readonly readsRequest: boolean;

  private constructor(edits: readonly Edit[]) {
    this.edits = edits;
    this.readsRequest = edits.some((e) => e.value !== null && e.value.readsRequest);
  }

  /** One list out of several sections, the first of which applies first; null when none edits anything. */
  static compile(sections: readonly EditsConfig[], moment: Moment): HeaderEdits | null {
    const edits: Edit[] = [];
    for (const section of sections) {
      for (const name of section.remove) edits.push({ name: headerName(name), value: null, add: false });
      for (const [name, text] of Object.entries(section.set)) edits.push({ name: headerName(name), value: compile(text, moment), add: false });
      for (const [name, text] of Object.entries(section.add)) edits.push({ name: headerName(name), value: compile(text, moment), add: true });
    }
    return edits.length === 0 ? null : new HeaderEdits(edits);
  }

  /** Edits `head`. A value whose variables are all absent leaves the header as it is. */
  apply(head: Head, source: VariableSource): void {
    for (const { name, value, add } of this.edits) {
      if (value === null) {
        head.remove(name);
        continue;
      }
      const text = value.render(source);
      if (text === '' && value.constant === null) continue;
      if (add) head.add(name, text);
      else head.set(name, text);
    }
  }
}
