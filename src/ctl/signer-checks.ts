import { equalBytes } from '../bytes/index.js';
import { isAtLeast, type Cluster } from '../cluster/index.js';
import { RefusalError } from '../errors.js';
import { recordFunction, trustListKind, verifyTrustList, type TrustList } from '../trust-list/index.js';
import type { Certificate } from '../x509/index.js';
import { isOwnSigner } from './arrangement.js';
import { describeCertificate, describeRecord, describeSigners, noticeDates, type Checks } from './checks.js';
import { holdsCertificate, isSignerOf, isTokenRecord, presentSpelling } from './present.js';
import { clusterSpelling } from './spelling.js';
import { clusterSigners, tokenlessSigner } from './wanted.js';

/**
 * What every flow asks of the list that it starts from: it is a CTL, and it verifies. No phone holds one that does not
 * (A9), and whoever changed it may have put a signer of his own into it.
 *
 * @throws RefusalError `wrong-mode` for an ITL, `A9`.
 */
export function checkPresent(checks: Checks, present: TrustList): void {
  if (trustListKind(present.header.fileName) === 'ITL') {
    throw new RefusalError('wrong-mode', 'the file calls itself an ITL, and this makes CTLs', {
      hint: 'give the CTL file, e.g. CTLFile.tlv',
    });
  }
  const verification = verifyTrustList(present);
  if (verification.verified) return;
  checks.refuse(
    'A9',
    `the present list does not verify (${verification.reason}); phones do not hold it`,
    'start from the file that the TFTP servers give to phones, or from a backup that verifies',
  );
}

/** A2: a list is changed only by a token (or key) that is in it. */
export function checkSignerPresent(checks: Checks, present: TrustList, signer: Certificate): void {
  if (isSignerOf(present, signer)) return;
  checks.refuse(
    'A2',
    `${describeCertificate(signer)} is not in the present list, so phones do not know it as a signer`,
    `sign with one of: ${describeSigners(present)}`,
  );
}

/** A8: clusters before 10.0 have no tokenless lists, and their CTL client finds no token in one. */
export function checkTokenlessAllowed(checks: Checks, cluster: Cluster): void {
  if (isAtLeast(cluster.release, '10.0')) return;
  checks.refuse(
    'A8',
    `tokenless lists begin with 10.0, and the cluster file says release ${cluster.release.text}; its CTL client could not change the list`,
    'build a token list, or correct the release in the cluster file',
  );
}

/**
 * A9: a tokenless list is signed by the certificate that clusters sign it with, or by one that phones know as its
 * signer already.
 */
export function checkClusterSigner(checks: Checks, cluster: Cluster, signer: Certificate, present?: TrustList): void {
  const { name, certificate } = tokenlessSigner(cluster);
  if (equalBytes(certificate.der, signer.der) || (present !== undefined && isSignerOf(present, signer))) return;
  checks.refuse(
    'A9',
    `${describeCertificate(signer)} is not the certificate that signs this cluster's tokenless lists`,
    `sign with the key of the publisher's ${name}, ${describeCertificate(certificate)}`,
  );
}

/** A4: after the change from tokens, phones find the new signer in the CTL with function 2 only. */
export function noticeTokensToTokenless(checks: Checks, present: TrustList, signer: Certificate): void {
  if (isSignerOf(present, signer)) return;
  const isServer = present.records.some((record) => holdsCertificate(record, signer));
  const spelled = hasOtherSpelling(present, signer)
    ? '; the list repeats its issuer and serial as the present one spells them, not as the cluster does: the ITL and TVS compare bytes and would not find it'
    : '';
  checks.notice(
    'A4',
    `${describeCertificate(signer)} ${isServer ? 'is in the present list as a server, not as a signer' : 'is not in the present list'}: ${unknownSigner}${spelled}`,
  );
}

/** Whether a list has a certificate under another issuer or serial than an ITL has, and TVS is asked with. */
function hasOtherSpelling(present: TrustList, certificate: Certificate): boolean {
  const spelling = presentSpelling(present, certificate);
  const own = clusterSpelling(certificate);
  return (
    spelling !== undefined &&
    !(equalBytes(spelling.issuerName, own.issuerName) && equalBytes(spelling.serialNumber, own.serialNumber))
  );
}

/** What rules P4, P5 and P11 make of a signer that is not in the CTL. */
const unknownSigner =
  'phones must find it as a signer in their ITL, or TVS must vouch for it; phones without Security by Default need their CTL deleted by hand';

/** A6 and A7: what a renewed certificate, or the change to the ITLRecovery key with 12.0, means for phones. */
export function checkTokenlessSigner(checks: Checks, present: TrustList, cluster: Cluster, signer: Certificate): void {
  if (isSignerOf(present, signer)) return;
  const signers = clusterSigners(cluster);
  const known = signers.find((certificate) => isSignerOf(present, certificate));
  const message = `the present list does not know ${describeCertificate(signer)} as a signer`;
  if (signers.length > 1 && known === undefined) {
    checks.refuse(
      'A7',
      `${message}, nor any other signer of the cluster: CallManager and ITLRecovery were both renewed, phones will reject the list`,
      'restore one of the two certificates, or plan to delete the CTL on every phone by hand',
    );
    return;
  }
  const instead =
    known === undefined
      ? ''
      : `; a list signed with ${describeCertificate(known)}, which phones know, would make them know it first`;
  checks.notice('A6', `${message}: ${unknownSigner}${instead}`);
}

/** An expired signer signs all the same: phones do not look at dates, but clusters complain. */
export function noticeExpiredSigner(checks: Checks, signer: Certificate, now: Date): void {
  noticeDates(checks, 'expired-signer', signer, now);
}

/** Signers that stay in a tokenless list though neither a token nor the cluster file stands for them. */
export function noticeOtherSigners(checks: Checks, present: TrustList, cluster: Cluster): void {
  for (const record of present.records) {
    if (record.function !== recordFunction.sast || isTokenRecord(record, present)) continue;
    if (isOwnSigner(record, present, cluster)) continue;
    checks.notice(
      'other-signer',
      `${describeRecord(record)} stays in the list as a signer; the cluster file does not name it`,
    );
  }
}
