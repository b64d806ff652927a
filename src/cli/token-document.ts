import { createHash } from 'node:crypto';
import { formatHex } from '../bytes/index.js';
import { DeviceError, type EtokenBridgeError } from '../errors.js';
import { tokenFlagNames, type ListedCertificate, type TokenInfo, type TokenKey } from '../token/index.js';
import { formatName, isSastName } from '../x509/index.js';

/** A token as scripts get it: what is in its slot, not what is on it. Keys are never left out; unknown is null. */
export function describeToken(token: TokenInfo): object {
  return {
    label: token.label,
    serialNumber: token.serialNumber,
    manufacturer: token.manufacturer,
    model: token.model,
    firmware: token.firmware,
    hardware: token.hardware,
    slotId: token.slotId,
    slotDescription: token.slotDescription,
    slotManufacturer: token.slotManufacturer,
    modulePath: token.modulePath,
    library: token.library,
    initialised: token.initialised,
    pin: token.pin,
    minPinLength: token.minPinLength ?? null,
    maxPinLength: token.maxPinLength ?? null,
    loginRequired: token.loginRequired,
    protectedAuthenticationPath: token.protectedAuthenticationPath,
    writeProtected: token.writeProtected,
    flags: token.flags,
    flagNames: tokenFlagNames(token.flags),
    uri: token.uri,
  };
}

/** The same with the keys and certificates that can be seen without a PIN. */
export function describeTokenWithContents(token: TokenInfo): object {
  return {
    ...describeToken(token),
    keys: token.keys.map(describeKey),
    certificates: token.certificates.map(describeTokenCertificate),
  };
}

function describeKey({ bits, type, id, label, alwaysAuthenticates, fingerprint }: TokenKey): object {
  return {
    bits,
    type,
    id: formatHex(id),
    label,
    alwaysAuthenticates: alwaysAuthenticates ?? null,
    fingerprint: fingerprint === undefined ? null : formatHex(fingerprint),
  };
}

/** A certificate on a token. */
export function describeTokenCertificate({ certificate, id, label }: ListedCertificate): object {
  const digest = (name: 'sha1' | 'sha256', bytes: Uint8Array): string => createHash(name).update(bytes).digest('hex');
  return {
    subject: formatName(certificate.subject),
    issuer: formatName(certificate.issuer),
    serialNumber: formatHex(certificate.serialNumber),
    notBefore: certificate.notBefore.toISOString(),
    notAfter: certificate.notAfter.toISOString(),
    keyType: certificate.keyType,
    keyBits: certificate.keyBits,
    sha1: digest('sha1', certificate.der),
    sha256: digest('sha256', certificate.der),
    keyFingerprint: digest('sha256', certificate.publicKeyInfo),
    isSast: isSastName(certificate.subject),
    id: formatHex(id),
    label,
  };
}

/** What names a token beside something else. */
export function describeTokenReference({ label, serialNumber, uri }: TokenInfo): object {
  return { label, serialNumber, uri };
}

/** Why a module, or a slot of it, could not be asked: with the path of the module, once. */
export function formatFailure(modulePath: string, { message }: EtokenBridgeError): string {
  return message.includes(modulePath) ? message : `${modulePath}: ${message}`;
}

/** Why a module, a slot of it or a token failed. */
export function describeFailure(error: EtokenBridgeError): object {
  const { code, message, hint } = error;
  const { functionName, returnValue } = error instanceof DeviceError ? error : {};
  return { code, message, hint: hint ?? null, function: functionName ?? null, returnValue: returnValue ?? null };
}
