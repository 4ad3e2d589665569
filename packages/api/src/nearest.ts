/** The known names most similar to an unknown one, for `did you mean`: at most `most`, the closest first. */
export function suggestions(name: string, known: readonly string[], most: number = 3): readonly string[] {
  const likes = known.map((candidate) => ({ candidate, distance: unlikeness(name, candidate) }));
  return likes
    .filter(({ distance }) => Number.isFinite(distance))
    .sort((a, b) => a.distance - b.distance || (a.candidate < b.candidate ? -1 : 1))
    .slice(0, most)
    .map(({ candidate }) => candidate);
}

/** The distance between two names; infinite if they are too different to confuse. */
function unlikeness(name: string, candidate: string): number {
  // People remember a part of the name: `login` of `authn_login_fail`.
  if (name.length >= 3 && candidate.split(/[_.:-]/).includes(name)) return 0.5;
  const edits = editDistance(name, candidate);
  if (edits <= Math.max(1, Math.floor(name.length / 3))) return edits;
  return name.length >= 4 && candidate.includes(name) ? name.length : Number.POSITIVE_INFINITY;
}

/** The number of characters to insert, delete, replace or swap with a neighbour (optimal string alignment). */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let above = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = (above[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let least = Math.min(replace, (above[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        least = Math.min(least, (before[j - 2] ?? 0) + 1);
      row.push(least);
    }
    before = above;
    above = row;
  }
  return above[b.length] ?? 0;
}
