// Runs every benchmark and prints ratios: both sides are measured in the same run, so that the machine's speed and
// load cancel out. Nothing here is a test; a ratio below its limit is marked and makes the exit code 1.
//
//   npm run bench [name…]

import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** @typedef {{ what: string, ours: string, theirs: string, ratio: number, limit: string }} Row */

const wanted = process.argv.slice(2);
const folder = fileURLToPath(new URL('.', import.meta.url));
const files = readdirSync(folder)
  .filter((name) => name.endsWith('.bench.mjs'))
  .sort();

/** Whether a ratio keeps its limit, `>= 0.9` or `<= 1.5`. */
function keeps(/** @type {number} */ ratio, /** @type {string} */ limit) {
  const [sign, value] = limit.split(' ');
  return sign === '>=' ? ratio >= Number(value) : ratio <= Number(value);
}

let missed = 0;
for (const file of files) {
  if (wanted.length > 0 && !wanted.some((word) => file.startsWith(word))) continue;
  const bench = await import(new URL(file, import.meta.url).href);
  console.log(`\n## ${bench.name}\n`);
  console.log('| what | ours | theirs | ratio | limit | |');
  console.log('| --- | --- | --- | --- | --- | --- |');
  for (const row of /** @type {Row[]} */ (await bench.run())) {
    const kept = keeps(row.ratio, row.limit);
    if (!kept) missed += 1;
    console.log(
      `| ${row.what} | ${row.ours} | ${row.theirs} | ${row.ratio.toFixed(2)} | ${row.limit} | ${kept ? 'kept' : 'MISSED'} |`,
    );
  }
}
process.exitCode = missed === 0 ? 0 : 1;
