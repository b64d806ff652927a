import { DeviceError } from '../errors.js';
import type { Certificate } from '../x509/index.js';
import type { LibraryDescription, TokenDescription } from './host-protocol.js';
import { formatTokenUri, type TokenUri } from './token-uri.js';

/** How many tries the PIN has left, as far as a token tells. `ok` also stands for a token that tells nothing. */
export interface PinState {
  readonly state: 'ok' | 'count-low' | 'final-try' | 'locked' | 'not-set' | 'to-be-changed';
  /** The state in words. */
  readonly words: string;
}

/** A key on a token. */
export interface TokenKey {
  /** Size of an RSA modulus or EC coordinate; 0 when the token does not tell. */
  readonly bits: number;
  readonly type: 'rsa' | 'ec' | 'other';
  /** CKA_ID */
  readonly id: Uint8Array;
  readonly label: string;
  /** Whether it wants a PIN for each signature; `undefined` when the private key cannot be seen without the PIN. */
  readonly alwaysAuthenticates: boolean | undefined;
  /** SHA-256 of its SubjectPublicKeyInfo (32 bytes), where enough of the public key can be seen. */
  readonly fingerprint: Uint8Array | undefined;
}

/** A certificate on a token, as it can be seen without a PIN. */
export interface ListedCertificate {
  readonly certificate: Certificate;
  /** CKA_ID */
  readonly id: Uint8Array;
  readonly label: string;
}

/** What a token can be seen to hold. */
export interface TokenContents {
  readonly keys: readonly TokenKey[];
  readonly certificates: readonly ListedCertificate[];
}

/** A token in a slot. */
export interface TokenInfo {
  /** May be empty. */
  readonly label: string;
  readonly serialNumber: string;
  readonly manufacturer: string;
  readonly model: string;
  /** `major.minor` */
  readonly firmware: string;
  /** `major.minor` */
  readonly hardware: string;
  /** Changes when tokens are plugged in in another order: never a way to name a token. */
  readonly slotId: number;
  readonly slotDescription: string;
  readonly slotManufacturer: string;
  readonly modulePath: string;
  readonly library: LibraryDescription;
  /** The flags of CK_TOKEN_INFO as they are; {@link tokenFlagNames} has words for them. */
  readonly flags: number;
  readonly initialised: boolean;
  readonly pin: PinState;
  /** How long a PIN can be, in bytes of UTF-8, where the token tells that. */
  readonly minPinLength: number | undefined;
  readonly maxPinLength: number | undefined;
  readonly writeProtected: boolean;
  readonly loginRequired: boolean;
  /** The PIN is entered at the reader. */
  readonly protectedAuthenticationPath: boolean;
  /** As far as they can be seen without a PIN; certificates tell of keys that cannot. */
  readonly keys: readonly TokenKey[];
  /** As far as they can be seen without a PIN; empty unless the token was listed with its objects. */
  readonly certificates: readonly ListedCertificate[];
  /** Names this token and its module (RFC 7512), ready to be pasted. */
  readonly uri: string;
}

/** Flags of CK_TOKEN_INFO (PKCS#11 v2.40, 3.4). */
const tokenFlag = {
  writeProtected: 0x2,
  loginRequired: 0x4,
  userPinInitialised: 0x8,
  protectedAuthenticationPath: 0x100,
  initialised: 0x400,
  pinCountLow: 0x10000,
  pinFinalTry: 0x20000,
  pinLocked: 0x40000,
  pinToBeChanged: 0x80000,
} as const;

/** All of them by number and name; those of the security officer's PIN too. */
const flagNames: readonly (readonly [number, string])[] = [
  [0x1, 'CKF_RNG'],
  [0x2, 'CKF_WRITE_PROTECTED'],
  [0x4, 'CKF_LOGIN_REQUIRED'],
  [0x8, 'CKF_USER_PIN_INITIALIZED'],
  [0x20, 'CKF_RESTORE_KEY_NOT_NEEDED'],
  [0x40, 'CKF_CLOCK_ON_TOKEN'],
  [0x100, 'CKF_PROTECTED_AUTHENTICATION_PATH'],
  [0x200, 'CKF_DUAL_CRYPTO_OPERATIONS'],
  [0x400, 'CKF_TOKEN_INITIALIZED'],
  [0x800, 'CKF_SECONDARY_AUTHENTICATION'],
  [0x10000, 'CKF_USER_PIN_COUNT_LOW'],
  [0x20000, 'CKF_USER_PIN_FINAL_TRY'],
  [0x40000, 'CKF_USER_PIN_LOCKED'],
  [0x80000, 'CKF_USER_PIN_TO_BE_CHANGED'],
  [0x100000, 'CKF_SO_PIN_COUNT_LOW'],
  [0x200000, 'CKF_SO_PIN_FINAL_TRY'],
  [0x400000, 'CKF_SO_PIN_LOCKED'],
  [0x800000, 'CKF_SO_PIN_TO_BE_CHANGED'],
  [0x1000000, 'CKF_ERROR_STATE'],
];

/** The flags of CK_TOKEN_INFO that are set, by name; one without a name as a hexadecimal number. */
export function tokenFlagNames(flags: number): readonly string[] {
  return Array.from({ length: 32 }, (_, bit) => 2 ** bit)
    .filter((flag) => Math.floor(flags / flag) % 2 === 1)
    .map((flag) => flagNames.find(([known]) => known === flag)?.[1] ?? `0x${flag.toString(16)}`);
}

const pinStates: Readonly<Record<PinState['state'], PinState>> = {
  ok: { state: 'ok', words: 'ok' },
  'count-low': { state: 'count-low', words: 'few tries are left' },
  'final-try': { state: 'final-try', words: 'one try is left before the PIN locks' },
  locked: { state: 'locked', words: 'locked' },
  'not-set': { state: 'not-set', words: 'no PIN has been set' },
  'to-be-changed': { state: 'to-be-changed', words: 'must be changed: it is the first one, or has expired' },
};

/** The state of the user's PIN from the flags of CK_TOKEN_INFO; the worst one that is set. */
export function pinStateOf(flags: number): PinState {
  if ((flags & tokenFlag.pinLocked) !== 0) return pinStates.locked;
  if ((flags & tokenFlag.pinFinalTry) !== 0) return pinStates['final-try'];
  if ((flags & tokenFlag.pinCountLow) !== 0) return pinStates['count-low'];
  const needsPin = (flags & tokenFlag.loginRequired) !== 0 && (flags & tokenFlag.userPinInitialised) === 0;
  if (needsPin) return pinStates['not-set'];
  return (flags & tokenFlag.pinToBeChanged) === 0 ? pinStates.ok : pinStates['to-be-changed'];
}

/** What the host said of a token, in the form that is given out. */
export function tokenInfo(
  description: TokenDescription,
  library: LibraryDescription,
  modulePath: string,
  { keys, certificates }: TokenContents = { keys: [], certificates: [] },
): TokenInfo {
  const { flags, label, serialNumber } = description;
  const { slotId, slotDescription, slotManufacturer, manufacturer, model, firmware, hardware } = description;
  return {
    label,
    serialNumber,
    manufacturer,
    model,
    firmware,
    hardware,
    slotId,
    slotDescription,
    slotManufacturer,
    modulePath,
    library,
    flags,
    initialised: (flags & tokenFlag.initialised) !== 0,
    pin: pinStateOf(flags),
    minPinLength: description.minPinLength,
    maxPinLength: description.maxPinLength,
    writeProtected: (flags & tokenFlag.writeProtected) !== 0,
    loginRequired: (flags & tokenFlag.loginRequired) !== 0,
    protectedAuthenticationPath: (flags & tokenFlag.protectedAuthenticationPath) !== 0,
    keys,
    certificates,
    uri: formatTokenUri({
      token: label,
      ...(serialNumber === '' ? { slotId } : { serial: serialNumber }),
      modulePath,
    }),
  };
}

/** A token's name in messages: its label and serial number, or the slot where it has neither. */
export function nameToken(token: Pick<TokenInfo, 'label' | 'serialNumber' | 'slotId'>): string {
  const name = token.label === '' ? `the token in slot ${token.slotId}` : `token "${token.label}"`;
  return token.serialNumber === '' ? name : `${name} (serial ${token.serialNumber})`;
}

/** Whether a token is one that a URI means (RFC 7512, 2.5). Serial numbers match in either case. */
export function matchesToken(token: TokenInfo, wanted: TokenUri): boolean {
  const matches = (asked: string | undefined, has: string): boolean => asked === undefined || asked.trim() === has;
  return (
    matches(wanted.token, token.label) &&
    matches(wanted.serial?.toLowerCase(), token.serialNumber.toLowerCase()) &&
    matches(wanted.manufacturer, token.manufacturer) &&
    matches(wanted.model, token.model) &&
    matches(wanted.slotDescription, token.slotDescription) &&
    matches(wanted.slotManufacturer, token.slotManufacturer) &&
    matches(wanted.libraryManufacturer, token.library.manufacturer) &&
    matches(wanted.libraryDescription, token.library.description) &&
    matches(wanted.libraryVersion, token.library.version) &&
    (wanted.slotId === undefined || wanted.slotId === token.slotId) &&
    wanted.vendorPath === undefined
  );
}

/**
 * The token that is meant: the one that matches, or the only one when nothing was asked for.
 *
 * @param tried what was looked at, in words, for the message when there is no token at all.
 * @param explanations why the one that is meant may not be seen, in words.
 * @throws DeviceError `no-token`, `token-not-found`, `several-tokens`; the last two list the tokens with a URI each.
 */
export function chooseToken(
  tokens: readonly TokenInfo[],
  wanted: TokenUri,
  tried: readonly string[] = [],
  explanations: readonly string[] = [],
): TokenInfo {
  const indented = (lines: readonly string[]): string => lines.map((line) => `\n  ${line}`).join('');
  if (tokens.length === 0) {
    const lines = [...tried, ...explanations];
    const where = lines.length > 0 ? `; tried:${indented(lines)}` : '';
    throw new DeviceError('no-token', `no token was found${where}`, {}, { hint: noTokenHint });
  }
  const matching = tokens.filter((token) => matchesToken(token, wanted));
  const [first] = matching;
  if (first === undefined) {
    throw new DeviceError(
      'token-not-found',
      `no token is ${describeWanted(wanted)}; there are:\n${listTokenUris(tokens)}${indented(explanations)}`,
      {},
      { hint: 'give one of these URIs, or plug in the token that is meant' },
    );
  }
  if (matching.length > 1) {
    throw new DeviceError(
      'several-tokens',
      `there are ${matching.length} tokens to choose from:\n${listTokenUris(matching)}`,
      {},
      { hint: 'say which one is meant, with its URI or its serial number' },
    );
  }
  return first;
}

const noTokenHint =
  'plug in a token; over ssh or in a service the smart card daemon (pcscd) must allow this user to use it';

/** One line for each token: its name, then its URI. */
function listTokenUris(tokens: readonly TokenInfo[]): string {
  return tokens.map((token) => `  ${nameToken(token)}\n    ${token.uri}`).join('\n');
}

function describeWanted(wanted: TokenUri): string {
  const { token, serial, manufacturer, model, slotId } = wanted;
  const words = [
    ...(token === undefined ? [] : [`label "${token}"`]),
    ...(serial === undefined ? [] : [`serial ${serial}`]),
    ...(manufacturer === undefined ? [] : [`manufacturer "${manufacturer}"`]),
    ...(model === undefined ? [] : [`model "${model}"`]),
    ...(slotId === undefined ? [] : [`slot ${slotId}`]),
  ];
  return words.length === 0 ? 'the one that the URI describes' : `the one with ${words.join(', ')}`;
}
