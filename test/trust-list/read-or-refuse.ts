import { expect } from 'vitest';
import { FormatError } from '../../src/errors.js';
import {
  decodeTrustList,
  formatTrustList,
  readTrustList,
  verifyTrustList,
  type TrustList,
} from '../../src/trust-list/index.js';

/** Runs a decoder, which may do nothing but decode or refuse at an offset inside its input. */
export function decodeOrRefuse<Decoded>(
  bytes: Uint8Array,
  decode: (bytes: Uint8Array) => Decoded,
): Decoded | FormatError {
  try {
    return decode(bytes);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    if (!(error.offset >= 0 && error.offset <= bytes.length)) {
      throw new Error(`offset ${String(error.offset)} in ${String(bytes.length)} bytes`, { cause: error });
    }
    return error;
  }
}

/**
 * Reads bytes in every way there is, and checks that the ways agree: strict, lenient, shown with and without values.
 *
 * @returns the list, or why it is none.
 */
export function readOrRefuse(bytes: Uint8Array): TrustList | FormatError {
  const strict = decodeOrRefuse(bytes, decodeTrustList);
  const lenient = decodeOrRefuse(bytes, readTrustList);
  if (lenient instanceof FormatError) {
    expect(strict).toMatchObject({ code: lenient.code, offset: lenient.offset });
    return lenient;
  }
  const failed = /Verification of the [CI]TL file failed\.\n$/;
  for (const values of [false, true]) {
    const shown = formatTrustList(lenient, { values });
    if (/(?!\n)[\p{Cc}\p{Cf}]/u.test(shown)) throw new Error(`a control character in ${JSON.stringify(shown)}`);
    if (strict instanceof FormatError || !verifyTrustList(strict).verified) expect(shown).toMatch(failed);
    else expect(shown.endsWith('file was verified successfully.\n')).toBe(true);
  }
  if (strict instanceof FormatError) {
    expect(lenient.list).toBeUndefined();
    expect(lenient.faults.map(({ code }) => code)).toContain(strict.code);
    const offsets = lenient.faults.map(({ offset }) => offset);
    expect(offsets).toEqual([...offsets].sort((left, right) => left - right));
    expect(offsets.every((offset) => offset >= 0 && offset <= bytes.length)).toBe(true);
  } else {
    expect(lenient.faults).toEqual([]);
    expect(lenient.list?.records).toHaveLength(strict.records.length);
  }
  return strict;
}

/** Whether bytes are a list whose signature is right. */
export function verifies(bytes: Uint8Array): boolean {
  const list = decodeOrRefuse(bytes, decodeTrustList);
  return !(list instanceof FormatError) && verifyTrustList(list).verified;
}
