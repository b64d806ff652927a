/** How many letters may differ before a word is no longer taken for a misspelling of another. */
function allowedDifferences(word: string): number {
  return word.length <= 4 ? 1 : word.length <= 8 ? 2 : 3;
}

/** The word that was probably meant, or `undefined` when none is near enough. Case does not count as a difference. */
export function closestWord<Word extends string>(word: string, candidates: readonly Word[]): Word | undefined {
  if (word.length > 40) return undefined;
  const lower = word.toLowerCase();
  const ranked = candidates
    .map((candidate) => ({ candidate, differences: countDifferences(lower, candidate.toLowerCase()) }))
    .sort((left, right) => left.differences - right.differences);
  const [best] = ranked;
  return best !== undefined && best.differences <= allowedDifferences(word) ? best.candidate : undefined;
}

/** Letters to add, drop, change or swap with their neighbour (optimal string alignment distance). */
function countDifferences(left: string, right: string): number {
  const rows: number[][] = [Array.from({ length: right.length + 1 }, (_, column) => column)];
  const at = (row: number, column: number): number => rows[row]?.[column] ?? 0;
  for (let row = 1; row <= left.length; row += 1) {
    rows.push([row]);
    for (let column = 1; column <= right.length; column += 1) {
      const same = left[row - 1] === right[column - 1];
      let least = Math.min(at(row - 1, column) + 1, at(row, column - 1) + 1, at(row - 1, column - 1) + (same ? 0 : 1));
      const swapped = left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1];
      if (row > 1 && column > 1 && swapped) least = Math.min(least, at(row - 2, column - 2) + 1);
      rows[row]?.push(least);
    }
  }
  return at(left.length, right.length);
}
