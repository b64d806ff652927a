import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InputError } from '../../src/errors.js';
import { formatTokenUri, parseTokenUri, type ObjectType, type TokenUri } from '../../src/token/index.js';

function errorOf(text: string): InputError {
  try {
    parseTokenUri(text);
  } catch (error) {
    if (error instanceof InputError) return error;
    throw error;
  }
  throw new Error(`${text} was taken`);
}

describe('parseTokenUri', () => {
  test('reads every attribute of RFC 7512', () => {
    const text =
      'pkcs11:token=CTL%20one;manufacturer=SafeNet%2C%20Inc.;serial=02a3;model=eToken;' +
      'library-manufacturer=a;library-description=b;library-version=3.1;slot-id=7;slot-description=c;' +
      'slot-manufacturer=d;object=key;type=private;id=%01%fFa;x-zone=1' +
      '?module-name=eTPkcs11&module-path=/usr/lib/libeToken.so&pin-source=file:/etc/pin&x-more=%3D';
    expect(parseTokenUri(text)).toEqual({
      token: 'CTL one',
      manufacturer: 'SafeNet, Inc.',
      serial: '02a3',
      model: 'eToken',
      libraryManufacturer: 'a',
      libraryDescription: 'b',
      libraryVersion: '3.1',
      slotId: 7,
      slotDescription: 'c',
      slotManufacturer: 'd',
      object: 'key',
      type: 'private',
      id: Uint8Array.of(0x01, 0xff, 0x61),
      vendorPath: { 'x-zone': '1' },
      moduleName: 'eTPkcs11',
      modulePath: '/usr/lib/libeToken.so',
      pinSource: { kind: 'file', path: '/etc/pin' },
      vendorQuery: { 'x-more': '=' },
    });
  });

  test('takes an empty URI, which asks for nothing, and either case of the scheme', () => {
    expect(parseTokenUri('pkcs11:')).toEqual({});
    expect(parseTokenUri('PKCS11:?module-path=/x')).toEqual({ modulePath: '/x' });
  });

  test('takes what people type: blanks, umlauts and signs that should have been escaped', () => {
    expect(parseTokenUri('pkcs11:token=CTL Büro (1)/2')).toEqual({ token: 'CTL Büro (1)/2' });
  });

  test.each([
    ['file:/etc/pin', '/etc/pin'],
    ['file:///etc/pin', '/etc/pin'],
    ['file://localhost/etc/pin', '/etc/pin'],
    ['/etc/pin', '/etc/pin'],
    ['file:/etc/a%2525b', '/etc/a%b'],
    ['file:///C:/Users/pin', 'C:/Users/pin'],
    ['C:%5Cpin.txt', 'C:\\pin.txt'],
  ])('pin-source=%s is the file %s', (source, path) => {
    expect(parseTokenUri(`pkcs11:?pin-source=${source}`)).toEqual({ pinSource: { kind: 'file', path } });
  });

  test('pin-source=env:NAME is an environment variable', () => {
    const uri = parseTokenUri('pkcs11:?pin-source=env:MY_PIN');
    expect(uri).toEqual({ pinSource: { kind: 'environment', name: 'MY_PIN' } });
  });

  test.each([
    ['token:x', 'begin with pkcs11:'],
    ['pkcs11:token=a;token=b', 'token is there twice'],
    ['pkcs11:toke=a', 'no attribute toke'],
    ['pkcs11:?pin=a', 'no attribute pin'],
    ['pkcs11:token=%4', 'the value of token has a %'],
    ['pkcs11:token=%zz', 'the value of token has a %'],
    ['pkcs11:token=%ff', 'the value of token is not UTF-8'],
    ['pkcs11:id=%', 'the value of id has a %'],
    ['pkcs11:token', 'name=value'],
    ['pkcs11:token=a;;serial=1', 'name=value'],
    ['pkcs11:slot-id=0x1', 'slot-id is a decimal number'],
    ['pkcs11:type=key', 'type is one of'],
    ['pkcs11:module-path=/x', 'behind the question mark'],
    ['pkcs11:?token=x', 'before the question mark'],
    ['pkcs11:token=a\nb', 'control character'],
    ['pkcs11:?pin-source=|cat%20/etc/pin', 'commands are not run'],
    ['pkcs11:?pin-source=env:', 'name of an environment variable'],
    ['pkcs11:?pin-source=pin.txt', 'none of file:'],
    ['pkcs11:?pin-source=file://server/share', 'none of file:'],
  ])('refuses %s', (text, words) => {
    const error = errorOf(text);
    expect(error.code).toBe('bad-uri');
    expect(error.message).toContain(words);
  });

  test.each(['pkcs11:token=a?pin-value=Secret-4711', 'pkcs11:token=%zz;pin-value=Secret-4711', 'pkcs11:Secret-4711'])(
    'a PIN in a URI is refused, and not repeated: %s',
    (text) => {
      const error = errorOf(text);
      expect(error.code).toBe('bad-uri');
      expect(`${error.message} ${error.hint ?? ''} ${error.stack ?? ''}`).not.toContain('4711');
    },
  );

  test('says what to do instead of a PIN in the URI', () => {
    expect(errorOf('pkcs11:token=a?pin-value=1').hint).toContain('pin-source=file:/');
  });
});

describe('formatTokenUri', () => {
  test('escapes what could be read as something else', () => {
    const uri: TokenUri = { token: 'a;b?c=d%e f', id: Uint8Array.of(0, 0x41, 0xff), modulePath: '/opt/a b&c.so' };
    expect(formatTokenUri(uri)).toBe('pkcs11:token=a%3Bb%3Fc%3Dd%25e%20f;id=%00%41%FF?module-path=/opt/a%20b%26c.so');
  });

  test('refuses text that is not Unicode', () => {
    expect(() => formatTokenUri({ token: '\ud800' })).toThrow(/not Unicode/);
  });

  const text = fc.string({ unit: 'grapheme' });
  const vendor = fc.dictionary(fc.stringMatching(/^x-[a-z0-9_-]{1,8}$/), text, { minKeys: 1, maxKeys: 3 });
  const file = fc.stringMatching(/^\/[^/:\0][^\0]{0,20}$/u).filter((path) => !/\p{Surrogate}/u.test(path));
  const pinSource = fc.oneof(
    fc.record({ kind: fc.constant('file' as const), path: file }),
    fc.record({ kind: fc.constant('environment' as const), name: fc.stringMatching(/^\w{1,12}$/) }),
  );
  const uris: fc.Arbitrary<TokenUri> = fc.record(
    {
      token: text,
      manufacturer: text,
      serial: text,
      model: text,
      libraryManufacturer: text,
      libraryDescription: text,
      libraryVersion: text,
      object: text,
      type: fc.constantFrom<ObjectType>('public', 'private', 'cert', 'secret-key', 'data'),
      id: fc.uint8Array({ maxLength: 24 }),
      slotId: fc.integer({ min: 0, max: 2 ** 40 }),
      slotDescription: text,
      slotManufacturer: text,
      modulePath: text,
      moduleName: text,
      pinSource,
      vendorPath: vendor,
      vendorQuery: vendor,
    },
    { requiredKeys: [] },
  );

  test('what was written is read again', () => {
    fc.assert(
      fc.property(uris, (uri) => {
        expect(parseTokenUri(formatTokenUri(uri))).toEqual(uri);
      }),
    );
  });

  test('only plain characters are written, so that a URI can be quoted in every shell', () => {
    fc.assert(
      fc.property(uris, (uri) => {
        expect(formatTokenUri(uri)).toMatch(/^pkcs11:[\w.~%;=?&:/-]*$/);
      }),
    );
  });

  test('any text is read or refused with our own error', () => {
    const pieces = fc.constantFrom(
      'token',
      'id',
      '=',
      ';',
      '?',
      '&',
      '%',
      '%41',
      '%ff',
      'pin-source',
      'file:',
      '|',
      'x-a',
      ' ',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: 'binary' }),
          fc.array(pieces).map((list) => list.join('')),
        ),
        (body) => {
          try {
            parseTokenUri(`pkcs11:${body}`);
          } catch (error) {
            expect(error).toBeInstanceOf(InputError);
          }
        },
      ),
    );
  });
});
