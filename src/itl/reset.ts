import { equalBytes } from '../bytes/index.js';
import { ProofError } from '../errors.js';
import { headerTag } from '../signed-file/index.js';
import type { DigestAlgorithm, Signer } from '../signer/index.js';
import { encodeText, findElement } from '../tlv/index.js';
import {
  draftOfRecord,
  recordFunction,
  recordHolds,
  signTrustList,
  type TrustList,
  type TrustListRecord,
} from '../trust-list/index.js';
import { formatName } from '../x509/index.js';

/** How a list is signed anew. */
export interface ResetOptions {
  /** Seconds since 1970-01-01 UTC. */
  readonly timestamp: number;
  /** Digest of the signature: that of the present list unless given. */
  readonly digestAlgorithm?: DigestAlgorithm;
}

/**
 * The same ITL with another signer, as `utils itl reset` makes it: the signature is cut, and the same records in the
 * same bytes are signed with the recovery key. Phones take it because the ITL that they hold has the ITLRecovery
 * certificate with function 0 (rules P4 and P5).
 *
 * Whether the present signature is right is not asked: a list whose signer lost its key is one that needs this.
 *
 * @param present the publisher's ITL; names, serials, the order of records, FILENAME and the versions are kept.
 * @param recovery holds the key of one of its function-0 records.
 * @throws ProofError `no-signing-record` when no function-0 record has the signer's certificate: phones could not find
 *   it; `key-mismatch` when a record has its name and serial with another key; what the signer throws.
 */
export async function resetItl(present: TrustList, recovery: Signer, options: ResetOptions): Promise<TrustList> {
  const { header } = present;
  return signTrustList(
    {
      version: header.version,
      ...(header.signerVersion === undefined ? {} : { signerVersion: header.signerVersion }),
      digestAlgorithm: options.digestAlgorithm ?? header.digestAlgorithm,
      signatureAlgorithm: header.signatureAlgorithm,
      fileName: findElement(header.elements, headerTag.fileName)?.value ?? encodeText('ITLFile.tlv'),
      timestamp: options.timestamp,
      records: present.records.map(draftOfRecord),
      signingRecord: present.records.indexOf(recordOf(present, recovery)),
    },
    recovery,
  );
}

/** The function-0 record of a signer's certificate. */
function recordOf({ records }: TrustList, { certificate }: Signer): TrustListRecord {
  const signers = records.filter((record) => record.function === recordFunction.sast);
  const found = signers.find((record) => recordHolds(record, certificate.der));
  if (found !== undefined) return found;
  const name = formatName(certificate.subject);
  const isSameKey = ({ publicKey }: TrustListRecord): boolean =>
    publicKey !== undefined && equalBytes(publicKey, certificate.publicKey);
  throw signers.some(isSameKey)
    ? new ProofError('key-mismatch', `the ITL has another certificate of the key of ${name}`, {
        hint: 'take the certificate that stands in the ITL: phones look the signer up by its issuer and serial',
      })
    : new ProofError('no-signing-record', `the ITL has no function-0 record of ${name}`, {
        hint: 'phones would not find the signer: take an ITL that has this record, or the key of a signer that is in it',
      });
}
