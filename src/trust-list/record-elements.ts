import { elementTable, type ElementTable } from '../tlv/index.js';

/** The tags of a record (trust-list-format.md, Records). */
export const recordTag = {
  recordLength: 1,
  dnsName: 2,
  subjectName: 3,
  function: 4,
  issuerName: 5,
  serialNumber: 6,
  publicKey: 7,
  signature: 8,
  certificate: 9,
  ipAddress: 10,
  certificateHash: 11,
  hashAlgorithm: 12,
} as const;

/** The elements of a record, with the names that clusters print. */
export const recordElements: ElementTable = elementTable([
  { tag: recordTag.recordLength, name: 'RECORDLENGTH', kind: 'number', lengths: [2] },
  { tag: recordTag.dnsName, name: 'DNSNAME', kind: 'text' },
  { tag: recordTag.subjectName, name: 'SUBJECTNAME', kind: 'text' },
  { tag: recordTag.function, name: 'FUNCTION', kind: 'number', lengths: [2] },
  { tag: recordTag.issuerName, name: 'ISSUERNAME', kind: 'text' },
  { tag: recordTag.serialNumber, name: 'SERIALNUMBER', kind: 'plain' },
  { tag: recordTag.publicKey, name: 'PUBLICKEY', kind: 'plain' },
  { tag: recordTag.signature, name: 'SIGNATURE', kind: 'plain' },
  { tag: recordTag.certificate, name: 'CERTIFICATE', kind: 'plain' },
  { tag: recordTag.ipAddress, name: 'IPADDRESS', kind: 'plain', lengths: [4, 16] },
  { tag: recordTag.certificateHash, name: 'CERTHASH', kind: 'plain', lengths: [20, 32, 64] },
  { tag: recordTag.hashAlgorithm, name: 'HASH ALGORITHM', kind: 'number', lengths: [1] },
]);

/** What FUNCTION says (trust-list-format.md, Functions). */
export const recordFunction = {
  sast: 0,
  ccm: 1,
  ccmTftp: 2,
  tftp: 3,
  capf: 4,
  tvs: 21,
} as const;

/** FUNCTION in the words that clusters print, and in the words of their list of roles for the rest. */
const functionWords: ReadonlyMap<number, string> = new Map([
  [0, 'System Administrator Security Token'],
  [1, 'CCM'],
  [2, 'CCM+TFTP'],
  [3, 'TFTP'],
  [4, 'CAPF'],
  [5, 'SRST'],
  [6, 'Firewall'],
  [7, 'Application Server'],
  [20, 'Certificate Authority'],
  [21, 'TVS'],
  [22, 'Signalling and Call Control'],
  [23, 'Provisioning'],
  [24, 'Data Service'],
  [25, 'Network Element'],
  [26, 'VPN'],
  [27, 'Serviceability'],
  [255, 'Unknown'],
]);

/** FUNCTION in words; a number without a word is given as the number. */
export function formatFunction(value: number): string {
  return functionWords.get(value) ?? String(value);
}
