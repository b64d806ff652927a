// The PKCS#11 side of every operation. Runs in the child process only.
import type * as graphenePk11 from 'graphene-pk11';
import type { Module, Session, SessionObject, Slot, Token, UserType } from 'graphene-pk11';
import { callPkcs11, OperationFailure } from './pkcs11-failure.js';
import type { OperationName, Operations, RsaNumbers, TokenDescription } from './messages.js';

/** The whole of graphene-pk11, which the child loads by `require`. */
export type Graphene = typeof graphenePk11;

/** One function for each operation. */
export type OperationTable = {
  readonly [Name in OperationName]: (given: Operations[Name]['given']) => Operations[Name]['result'];
};

/** The operations on the tokens of an initialised module. */
export function createOperations(graphene: Graphene, module: Module): OperationTable {
  return {
    listTokens: () => initializedTokens(graphene, module).map(({ token }) => describeToken(token)),
    initializeToken: (given) => initializeToken(graphene, module, given),
    generateKey: (given) => withUser(graphene, module, given, (session) => generateKey(graphene, session, given)),
    readKey: (given) => withUser(graphene, module, given, (session) => readKey(graphene, session, given.keyId)),
    storeCertificate: (given) =>
      withUser(graphene, module, given, (session) => storeCertificate(graphene, session, given)),
  };
}

interface PresentToken {
  readonly slot: Slot;
  readonly token: Token;
}

/** Asks the module anew each time: SoftHSM2 gives slots other numbers after C_InitToken. */
function presentTokens(module: Module): PresentToken[] {
  const slots = callPkcs11('C_GetSlotList', () => module.getSlots(true));
  return Array.from({ length: slots.length }, (_, index) => {
    const slot = callPkcs11('C_GetSlotInfo', () => slots.items(index));
    return { slot, token: callPkcs11('C_GetTokenInfo', () => slot.getToken()) };
  });
}

function isInitialized(graphene: Graphene, token: Token): boolean {
  return (token.flags & graphene.TokenFlag.TOKEN_INITIALIZED) !== 0;
}

function initializedTokens(graphene: Graphene, module: Module): PresentToken[] {
  return presentTokens(module).filter(({ token }) => isInitialized(graphene, token));
}

function describeToken(token: Token): TokenDescription {
  return { label: token.label, serialNumber: token.serialNumber };
}

function initializeToken(
  graphene: Graphene,
  module: Module,
  { label, pin, soPin }: Operations['initializeToken']['given'],
): TokenDescription {
  const present = presentTokens(module);
  const before = present.filter(({ token }) => isInitialized(graphene, token)).map(({ token }) => describeToken(token));
  const sameLabel = before.find((token) => token.label === label);
  if (sameLabel !== undefined) {
    throw new OperationFailure({
      code: 'already-present',
      message: `there is already a token with the label ${label} (serial ${sameLabel.serialNumber})`,
      hint: 'choose another label',
    });
  }
  // SoftHSM2 always shows one more token than was made, not initialised: the next one.
  const free = present.find(({ token }) => !isInitialized(graphene, token));
  if (free === undefined) throw new OperationFailure({ code: 'no-token', message: 'SoftHSM2 shows no free token' });
  // Through pkcs11js, because graphene 2.3.6 throws after C_InitToken has succeeded. The label must be padded here:
  // pkcs11js hands the text over as it is, and the module reads 32 bytes (PKCS#11 v2.40, C_InitToken).
  const padded = label + ' '.repeat(Math.max(0, 32 - Buffer.byteLength(label)));
  callPkcs11('C_InitToken', () => module.lib.C_InitToken(free.slot.handle, soPin, padded));

  const known = new Set(before.map(({ serialNumber }) => serialNumber));
  const made = initializedTokens(graphene, module).find(
    ({ token }) => token.label === label && !known.has(token.serialNumber),
  );
  if (made === undefined) {
    throw new OperationFailure({ code: 'token-not-found', message: `the new token ${label} is not listed` });
  }
  withSession(graphene, made.slot, graphene.UserType.SO, soPin, (session) => {
    callPkcs11('C_InitPIN', () => session.initPin(pin));
  });
  return describeToken(made.token);
}

/** Runs something in a session of the token's user. */
function withUser<T>(
  graphene: Graphene,
  module: Module,
  { serialNumber, pin }: { readonly serialNumber: string; readonly pin: string },
  use: (session: Session) => T,
): T {
  const found = initializedTokens(graphene, module).find(({ token }) => token.serialNumber === serialNumber);
  if (found === undefined) {
    throw new OperationFailure({
      code: 'token-not-found',
      message: `there is no token with the serial number ${serialNumber} in this configuration`,
    });
  }
  return withSession(graphene, found.slot, graphene.UserType.USER, pin, use);
}

function withSession<T>(graphene: Graphene, slot: Slot, user: UserType, pin: string, use: (session: Session) => T): T {
  const { SERIAL_SESSION, RW_SESSION } = graphene.SessionFlag;
  const session = callPkcs11('C_OpenSession', () => slot.open(SERIAL_SESSION | RW_SESSION));
  try {
    callPkcs11('C_Login', () => session.login(pin, user));
    return use(session);
  } finally {
    // Closing the only session of a token also logs out (PKCS#11 v2.40, C_CloseSession).
    callPkcs11('C_CloseSession', () => session.close());
  }
}

function generateKey(
  graphene: Graphene,
  session: Session,
  { bits, keyId, label }: Operations['generateKey']['given'],
): RsaNumbers {
  const id = Buffer.from(keyId);
  const keys = callPkcs11('C_GenerateKeyPair', () =>
    session.generateKeyPair(
      graphene.KeyGenMechanism.RSA,
      {
        keyType: graphene.KeyType.RSA,
        id,
        label,
        token: true,
        private: false,
        modulusBits: bits,
        publicExponent: Buffer.from([1, 0, 1]),
        verify: true,
        encrypt: false,
        wrap: false,
        verifyRecover: false,
      },
      {
        keyType: graphene.KeyType.RSA,
        id,
        label,
        token: true,
        private: true,
        sensitive: true,
        extractable: false,
        // SoftHSM2 allows every use that is not forbidden; a SAST key signs, and nothing else.
        sign: true,
        decrypt: false,
        unwrap: false,
        signRecover: false,
        derive: false,
      },
    ),
  );
  return readNumbers(keys.publicKey);
}

function readKey(graphene: Graphene, session: Session, keyId: Uint8Array): RsaNumbers {
  const template = { class: graphene.ObjectClass.PRIVATE_KEY, id: Buffer.from(keyId) };
  const found = callPkcs11('C_FindObjects', () => session.find(template));
  if (found.length === 0) {
    throw new OperationFailure({
      code: 'key-not-found',
      message: `the token has no private key with the id ${Buffer.from(keyId).toString('hex')}`,
    });
  }
  return readNumbers(found.items(0));
}

/** The public numbers, which a token also gives from a private key that is sensitive. */
function readNumbers(key: SessionObject): RsaNumbers {
  const { modulus, publicExponent } = callPkcs11('C_GetAttributeValue', () =>
    key.getAttribute({ modulus: null, publicExponent: null }),
  );
  return { modulus: new Uint8Array(modulus ?? []), publicExponent: new Uint8Array(publicExponent ?? []) };
}

function storeCertificate(
  graphene: Graphene,
  session: Session,
  { keyId, label, certificate }: Operations['storeCertificate']['given'],
): undefined {
  callPkcs11('C_CreateObject', () =>
    session.create({
      class: graphene.ObjectClass.CERTIFICATE,
      certType: graphene.CertificateType.X_509,
      id: Buffer.from(keyId),
      label,
      token: true,
      private: false,
      subject: Buffer.from(certificate.subject),
      issuer: Buffer.from(certificate.issuer),
      serial: Buffer.from(certificate.serialNumber),
      value: Buffer.from(certificate.value),
    }),
  );
}
