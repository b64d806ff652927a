import { encodeNumber, equalBytes } from '../bytes/index.js';
import { clusterIdentity } from '../signed-file/index.js';
import { elementName } from '../tlv/index.js';
import { recordElements, recordFunction, recordHolds, recordTag, type TrustListRecord } from '../trust-list/index.js';
import type { Certificate } from '../x509/index.js';

/** A record that an ITL is to have: a certificate, and FUNCTION, numbered as `recordFunction` names them. */
export interface ExpectedRecord {
  readonly certificate: Certificate;
  readonly role: number;
}

/** What the certificate says nothing of: where the record ends, and which node it is. Nobody is trusted by these. */
const ownTags: readonly number[] = [recordTag.recordLength, recordTag.dnsName, recordTag.ipAddress];

const proofTags: readonly number[] = [recordTag.certificate, recordTag.certificateHash];

/** Which records an emptied list has without a certificate (rule P6). */
const emptiedFunctions: readonly number[] = [recordFunction.ccmTftp, recordFunction.tftp, recordFunction.tvs];

/**
 * How a record differs from what the cluster would write. Its certificate is not all that counts: phones look the
 * signer up by ISSUERNAME and SERIALNUMBER, verify with PUBLICKEY, and trust as FUNCTION says.
 *
 * @param expected what the list may hold.
 * @returns the element that is another, such as `PUBLICKEY`; `CERTIFICATE` when it is none of these certificates;
 *   undefined when nothing differs.
 */
export function recordDifference(record: TrustListRecord, expected: readonly ExpectedRecord[]): string | undefined {
  const candidates = expected.filter(({ certificate }) => recordHolds(record, certificate.der));
  const [first] = candidates;
  if (first === undefined) return nameOf(recordTag.certificate);
  const same = candidates.find(({ role }) => role === record.function);
  return same === undefined ? nameOf(recordTag.function) : firstDifference(record, same);
}

/** Whether a record is one that was emptied for a rollback: a function, and nothing that a phone could trust. */
export function isEmptiedRecord({ elements, function: role }: TrustListRecord): boolean {
  const kept: readonly number[] = [...ownTags, recordTag.function];
  return emptiedFunctions.includes(role) && elements.every(({ tag }) => kept.includes(tag));
}

function firstDifference({ elements }: TrustListRecord, { certificate, role }: ExpectedRecord): string | undefined {
  const { signerName, issuerName, serialNumber } = clusterIdentity(certificate);
  const wanted: readonly { readonly tag: number; readonly value: Uint8Array }[] = [
    { tag: recordTag.subjectName, value: signerName },
    { tag: recordTag.function, value: encodeNumber(role, 2) },
    { tag: recordTag.issuerName, value: issuerName },
    { tag: recordTag.serialNumber, value: serialNumber },
    { tag: recordTag.publicKey, value: certificate.publicKey },
    { tag: recordTag.signature, value: certificate.signature },
  ];
  // Each once: which of two a phone goes by is not known.
  for (const { tag, value } of wanted) {
    const [found, ...others] = elements.filter((element) => element.tag === tag);
    if (found === undefined || others.length > 0 || !equalBytes(found.value, value)) return nameOf(tag);
  }
  if (elements.filter(({ tag }) => proofTags.includes(tag)).length !== 1) return nameOf(recordTag.certificate);
  const known = [...ownTags, ...proofTags, recordTag.hashAlgorithm, ...wanted.map(({ tag }) => tag)];
  const other = elements.find(({ tag }) => !known.includes(tag));
  return other === undefined ? undefined : nameOf(other.tag);
}

function nameOf(tag: number): string {
  return elementName(tag, recordElements);
}
