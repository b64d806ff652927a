import { formatHex, printable } from '../bytes/index.js';
import { RefusalError, type RefusalCode } from '../errors.js';
import { recordFunction, type TrustList, type TrustListRecord } from '../trust-list/index.js';
import { formatName, isValidAt, type Certificate } from '../x509/index.js';

/** The checks of phone-rules.md that an administrator may let through, one by one. */
export type AcceptableCheck = Extract<RefusalCode, `A${string}`>;

/** What the rules have no number for. */
export type NoticeWord =
  | 'expired-signer'
  | 'expired-token'
  | 'not-a-sast'
  | 'weak-key'
  | 'key-size'
  | 'other-signer'
  | 'server-removed'
  | 'same-serial'
  | 'no-tftp'
  | 'emptied'
  | 'sha256'
  | 'header-element';

/** Something that does not stop the flow but must be read before phones get the file. */
export interface Notice {
  /** The number of the check, or a word where the rules have none. */
  readonly check: AcceptableCheck | NoticeWord;
  readonly message: string;
}

/** Collects what a flow found: refusals that were not accepted are thrown, the accepted ones become notices. */
export class Checks {
  readonly #accepted: ReadonlySet<string>;
  readonly #notices: Notice[] = [];

  constructor(accepted: readonly AcceptableCheck[] = []) {
    this.#accepted = new Set(accepted);
  }

  /** What was accepted or only needs saying, in the order it was found. */
  get notices(): readonly Notice[] {
    return this.#notices;
  }

  /** @throws RefusalError with the check's number unless it is accepted. */
  refuse(check: AcceptableCheck, message: string, hint: string): void {
    if (!this.#accepted.has(check)) {
      throw new RefusalError(check, message, { hint: `${hint}; --accept ${check} lets this one through` });
    }
    this.notice(check, `accepted: ${message}`);
  }

  notice(check: Notice['check'], message: string): void {
    this.#notices.push({ check, message });
  }
}

/** A certificate in an error or notice: subject and serial, as the certificate has them. */
export function describeCertificate(certificate: Certificate): string {
  return describe(formatName(certificate.subject).trim(), certificate.serialNumber);
}

/** A record in an error or notice: subject and serial, as the list has them. */
export function describeRecord(record: TrustListRecord): string {
  return describe(record.subjectName ?? 'a record without a certificate', record.serialNumber ?? new Uint8Array());
}

function describe(name: string, serialNumber: Uint8Array): string {
  return `${printable(name)} (serial ${formatHex(serialNumber, ':').toUpperCase()})`;
}

/** Says that a certificate is not valid yet, or no longer. */
export function noticeDates(
  checks: Checks,
  word: 'expired-signer' | 'expired-token',
  certificate: Certificate,
  now: Date,
): void {
  if (isValidAt(certificate, now)) return;
  const [from, to] = [certificate.notBefore, certificate.notAfter].map((date) => date.toISOString());
  checks.notice(word, `${describeCertificate(certificate)} is valid only from ${String(from)} to ${String(to)}`);
}

/** The signers of a list, for a hint. */
export function describeSigners(list: TrustList): string {
  const signers = list.records.filter((record) => record.function === recordFunction.sast).map(describeRecord);
  return signers.length === 0 ? 'nobody (the list has no function-0 record)' : signers.join(', ');
}
