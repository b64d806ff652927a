import { commonName, formatCertificatePem, formatSerialNumber, isSastName, type Certificate } from '../x509/index.js';
import { openChosenToken, wantedUri, type TokenAccess, type WantedToken } from './module-hosts.js';
import { takeSurvey, type SurveyedToken } from './inventory.js';
import { certificatesOf, keyOfCertificate, privateKeysOf, type TokenCertificate } from './key-matching.js';
import type { TokenObjects } from './host-protocol.js';
import type { TokenInfo } from './token-info.js';
import { unlockToken, type PinRequest } from './unlock.js';

export interface SastCertificateOptions extends TokenAccess, Pick<WantedToken, 'uri' | 'tokenLabel' | 'tokenSerial'> {
  /** Logs in to each token, so that private keys can be seen. Without it no PIN is tried. */
  readonly pin?: PinRequest;
  /** Try the PIN even when it is the last try before the PIN locks. */
  readonly useFinalPinTry?: boolean;
}

/** A certificate on a token that can sign trust lists. */
export interface SastCertificate {
  readonly token: TokenInfo;
  readonly certificate: Certificate;
  readonly label: string;
  /** CKA_ID of the certificate. */
  readonly id: Uint8Array;
  /** `unknown` when private keys can only be seen with the PIN, and none was given. */
  readonly hasPrivateKey: boolean | 'unknown';
}

/** A certificate as a file, ready to be written. */
export interface ExportedCertificate {
  /** `<common name>.cer` without the blanks at the name's end, safe on every system, and each name once. */
  readonly fileName: string;
  readonly bytes: Uint8Array;
  readonly certificate: Certificate;
  readonly token: TokenInfo;
}

/** See `listSastCertificates`. */
export async function findSastCertificates(options: SastCertificateOptions): Promise<readonly SastCertificate[]> {
  const uri = wantedUri(options);
  const { found, failure } = await takeSurvey({ ...options, uri });
  if (failure !== undefined) throw failure;
  const listed: SastCertificate[] = [];
  for (const one of found) {
    const unlocked = options.pin !== undefined && one.token.loginRequired;
    // A token that is left out because it failed would be missed only when a phone does not trust it.
    if (!unlocked && one.failure !== undefined) throw one.failure;
    const objects = unlocked ? await readPrivateObjects(one, options, options.pin) : one.objects;
    listed.push(...sastCertificatesOf(one.token, objects, unlocked || !one.token.loginRequired));
  }
  return listed;
}

/** Certificates as files, each with a name of its own. */
export function certificateFiles(
  certificates: readonly SastCertificate[],
  format: 'der' | 'pem',
): readonly ExportedCertificate[] {
  const taken = new Set<string>();
  return certificates.map(({ certificate, token }) => ({
    fileName: freeName(fileStem(certificate), taken),
    bytes: format === 'der' ? certificate.der : new TextEncoder().encode(formatCertificatePem(certificate)),
    certificate,
    token,
  }));
}

async function readPrivateObjects(
  { token }: SurveyedToken,
  options: SastCertificateOptions,
  pin: PinRequest,
): Promise<TokenObjects> {
  const { modulePath, label, serialNumber, slotId } = token;
  const wanted = { token: label, modulePath, ...(serialNumber === '' ? { slotId } : { serial: serialNumber }) };
  const chosen = await openChosenToken({ ...options, modulePath }, wanted);
  try {
    const useFinalPinTry = options.useFinalPinTry === true;
    const { objects } = await unlockToken(chosen, { pin, useFinalPinTry });
    return objects;
  } finally {
    await chosen.opened.host.close();
  }
}

/** Which certificates of a token count. @param allVisible whether private keys would be seen if there were any. */
export function sastCertificatesOf(
  token: TokenInfo,
  objects: TokenObjects,
  allVisible: boolean,
): readonly SastCertificate[] {
  const privateKeys = privateKeysOf(objects);
  const publicKeys = objects.keys.filter(({ kind }) => kind === 'public');
  return certificatesOf(objects).flatMap((found: TokenCertificate) => {
    const { certificate, label, id } = found;
    const key = keyOfCertificate(found, privateKeys);
    const hasPrivateKey = key !== undefined ? true : allVisible ? false : 'unknown';
    // Behind the PIN, a public key beside the certificate is what tells an own certificate from an authority's.
    const likely = hasPrivateKey === 'unknown' && keyOfCertificate(found, publicKeys)?.usable === true;
    const canSign = key !== undefined && key.usable !== false;
    return isSastName(certificate.subject) || canSign || likely
      ? [{ token, certificate, label, id, hasPrivateKey }]
      : [];
  });
}

/** Names that Windows keeps for devices. */
const reservedNames = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i;
const longestStem = 100;

/** The common name as a file name; the serial number where there is none. */
function fileStem(certificate: Certificate): string {
  const name = (commonName(certificate.subject) ?? '').trim();
  const safe = name
    .replaceAll(/[\\/:*?"<>|\x00-\x1f\x7f-\x9f\u2028\u2029]/g, '_')
    .replace(/^\.+/, '_')
    .slice(0, longestStem)
    .replace(/[. ]+$/, '');
  if (safe === '' || reservedNames.test(safe)) return `certificate-${formatSerialNumber(certificate.serialNumber)}`;
  return safe;
}

/** Names that differ only in case are the same file on Windows and macOS. */
function freeName(stem: string, taken: Set<string>): string {
  let name = `${stem}.cer`;
  for (let count = 2; taken.has(name.toLowerCase()); count += 1) name = `${stem}-${count}.cer`;
  taken.add(name.toLowerCase());
  return name;
}
