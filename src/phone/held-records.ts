import { equalBytes, formatHex, printable } from '../bytes/index.js';
import { FormatError } from '../errors.js';
import { headerTag, verifySignature, type SignedHeader } from '../signed-file/index.js';
import {
  recordFunction,
  recordHolds,
  recordTag,
  verifyTrustList,
  type TrustList,
  type TrustListRecord,
  type Verification,
} from '../trust-list/index.js';
import { importPublicKey } from '../x509/index.js';

// Lists are shared by many phones and never change, so what is found out about one is found out once. Everything is
// remembered by object: when nobody holds a list any more, what was known about it goes too.

/** A record of a list, and its number, counted from 1 as `show ctl` counts. */
export interface HeldRecord {
  readonly number: number;
  readonly record: TrustListRecord;
}

/** Who signed a file, as its header says it. */
export interface FileSigner {
  /** Issuer and serial byte for byte, to compare with records of the lists. */
  readonly identity: string;
  /** Serial (upper-case hex) and issuer, as TVS and the TVS cache are asked. */
  readonly cacheKey: string;
  /** For sentences. */
  readonly name: string;
}

type Remembered<Key, Value> = (key: Key) => Value;

function remember<Key extends object, Value>(find: (key: Key) => Value): Remembered<Key, Value> {
  const known = new WeakMap<Key, { readonly value: Value }>();
  return (key) => {
    let entry = known.get(key);
    if (entry === undefined) {
      entry = { value: find(key) };
      known.set(key, entry);
    }
    return entry.value;
  };
}

/** The signer of a file: the (issuer, serial) pair of its header. */
export const signerOf: Remembered<SignedHeader, FileSigner> = remember((header) => {
  const signerId = header.elements.find((element) => element.tag === headerTag.signerId);
  const issuer = signerId?.children?.find((element) => element.tag === headerTag.issuerName);
  return {
    identity: identityOf(issuer?.value ?? new Uint8Array(), header.serialNumber),
    cacheKey: tvsCacheKey(header.serialNumber, header.issuerName),
    name: `${printable(header.signerName)} (serial ${formatHex(header.serialNumber)})`,
  };
});

/** The key of an answer in the TVS cache. */
export function tvsCacheKey(serialNumber: Uint8Array, issuerName: string): string {
  return `${formatHex(serialNumber).toUpperCase()}${issuerName}`;
}

/** Names are compared as bytes: two that are no UTF-8 may look the same as text. */
function identityOf(issuerName: Uint8Array, serialNumber: Uint8Array): string {
  return `${formatHex(issuerName)} ${formatHex(serialNumber)}`;
}

const recordsByIdentity: Remembered<TrustList, ReadonlyMap<string, readonly HeldRecord[]>> = remember((list) => {
  const byIdentity = new Map<string, HeldRecord[]>();
  for (const [index, record] of list.records.entries()) {
    const issuer = record.elements.find((element) => element.tag === recordTag.issuerName);
    if (issuer === undefined || record.serialNumber === undefined) continue;
    const identity = identityOf(issuer.value, record.serialNumber);
    byIdentity.set(identity, [...(byIdentity.get(identity) ?? []), { number: index + 1, record }]);
  }
  return byIdentity;
});

/**
 * The first record of a list that has a signer's issuer and serial, one of the functions, and a key. Only emptied
 * records lack the key: one whose certificate stands as a hash has its PUBLICKEY all the same.
 */
export function findSignerRecord(
  list: TrustList | undefined,
  signer: FileSigner,
  functions: readonly number[],
): HeldRecord | undefined {
  if (list === undefined) return undefined;
  return recordsByIdentity(list)
    .get(signer.identity)
    ?.find(({ record }) => functions.includes(record.function) && record.publicKey !== undefined);
}

/** The records of a list that hold a certificate or its hash: not those that were emptied. */
export const filledRecords: Remembered<TrustList, readonly HeldRecord[]> = remember((list) =>
  list.records.flatMap((record, index) => {
    const isFilled = record.certificate !== undefined || record.certificateHash !== undefined;
    return isFilled ? [{ number: index + 1, record }] : [];
  }),
);

/** Whether a list has a TVS certificate (rule P9). */
export const hasTvsRecord: Remembered<TrustList, boolean> = remember((list) =>
  filledRecords(list).some(({ record }) => record.function === recordFunction.tvs),
);

/** Whether an ITL is empty: no TFTP and no TVS certificate (rule P6). Its function-0 records may be whole. */
export const isEmptyItl: Remembered<TrustList, boolean> = remember((list) => {
  const wanted: readonly number[] = [recordFunction.ccmTftp, recordFunction.tftp, recordFunction.tvs];
  return !filledRecords(list).some(({ record }) => wanted.includes(record.function));
});

/** Whether a list is signed by the key of its own signing record. */
export const ownVerification: Remembered<TrustList, Verification> = remember(verifyTrustList);

const verificationsByKey = remember((list: TrustList): Remembered<Uint8Array, boolean> =>
  remember((publicKey) => {
    const own = ownVerification(list);
    const isOwnKey = own.verified && equalBytes(own.signer.publicKey ?? new Uint8Array(), publicKey);
    return isOwnKey || isSignedWith(list.bytes, list.header, publicKey);
  }),
);

/** Whether a key made the signature of a list, over the bytes that were received. */
export function listVerifiesWith(list: TrustList, publicKey: Uint8Array): boolean {
  return verificationsByKey(list)(publicKey);
}

/** Whether a key made the signature of a file; no key but an RSA key does. */
export function isSignedWith(bytes: Uint8Array, header: SignedHeader, publicKey: Uint8Array): boolean {
  try {
    return verifySignature(bytes, header, importPublicKey(publicKey));
  } catch (error) {
    if (error instanceof FormatError) return false;
    throw error;
  }
}

/** The first record of a list that is a certificate, or has its hash, for a function that is wanted. */
export function findCertificateRecord(
  list: TrustList | undefined,
  certificate: Uint8Array,
  isWanted: (role: number) => boolean,
): HeldRecord | undefined {
  if (list === undefined) return undefined;
  return filledRecords(list).find(({ record }) => isWanted(record.function) && recordHolds(record, certificate));
}
