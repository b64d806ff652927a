import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { concatBytes, encodeNumber, parseHex } from '../../src/bytes/index.js';
import { createSoftwareSigner, type Signer } from '../../src/signer/index.js';
import { encodeText } from '../../src/tlv/index.js';
import {
  recordFunction,
  recordTag,
  signTrustList,
  type RecordDraft,
  type TrustList,
} from '../../src/trust-list/index.js';
import { generateRsaKey, issueCertificate } from '../../src/x509/index.js';

/** One record as a real cluster printed it. Lengths are of values, in bytes. */
export interface KnownRecord {
  readonly recordLength: number;
  readonly dnsNameLength: number;
  readonly subjectName: string;
  readonly subjectNameLength: number;
  readonly function: string;
  readonly issuerName: string;
  readonly issuerNameLength: number;
  readonly serialNumber: string;
  readonly publicKeyLength: number;
  readonly signatureLength: number | null;
  readonly certificateLength: number | null;
  readonly certificateHash: string | null;
  readonly ipAddress: boolean;
  readonly usedToSign: boolean | null;
}

/** A trust list that a real cluster printed (test/vectors/trust-lists.json). */
export interface KnownList {
  readonly id: string;
  readonly kind: 'CTL' | 'ITL';
  readonly length: number;
  readonly header: {
    readonly headerLength: number;
    readonly signerName: string;
    readonly serialNumber: string;
    readonly caName: string;
    readonly signatureLength: number;
    readonly signerIdValue: number;
    readonly paddingBytes: number;
  };
  readonly records: readonly KnownRecord[];
}

const facts = JSON.parse(readFileSync(new URL('../vectors/trust-lists.json', import.meta.url), 'utf8')) as {
  files: KnownList[];
};

/**
 * The technote prints the recovery certificate's name three characters longer than the length it prints beside it, in
 * five rows that agree with RECORDLENGTH and SIGNERID. The lengths are right; the name was edited, and is cut to fit.
 */
function asLongAsPrinted(name: string): string {
  return name.replace('CN=ITLRECOVERY_test10pub.', 'CN=ITLRECOVERY_test10.');
}

export const knownLists: readonly KnownList[] = facts.files.map((list) => ({
  ...list,
  header: {
    ...list.header,
    signerName: asLongAsPrinted(list.header.signerName),
    caName: asLongAsPrinted(list.header.caName),
  },
  records: list.records.map((record) => ({
    ...record,
    subjectName: asLongAsPrinted(record.subjectName),
    issuerName: asLongAsPrinted(record.issuerName),
  })),
}));

const functions: Readonly<Record<string, number>> = {
  'System Administrator Security Token': recordFunction.sast,
  'CCM+TFTP': recordFunction.ccmTftp,
  TFTP: recordFunction.tftp,
  CAPF: recordFunction.capf,
  TVS: recordFunction.tvs,
};

const signers = new Map<number, Promise<Signer>>();

/** A software signer with a key of so many bits, made once. */
export function signerOf(bits: number): Promise<Signer> {
  const made = signers.get(bits) ?? makeSigner(bits);
  signers.set(bits, made);
  return made;
}

async function makeSigner(bits: number): Promise<Signer> {
  const key = await generateRsaKey(bits);
  const subject = [{ type: 'CN', value: `signer of ${bits} bits` }];
  const request = {
    subject,
    publicKey: key,
    serialNumber: Uint8Array.of(1, 2, 3),
    notBefore: new Date('2020-01-01T00:00:00Z'),
    notAfter: new Date('2040-01-01T00:00:00Z'),
  };
  return createSoftwareSigner(await issueCertificate(request, { name: subject, key }), key);
}

/** A DNSNAME value of a given length, as the writer of such a list fills it. */
function dnsName(list: KnownList, length: number): Uint8Array {
  if (list.kind === 'ITL') return Uint8Array.of(0x20, 0);
  if (length === 1) return encodeText('');
  const names = ['cucm-1051-a-pub', 'cucm-1051-a-sub1', '10.48.47.153'];
  const name = names.find((candidate) => candidate.length === length - 1);
  if (name === undefined) throw new Error(`no name of ${length} bytes`);
  return encodeText(name);
}

function recordDraft(list: KnownList, record: KnownRecord, publicKey: Uint8Array): RecordDraft {
  const certificate =
    record.certificateLength === null
      ? [
          { tag: recordTag.certificateHash, value: parseHex(record.certificateHash ?? '')! },
          { tag: recordTag.hashAlgorithm, value: Uint8Array.of(1) },
        ]
      : [{ tag: recordTag.certificate, value: new Uint8Array(randomBytes(record.certificateLength)) }];
  return [
    { tag: recordTag.dnsName, value: dnsName(list, record.dnsNameLength) },
    { tag: recordTag.subjectName, value: encodeText(record.subjectName) },
    { tag: recordTag.function, value: encodeNumber(functions[record.function]!, 2) },
    { tag: recordTag.issuerName, value: encodeText(record.issuerName) },
    { tag: recordTag.serialNumber, value: parseHex(record.serialNumber)! },
    { tag: recordTag.publicKey, value: publicKey },
    ...(record.signatureLength === null
      ? []
      : [{ tag: recordTag.signature, value: new Uint8Array(randomBytes(record.signatureLength)) }]),
    ...certificate,
    ...(record.ipAddress ? [{ tag: recordTag.ipAddress, value: Uint8Array.of(10, 48, 47, 153) }] : []),
  ];
}

/** Rebuilds a known list: names, serials and lengths as printed, certificates of random bytes, a fresh key. */
export async function rebuildKnownList(list: KnownList): Promise<TrustList> {
  const signer = await signerOf(list.header.signatureLength * 8);
  const records = list.records.map((record) => {
    const isSigner = record.serialNumber === list.header.serialNumber;
    const filler = concatBytes(Uint8Array.of(0x30), new Uint8Array(randomBytes(record.publicKeyLength - 1)));
    return recordDraft(list, record, isSigner ? signer.certificate.publicKey : filler);
  });
  return signTrustList(
    {
      version: { major: 1, minor: 2 },
      digestAlgorithm: 'sha1',
      fileName: encodeText(`${list.kind}File.tlv`),
      timestamp: 1_425_675_367,
      records,
      signingRecord: list.records.findIndex((record) => record.usedToSign === true),
    },
    signer,
  );
}
