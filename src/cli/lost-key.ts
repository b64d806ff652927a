import type { ProofErrorCode } from '../errors.js';
import { recordFunction, signingRecords, trustListKind, type TrustList } from '../trust-list/index.js';

/**
 * What it means that an ITL does not verify (A9), first in the cluster's words, then in ours. A cluster that was
 * restored from a backup without the CallManager key serves such a list: the certificate came back, its key did not.
 *
 * @returns lines; none for a list that is not an ITL.
 */
export function explainLostKey(list: TrustList, code: ProofErrorCode): readonly string[] {
  if (trustListKind(list.header.fileName) === 'CTL' || code === 'unsupported-key') return [];
  const signing = signingRecords(list);
  const unused = list.records.flatMap((record, index) =>
    record.function === recordFunction.sast && !signing.includes(record) ? [index + 1] : [],
  );
  return [
    ...unused.map((number) => `ITL Record #:${String(number)}: This etoken was not used to sign the ITL file.`),
    'Verification of the ITL file failed.',
    ...(code === 'no-signing-record' ? explainMissingRecord(list) : explainOtherKey(list)),
    'Every phone rejects this list (A9). Phones that hold an ITL with the ITLRecovery certificate take one that',
    '"itl reset localkey" signs, or "itl reset remotekey" where the recovery key was kept elsewhere. A list that may have',
    'been changed is not to be signed again: reset without --itl, and the list is made from the cluster file.',
  ];
}

function explainMissingRecord({ header }: TrustList): readonly string[] {
  return [
    `The list says that ${header.signerName} signed it, and that certificate is no signer in it.`,
    'A cluster that was restored from a backup without the CallManager key makes such a list: it signs with a new key,',
    'and its records still hold the certificate of the old one.',
  ];
}

function explainOtherKey({ header }: TrustList): readonly string[] {
  return [
    `The list has the certificate of ${header.signerName}, and another key signed it, or it was changed afterwards.`,
    'A cluster that was restored from a backup without the CallManager key makes such a list: the certificate came',
    'back, and its private key did not.',
  ];
}
