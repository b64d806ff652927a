import { headerElements } from '../signed-file/index.js';
import type { DigestAlgorithm } from '../signer/index.js';
import type { Element } from '../tlv/index.js';
import { recordFunction, recordTag, type RecordDraft, type TrustList } from '../trust-list/index.js';
import type { Checks } from './checks.js';
import { emptiedFunctions, functionOf, valueOf } from './layout.js';

/** P12: configuration files are signed by a server with function 2 or 3, of which phones need the key. */
export function noticeFileSigners(checks: Checks, records: readonly RecordDraft[]): void {
  const signsFiles: readonly number[] = [recordFunction.ccmTftp, recordFunction.tftp];
  if (records.some((record) => signsFiles.includes(functionOf(record)) && hasCertificate(record))) return;
  if (records.some((record) => emptiedFunctions.includes(functionOf(record)) && !hasCertificate(record))) {
    checks.notice(
      'emptied',
      'the servers of the list are emptied: phones take the signers of configuration files from their ITL or from TVS; phones without Security by Default have no one left who may sign them',
    );
    return;
  }
  checks.notice(
    'no-tftp',
    'no server of the list may sign configuration files (CCM+TFTP or TFTP): phones must find the TFTP server in their ITL, or TVS must vouch for it',
  );
}

function hasCertificate(record: RecordDraft): boolean {
  return [recordTag.certificate, recordTag.certificateHash].some((tag) => valueOf(record, tag) !== undefined);
}

/** Phones are known to take SHA-1 and SHA-512 (trust-list-format.md, Header). */
export function noticeDigest(checks: Checks, digestAlgorithm: DigestAlgorithm): void {
  if (digestAlgorithm !== 'sha256') return;
  checks.notice('sha256', 'the list is signed over SHA-256; phones are known to take SHA-1 and SHA-512 only');
}

/**
 * The header is written anew: what nobody knows the meaning of cannot be signed on. SIGNATUREALGORITHM is kept
 * as it is (trust-list-format.md, Header). VERSION needs no word: a list with another than 1.2 is not read.
 */
export function noticeHeader(checks: Checks, present: TrustList | undefined): void {
  if (present === undefined) return;
  const { elements, signatureAlgorithm } = present.header;
  for (const tag of new Set(tagsOf(elements))) {
    if (headerElements.has(tag)) continue;
    checks.notice('header-element', `the header of the present list has an element ${tag}, which the new header lacks`);
  }
  if (signatureAlgorithm !== 0) {
    checks.notice(
      'header-element',
      `the header keeps SIGNATUREALGORITHM ${signatureAlgorithm} of the present list; the signature is RSA PKCS#1 v1.5, whose number is 0`,
    );
  }
}

function tagsOf(elements: readonly Element[]): number[] {
  return elements.flatMap(({ tag, children }) => [tag, ...tagsOf(children ?? [])]);
}
