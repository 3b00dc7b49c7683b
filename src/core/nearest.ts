// The nearest known name to one that is not known, for "did you mean".

/** Edits (insert, delete, replace, swap of neighbours) that turn `a` into `b`. */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let last: number[] = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let best = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, before[j - 2]! + 1);
      row.push(best);
    }
    before = last;
    last = row;
  }
  return last[b.length]!;
}

const fold = (name: string): string => name.toLowerCase().replace(/[-_ .]/g, '');

/** Up to `count` of `names` that `name` may have been meant to be, nearest first; none when all are far. */
export function nearest(name: string, names: Iterable<string>, count = 1): string[] {
  const folded = fold(name);
  const found: { name: string; score: number }[] = [];
  for (const candidate of names) {
    const other = fold(candidate);
    const allowed = Math.max(1, Math.floor(Math.max(folded.length, other.length) / 3));
    let score = distance(folded, other);
    if (score > allowed) {
      const inside = folded.length >= 3 && other.length >= 3 && (other.includes(folded) || folded.includes(other));
      if (!inside) continue;
      score = allowed + 1;
    }
    found.push({ name: candidate, score });
  }
  found.sort((a, b) => a.score - b.score || (a.name < b.name ? -1 : 1));
  return found.slice(0, count).map((f) => f.name);
}
