// Reads one hostile file in a process of its own, and prints what became of it and how much memory it took.
// Arguments: what the file is made of, its size in bytes.
import { readFileSync } from 'node:fs';
import { FormatError } from 'etoken-bridge';
import { decodeTrustList, formatTrustList, readTrustList } from 'etoken-bridge/trust-list';

const vector = new Uint8Array(readFileSync(new URL('../vectors/trust-list/ctl-tokenless.tlv', import.meta.url)));
const header = vector.subarray(0, 336);

/**
 * A file with the header of a list, and after it the same bytes again and again, as often as they fit.
 *
 * @param {number} size
 * @param {...number[]} repeated
 */
function fileOf(size, ...repeated) {
  const unit = Uint8Array.from(repeated.flat());
  const count = Math.floor((size - header.length) / unit.length);
  const file = new Uint8Array(header.length + count * unit.length);
  file.set(header);
  for (let index = 0; index < count; index += 1) file.set(unit, header.length + index * unit.length);
  return file;
}

/**
 * A record of the largest size, filled with the same element again and again.
 *
 * @param {...number} element
 */
function fullRecord(...element) {
  const count = Math.floor((0xffff - 10) / element.length);
  const length = 10 + count * element.length;
  return [
    1,
    0,
    2,
    length >> 8,
    length & 0xff,
    4,
    0,
    2,
    0,
    1,
    ...Array.from({ length: count }, () => element).flat(),
  ].slice(0, length);
}

/** @type {Readonly<Record<string, (size: number) => Uint8Array>>} */
const kinds = {
  zeros: (size) => new Uint8Array(size),
  'records of five bytes': (size) => fileOf(size, [1, 0, 2, 0, 5]),
  'records of ten bytes': (size) => fileOf(size, [1, 0, 2, 0, 10, 4, 0, 2, 0, 1]),
  'unknown elements without a value': (size) => fileOf(size, fullRecord(99, 0, 0)),
  'one element again and again': (size) => fileOf(size, fullRecord(6, 0, 1, 7)),
  'names of the largest size': (size) => {
    const name = [2, 0xff, 0x00, ...new Array(0xfeff).fill(0xff), 0];
    const length = 5 + 5 + name.length;
    return fileOf(size, [1, 0, 2, length >> 8, length & 0xff, 4, 0, 2, 0, 1], name);
  },
  'values of the largest size': (size) => {
    const value = [99, 0xff, 0x00, ...new Array(0xff00).fill(0xff)];
    const length = 5 + 5 + value.length;
    return fileOf(size, [1, 0, 2, length >> 8, length & 0xff, 4, 0, 2, 0, 1], value);
  },
  'padding in the header': (size) => {
    const file = new Uint8Array(size).fill(13);
    file.set([1, 0, 2, 1, 2, 2, 0, 2, 0xff, 0xff]);
    return file;
  },
  'containers in containers': (size) => {
    const file = new Uint8Array(size);
    file.set([1, 0, 2, 1, 2, 2, 0, 2, 0xff, 0xff]);
    for (let offset = 10; offset + 3 <= 0xffff; offset += 3) {
      const length = 0xffff - offset - 3;
      file.set([3, length >> 8, length & 0xff], offset);
    }
    return file;
  },
};

const [kind = '', size] = process.argv.slice(2);
const build = kinds[kind];
if (build === undefined) throw new Error(`no kind ${kind}`);
const file = build(Number(size));
const before = process.memoryUsage.rss();

/**
 * The code of our own error; what is not ours ends the process.
 *
 * @param {() => string} run
 */
function outcomeOf(run) {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    if (!(error.offset >= 0 && error.offset <= file.length)) throw error;
    return error.code;
  }
}

const started = performance.now();
const strict = outcomeOf(() => `${decodeTrustList(file).records.length} records`);
const lenient = outcomeOf(() => {
  const reading = readTrustList(file);
  const text = formatTrustList(reading, { values: true });
  return text.endsWith('Verification of the CTL file failed.\n') ? `${reading.faults.length} faults` : text.slice(-200);
});
const milliseconds = Math.round(performance.now() - started);
const peak = process.resourceUsage().maxRSS * 1024;
console.log(JSON.stringify({ strict, lenient, milliseconds, grown: peak - before }));
