import { decodeNumber } from '../bytes/index.js';
import { ProofError } from '../errors.js';
import { headerTag } from '../signed-file/index.js';
import type { Signer } from '../signer/index.js';
import { encodeText, findElement } from '../tlv/index.js';
import {
  draftOfRecord,
  recordFunction,
  recordTag,
  signingRecords,
  signTrustList,
  type RecordDraft,
  type TrustList,
} from '../trust-list/index.js';
import type { ResetOptions } from './reset.js';

/** Whose records are emptied for a rollback; signers and CAPF stay whole. */
const emptiedFunctions: readonly number[] = [recordFunction.ccmTftp, recordFunction.tftp, recordFunction.tvs];

/**
 * The list that a cluster serves before a rollback: its TFTP and TVS records hold no certificate, so that a phone
 * without a CTL takes any list afterwards (rule P6). The signer stays.
 *
 * @param present the ITL that is there; names, serials and the order of records are kept.
 * @param signer holds the key of its signing record.
 * @throws ProofError `no-signing-record`, `key-mismatch`; what the signer throws.
 */
export async function emptyItl(present: TrustList, signer: Signer, options: ResetOptions): Promise<TrustList> {
  const [signing] = signingRecords(present);
  if (signing === undefined) {
    throw new ProofError('no-signing-record', 'no function-0 record of this ITL is that of its signer', {
      hint: 'take the ITL that the cluster serves',
    });
  }
  const { header } = present;
  return signTrustList(
    {
      version: header.version,
      ...(header.signerVersion === undefined ? {} : { signerVersion: header.signerVersion }),
      signatureAlgorithm: header.signatureAlgorithm,
      digestAlgorithm: options.digestAlgorithm ?? header.digestAlgorithm,
      fileName: findElement(header.elements, headerTag.fileName)?.value ?? encodeText('ITLFile.tlv'),
      timestamp: options.timestamp,
      records: present.records.map(draftOfRecord).map(emptyRecord),
      signingRecord: present.records.indexOf(signing),
    },
    signer,
  );
}

function emptyRecord(record: RecordDraft): RecordDraft {
  const role = decodeNumber(record.find(({ tag }) => tag === recordTag.function)?.value ?? new Uint8Array());
  const kept: readonly number[] = [recordTag.dnsName, recordTag.function];
  return emptiedFunctions.includes(role) ? record.filter(({ tag }) => kept.includes(tag)) : record;
}
