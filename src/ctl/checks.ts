import { formatHex } from '../bytes/index.js';
import { tokensEnd, type Cluster, type Release } from '../cluster/index.js';
import { RefusalError, type RefusalCode } from '../errors.js';
import { formatName, isValidAt, type Certificate } from '../x509/index.js';
import { recordFunction, type TrustList } from '../trust-list/index.js';
import { holdsCertificate, sastRecordIndex } from './present.js';

/** The checks of phone-rules.md that an administrator may let through, one by one. */
export type AcceptableCheck = Extract<RefusalCode, `A${string}`>;

/** Something that does not stop the flow but must be read before phones get the file. */
export interface Notice {
  /** The number of the check, or a word where the rules have none. */
  readonly check: AcceptableCheck | 'expired-signer';
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

  /** Whether a check is let through. */
  accepts(check: AcceptableCheck): boolean {
    return this.#accepted.has(check);
  }

  /** @throws RefusalError with the check's number unless it is accepted. */
  refuse(check: AcceptableCheck, message: string, hint: string): void {
    if (!this.accepts(check)) {
      throw new RefusalError(check, message, { hint: `${hint}; --accept ${check} lets this one through` });
    }
    this.#notices.push({ check, message: `accepted: ${message}` });
  }

  notice(check: Notice['check'], message: string): void {
    this.#notices.push({ check, message });
  }
}

/** A5: with one token in the list, losing it locks the cluster out. */
export function checkTokenCount(checks: Checks, count: number): void {
  if (count >= 2) return;
  const tokens = count === 1 ? 'one token' : 'no token';
  checks.refuse(
    'A5',
    `the list would hold ${tokens}; if it is lost, no further list can be signed that phones accept`,
    'plug in a second token, or give its certificate with --token-certificate',
  );
}

/** A14: clusters from 14SU3 on know only tokenless lists. */
export function checkTokensAllowed(checks: Checks, release: Release | undefined): void {
  if (release === undefined || !tokensEnd(release)) return;
  checks.refuse(
    'A14',
    `hardware tokens end with 14SU3, and the cluster file says release ${release.text}`,
    'build a tokenless list, or correct the release in the cluster file',
  );
}

/** A2: a list is changed only by a token (or key) that is in it. */
export function checkSignerPresent(checks: Checks, present: TrustList, signer: Certificate): void {
  if (sastRecordIndex(present, signer) >= 0) return;
  checks.refuse(
    'A2',
    `${describeCertificate(signer)} is not in the present list, so phones do not know it as a signer`,
    `sign with one of: ${signersOf(present).join(', ') || 'nobody (the list has no function-0 record)'}`,
  );
}

/** A3: phones with a tokenless list accept a token list only through TVS, which knows Phone-SAST-trust. */
export function checkTokensUploaded(checks: Checks, cluster: Cluster, tokens: readonly Certificate[]): void {
  const uploaded = (cluster.trustStores['Phone-SAST-trust'] ?? []).map((certificate) => formatHex(certificate.der));
  const missing = tokens.filter((token) => !uploaded.includes(formatHex(token.der)));
  if (missing.length === 0) return;
  checks.refuse(
    'A3',
    `not in the cluster file's Phone-SAST-trust: ${missing.map(describeCertificate).join(', ')}; phones would reject the list`,
    'run "token export", upload each certificate to Phone-SAST-trust, and add it to trustStores in the cluster file',
  );
}

/** A4: after the change from tokens, phones find the new signer in the CTL with function 2 only. */
export function noticeTokensToTokenless(checks: Checks, present: TrustList, signer: Certificate): void {
  if (sastRecordIndex(present, signer) >= 0) return;
  const isServer = present.records.some(
    (record) => record.function !== recordFunction.sast && holdsCertificate(record, signer),
  );
  checks.notice(
    'A4',
    `${describeCertificate(signer)} ${isServer ? 'is in the present list as a server, not as a signer' : 'is not in the present list'}: ` +
      'phones must find it in their ITL, or TVS must vouch for it; phones without Security by Default need their CTL deleted by hand',
  );
}

/** A6 and A7: what a renewed certificate means for a tokenless list. */
export function checkTokenlessSigner(
  checks: Checks,
  present: TrustList,
  signer: Certificate,
  signers: readonly Certificate[],
): void {
  if (sastRecordIndex(present, signer) >= 0) return;
  const message = `the present list does not know ${describeCertificate(signer)} as a signer`;
  const known = signers.some((certificate) => sastRecordIndex(present, certificate) >= 0);
  if (signers.length > 1 && !known) {
    checks.refuse(
      'A7',
      `${message}, nor any other signer of the cluster: CallManager and ITLRecovery were both renewed, phones will reject the list`,
      'restore one of the two certificates, or plan to delete the CTL on every phone by hand',
    );
    return;
  }
  checks.notice(
    'A6',
    `${message}: phones accept it only if TVS vouches for it, so TVS must be up with the renewed certificate`,
  );
}

/** An expired signer signs all the same: phones do not look at dates, but clusters complain. */
export function noticeExpiredSigner(checks: Checks, signer: Certificate, now: Date): void {
  if (isValidAt(signer, now)) return;
  const [from, to] = [signer.notBefore, signer.notAfter].map((date) => date.toISOString());
  checks.notice('expired-signer', `${describeCertificate(signer)} is valid only from ${String(from)} to ${String(to)}`);
}

/** A certificate in an error or notice: subject and serial. */
export function describeCertificate(certificate: Certificate): string {
  return `${formatName(certificate.subject).trim()} (serial ${formatHex(certificate.serialNumber).toUpperCase()})`;
}

function signersOf(list: TrustList): string[] {
  return list.records
    .filter((record) => record.function === recordFunction.sast)
    .map(
      (record) =>
        `${record.subjectName ?? ''} (serial ${formatHex(record.serialNumber ?? new Uint8Array()).toUpperCase()})`,
    );
}
