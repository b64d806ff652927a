import { equalBytes, formatHex, parseHex } from '../bytes/index.js';
import { RefusalError } from '../errors.js';
import type { TrustListRecord } from '../trust-list/index.js';
import { describeRecord } from './checks.js';

/**
 * The records of the token with a serial: as the list prints it (the CTL client writes it reversed), or as the
 * certificate has it.
 *
 * @param serialNumber hex with or without colons, blanks, leading zeros and `0x`.
 * @throws RefusalError `no-such-token`; `ambiguous-serial` when it is the serial of two tokens, read one way and the
 *   other.
 */
export function findLeaving(tokens: readonly TrustListRecord[], serialNumber: string): readonly TrustListRecord[] {
  const wanted = parseSerial(serialNumber);
  const found = tokens.filter((record) => wanted !== undefined && readingsOf(record).includes(wanted));
  const [first, ...others] = found;
  if (first === undefined) {
    throw new RefusalError('no-such-token', `no token of the list has serial ${JSON.stringify(serialNumber)}`, {
      hint: `its tokens are ${tokens.map(describeRecord).join(', ')}`,
    });
  }
  if (others.some((other) => !isSameToken(first, other))) {
    throw new RefusalError(
      'ambiguous-serial',
      `serial ${serialNumber} fits more than one token of the list: ${found.map(describeRecord).join(', ')}`,
      { hint: 'nothing was removed; build the list anew with the tokens that it should have' },
    );
  }
  return found;
}

function isSameToken(left: TrustListRecord, right: TrustListRecord): boolean {
  const [one, other] = [left, right].map((record) => record.certificate ?? record.certificateHash);
  return one !== undefined && other !== undefined && equalBytes(one, other);
}

/** The numbers that a person may mean by this token's serial: hex without leading zeros. */
function readingsOf({ serialNumber }: TrustListRecord): readonly string[] {
  return serialNumber === undefined ? [] : [serialNumber, serialNumber.slice().reverse()].map(withoutZeros);
}

function parseSerial(text: string): string | undefined {
  const digits = text.replaceAll(/[\s:]/g, '').replace(/^0x/i, '');
  const bytes = parseHex(digits.length % 2 === 0 ? digits : `0${digits}`);
  return bytes === undefined || bytes.length === 0 ? undefined : withoutZeros(bytes);
}

function withoutZeros(bytes: Uint8Array): string {
  return formatHex(bytes).replace(/^(?:00)+(?=.)/, '');
}
