import { describe, expect, test } from 'vitest';
import { DeviceError } from '../../src/errors.js';
import { chooseToken, parseTokenUri, type TokenInfo, type TokenUri } from '../../src/token/index.js';
import { withoutRepeats } from '../../src/token/module-hosts.js';
import { pinStateOf, tokenInfo } from '../../src/token/token-info.js';

const library = { manufacturer: 'SafeNet, Inc.', description: 'SafeNet eToken PKCS#11', version: '10.8' };

function makeToken(
  label: string,
  serialNumber: string,
  slotId: number,
  modulePath = '/usr/lib/libeToken.so',
): TokenInfo {
  const rest = {
    slotDescription: 'AKS ifdh',
    slotManufacturer: 'SafeNet',
    manufacturer: 'SafeNet, Inc.',
    model: 'eToken',
  };
  return tokenInfo(
    { slotId, label, serialNumber, ...rest, flags: 0x40d, firmware: '1.0', hardware: '2.0' },
    library,
    modulePath,
  );
}

const one = makeToken('CTL one', '02a3b4c5', 0);
const two = makeToken('CTL two', '02a3b4c6', 1);
const nameless = makeToken('', '', 5);

function refusal(tokens: readonly TokenInfo[], wanted: TokenUri, tried?: readonly string[]): DeviceError {
  try {
    chooseToken(tokens, wanted, tried);
  } catch (error) {
    if (error instanceof DeviceError) return error;
    throw error;
  }
  throw new Error('a token was chosen');
}

describe('chooseToken', () => {
  test('takes the only token when nothing was asked for', () => {
    expect(chooseToken([one], {})).toBe(one);
  });

  test('several tokens are listed with label, serial number and a URI to paste', () => {
    const error = refusal([one, two, nameless], {});
    expect(error.code).toBe('several-tokens');
    for (const token of [one, two, nameless]) expect(error.message).toContain(token.uri);
    expect(error.message).toContain('token "CTL one" (serial 02a3b4c5)');
    expect(error.message).toContain('the token in slot 5');
    expect(error.hint).toContain('URI');
  });

  test.each([one, two, nameless])('the URI of a token chooses it among all', (token) => {
    expect(chooseToken([one, two, nameless], parseTokenUri(token.uri))).toBe(token);
  });

  test.each<[string, TokenUri]>([
    ['its label', { token: 'CTL two' }],
    ['its serial number', { serial: '02a3b4c6' }],
    ['its serial number in capitals', { serial: '02A3B4C6' }],
    ['its slot', { slotId: 1 }],
    [
      'all words',
      {
        manufacturer: 'SafeNet, Inc.',
        model: 'eToken',
        libraryVersion: '10.8',
        slotDescription: 'AKS ifdh',
        token: 'CTL two',
      },
    ],
  ])('finds a token by %s', (_, wanted) => {
    expect(chooseToken([one, two], wanted)).toBe(two);
  });

  test.each<[string, TokenUri]>([
    ['another label', { token: 'CTL' }],
    ['two words that do not fit together', { token: 'CTL one', serial: '02a3b4c6' }],
    ['another library', { libraryManufacturer: 'OpenSC' }],
    ['an attribute that no token has', { vendorPath: { 'x-zone': '1' } }],
  ])('%s fits none, and the message lists those that are there', (_, wanted) => {
    const error = refusal([one, two], wanted);
    expect(error.code).toBe('token-not-found');
    expect(error.message).toContain(one.uri);
    expect(error.message).toContain(two.uri);
  });

  test('the only token is not taken when another was asked for', () => {
    expect(refusal([one], { serial: 'ffff' }).message).toContain('serial ffff');
  });

  test('no token says what was looked at', () => {
    const error = refusal([], {}, ['/usr/lib/libeToken.so: no token', '/usr/lib/other.so: cannot be loaded']);
    expect(error.code).toBe('no-token');
    expect(error.message).toContain('/usr/lib/libeToken.so: no token');
    expect(error.message).toContain('/usr/lib/other.so: cannot be loaded');
    expect(error.hint).toContain('pcscd');
  });
});

describe('a token that two modules show', () => {
  test('is listed once, by the module that was asked first', () => {
    const again = makeToken('CTL one', '02a3b4c5', 17, '/usr/lib/opensc-pkcs11.so');
    const items = [one, two, again].map((token) => ({ token }));
    expect(withoutRepeats(items).map(({ token }) => token)).toEqual([one, two]);
  });

  test('serial numbers of nothing but zeros say nothing', () => {
    const first = makeToken('TPM', '0000000000000000', 1, '/usr/lib/tpm.so');
    const second = makeToken('NSS', '0000000000000000', 1, '/usr/lib/nss.so');
    const items = [first, second, nameless, { ...nameless, modulePath: '/usr/lib/x.so' }].map((token) => ({ token }));
    expect(withoutRepeats(items)).toHaveLength(4);
  });

  test('two slots of one module are two tokens, as some cards have two PINs', () => {
    const signature = makeToken('OpenPGP (sig)', '02a3b4c5', 3);
    expect(withoutRepeats([{ token: one }, { token: signature }])).toHaveLength(2);
  });
});

describe('pinStateOf', () => {
  const present = 0x40d;
  test.each([
    [present, 'ok'],
    [present | 0x10000, 'count-low'],
    [present | 0x30000, 'final-try'],
    [present | 0x70000, 'locked'],
    [0x405, 'not-set'],
    [0x401, 'ok'],
  ] as const)('flags 0x%s are %s', (flags, state) => {
    expect(pinStateOf(flags).state).toBe(state);
    expect(pinStateOf(flags).words).not.toBe('');
  });
});
