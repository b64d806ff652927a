// What goes between a process and the child that provisions tokens for it. Sent with advanced serialization, so that
// bytes stay bytes.
import type { DeviceErrorCode } from 'etoken-bridge';

/** A token as its token information names it (PKCS#11 v2.40, CK_TOKEN_INFO), blanks at the end removed. */
export interface TokenDescription {
  readonly label: string;
  readonly serialNumber: string;
}

/** An RSA public key as a token holds it, both numbers big-endian. */
export interface RsaNumbers {
  readonly modulus: Uint8Array;
  readonly publicExponent: Uint8Array;
}

/** What a certificate object holds beside CKA_ID and CKA_LABEL; all in DER. */
export interface CertificateAttributes {
  readonly value: Uint8Array;
  readonly subject: Uint8Array;
  readonly issuer: Uint8Array;
  readonly serialNumber: Uint8Array;
}

/** The token, and the PIN of its user. */
interface Access {
  readonly serialNumber: string;
  readonly pin: string;
}

/** Every operation: what it is given, and what it gives. */
export interface Operations {
  readonly listTokens: { readonly given: object; readonly result: readonly TokenDescription[] };
  readonly initializeToken: {
    readonly given: { readonly label: string; readonly pin: string; readonly soPin: string };
    readonly result: TokenDescription;
  };
  readonly generateKey: {
    readonly given: Access & { readonly bits: number; readonly keyId: Uint8Array; readonly label: string };
    readonly result: RsaNumbers;
  };
  readonly readKey: { readonly given: Access & { readonly keyId: Uint8Array }; readonly result: RsaNumbers };
  readonly storeCertificate: {
    readonly given: Access & {
      readonly keyId: Uint8Array;
      readonly label: string;
      readonly certificate: CertificateAttributes;
    };
    readonly result: undefined;
  };
}

export type OperationName = keyof Operations;

/** One request, for any operation. */
export type Request = {
  [Name in OperationName]: { readonly operation: Name; readonly given: Operations[Name]['given'] };
}[OperationName];

/** What went wrong in the child, ready to become a DeviceError. */
export interface Failure {
  readonly code: DeviceErrorCode | 'already-present';
  readonly message: string;
  readonly functionName?: string;
  readonly returnValue?: string;
  readonly hint?: string;
}

/** What any operation gives. */
export type OperationResult = Operations[OperationName]['result'];

/** The answer to one request. */
export type Reply = { readonly result: OperationResult } | { readonly failure: Failure };
