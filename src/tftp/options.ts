import type { TftpOption } from './packet.js';

/** Bytes of a block without the option `blksize` (RFC 1350). */
export const plainBlockSize = 512;

/** The largest block of RFC 2348, in bytes. */
export const largestBlockSize = 65_464;

/** What fits a receiver's socket at once: Linux gives 208 KiB, of which small packets use two bytes for one. */
const largestBurst = 128 * 1024;

/** What a server grants at the most. */
export interface OptionLimits {
  /** Bytes. */
  readonly maxBlockSize: number;
  /** Blocks. */
  readonly maxWindowSize: number;
}

/** How a file is sent, and the options that are to be acknowledged. */
export interface TransferTerms {
  /** Bytes. */
  readonly blockSize: number;
  /** Blocks. */
  readonly windowSize: number;
  /** Milliseconds, when the client asked for it. */
  readonly retransmitAfter?: number;
  /** Empty: nothing is acknowledged, the first block is the answer. */
  readonly acknowledged: readonly TftpOption[];
}

/**
 * What a server grants of the options of a read request: `blksize` (RFC 2348), `timeout` and `tsize` (RFC 2349),
 * `windowsize` (RFC 7440). An option that is unknown or has no valid value is passed over, as RFC 2347 wants; of an
 * option that is there twice the first counts.
 *
 * @param size of the file in bytes.
 */
export function grantOptions(options: readonly TftpOption[], size: number, limits: OptionLimits): TransferTerms {
  const asked = firstOfEach(options);
  const askedBlock = numberIn(asked.get('blksize'), 8, Infinity);
  const askedWindow = numberIn(asked.get('windowsize'), 1, 65_535);
  const seconds = numberIn(asked.get('timeout'), 1, 255);
  const blockSize = Math.min(askedBlock ?? plainBlockSize, limits.maxBlockSize, largestBlockSize);
  const burst = Math.max(1, Math.floor(largestBurst / blockSize));
  const windowSize = Math.min(askedWindow ?? 1, limits.maxWindowSize, burst);
  const granted: Readonly<Partial<Record<string, number>>> = {
    ...(askedBlock === undefined ? {} : { blksize: blockSize }),
    ...(askedWindow === undefined ? {} : { windowsize: windowSize }),
    ...(seconds === undefined ? {} : { timeout: seconds }),
    // curl takes a size of 0 for a mistake, and an option may always be passed over.
    ...(asked.has('tsize') && size > 0 ? { tsize: size } : {}),
  };
  const acknowledged = [...asked.keys()].flatMap((name) => {
    const value = granted[name];
    return value === undefined ? [] : [{ name, value: String(value) }];
  });
  // Without the option the size of a block is not open to negotiation.
  const terms = { blockSize: askedBlock === undefined ? plainBlockSize : blockSize, windowSize, acknowledged };
  return seconds === undefined ? terms : { ...terms, retransmitAfter: seconds * 1000 };
}

/** What a client asks for. */
export interface OptionWishes {
  readonly blockSize: number;
  readonly windowSize: number;
  /** Seconds, 1 to 255; undefined: the server's own. */
  readonly timeout?: number;
}

/** The options of a read request. With the values of RFC 1350 there are none, for servers that know no options. */
export function requestOptions(wishes: OptionWishes): readonly TftpOption[] {
  const { blockSize, windowSize, timeout } = wishes;
  const options = [
    ...(blockSize === plainBlockSize ? [] : [{ name: 'blksize', value: String(blockSize) }]),
    ...(windowSize === 1 ? [] : [{ name: 'windowsize', value: String(windowSize) }]),
    ...(timeout === undefined ? [] : [{ name: 'timeout', value: String(timeout) }]),
  ];
  return options.length === 0 ? [] : [...options, { name: 'tsize', value: '0' }];
}

/** What a server granted, or why its answer cannot be accepted. */
export type GrantedTerms =
  { readonly blockSize: number; readonly windowSize: number; readonly size?: number } | { readonly problem: string };

/** Reads a server's acknowledgement of options: nothing that was not asked for, and nothing larger. */
export function readGranted(options: readonly TftpOption[], wishes: OptionWishes): GrantedTerms {
  const granted = firstOfEach(options);
  const asked = new Set(requestOptions(wishes).map(({ name }) => name));
  const limits: Readonly<Partial<Record<string, readonly [number, number]>>> = {
    blksize: [8, wishes.blockSize],
    windowsize: [1, wishes.windowSize],
    timeout: [wishes.timeout ?? 1, wishes.timeout ?? 255],
    tsize: [0, Number.MAX_SAFE_INTEGER],
  };
  for (const [name, value] of granted) {
    const limit = limits[name];
    if (!asked.has(name) || limit === undefined) return { problem: `the option ${name} was not asked for` };
    if (numberIn(value, ...limit) === undefined) return { problem: `${name} cannot be ${value}` };
  }
  const size = numberIn(granted.get('tsize'), 0, Number.MAX_SAFE_INTEGER);
  return {
    blockSize: Number(granted.get('blksize') ?? plainBlockSize),
    windowSize: Number(granted.get('windowsize') ?? 1),
    ...(size === undefined ? {} : { size }),
  };
}

/** Names of options are the same in any case (RFC 2347). */
function firstOfEach(options: readonly TftpOption[]): ReadonlyMap<string, string> {
  const first = new Map<string, string>();
  for (const { name, value } of options) {
    const lower = name.toLowerCase();
    if (!first.has(lower)) first.set(lower, value);
  }
  return first;
}

function numberIn(text: string | undefined, least: number, most: number): number | undefined {
  if (text === undefined || !/^\d{1,16}$/.test(text)) return undefined;
  const value = Number(text);
  return value >= least && value <= most ? value : undefined;
}
