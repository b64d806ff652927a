import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FormatError } from '../../src/errors.js';
import { formatCompanion, parseXml } from '../../src/signed-file/index.js';
import { decodeOrRefuse } from '../trust-list/read-or-refuse.js';
import { makeIdentity } from './encrypted-files.js';

const { certificate } = await makeIdentity('CP-8861-SEP00005E005301');
const hash = createHash('md5').update(certificate.der).digest('hex');
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const companionOf = (configuration: string): string =>
  new TextDecoder().decode(formatCompanion(bytes(configuration), certificate));

describe('the companion of an encrypted configuration', () => {
  test('holds what a phone needs before it can decrypt, byte for byte as the full one has it', () => {
    const capfList =
      '<capfList>\r\n <capf  a = "1&#10;2">\r\n<!-- é𝄞 --><phonePort>3804</phonePort>&amp;</capf>\r\n</capfList >';
    const load = '<loadInformation model="CP-8861"><![CDATA[sip88xx<.>14-2]]></loadInformation>';
    const full = [
      '\u{feff}<?xml version="1.0" encoding="utf-8"?>\r\n<!-- 𝄞é -->',
      '<device xsi:type="axl:XIPPhone" ctiid="60">',
      '<fullConfig>true</fullConfig><deviceSecurityMode>3</deviceSecurityMode>',
      `${capfList}<capfAuthMode/>`,
      `<other><ipAddressMode>7</ipAddressMode></other>${load}`,
      '<encrConfig>false</encrConfig><certHash>00</certHash>',
      '</device>',
    ].join('\r\n');
    expect(companionOf(full)).toBe(
      [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<device>',
        '<fullConfig>false</fullConfig>',
        load,
        '<capfAuthMode/>',
        capfList,
        `<certHash>${hash}</certHash>`,
        '<encrConfig>true</encrConfig>',
        '</device>',
        '',
      ].join('\n'),
    );
  });

  test('holds three elements when the full one has none of the others', () => {
    const companion = parseXml(formatCompanion(bytes('<device/>'), certificate));
    expect(companion.children.map(({ name, text }) => [name, text])).toEqual([
      ['fullConfig', 'false'],
      ['certHash', hash],
      ['encrConfig', 'true'],
    ]);
  });

  test('takes an element over with its text, whatever it is', () => {
    const words = fc.string({ unit: 'grapheme', maxLength: 30 }).map((text) => text.replaceAll(/[<&>\p{C}]/gu, '_'));
    fc.assert(
      fc.property(words, words, (before, mode) => {
        const element = `<ipAddressMode>${mode}</ipAddressMode>`;
        expect(companionOf(`<device>${before}${element}</device>`)).toContain(`\n${element}\n`);
      }),
    );
  });

  test.each([
    ['another root', '<phone/>', { code: 'bad-value' }],
    ['an element twice', '<device><capfList/><capfList/></device>', { code: 'duplicate-element', element: 'capfList' }],
    ['no XML', 'deviceName=SEP', { code: 'bad-text' }],
    ['nothing', '', { code: 'bad-text' }],
    ['an end that is missing', '<device><capfList></device>', { code: 'bad-text' }],
    ['a document type', '<!DOCTYPE device [<!ENTITY a "b">]><device/>', { code: 'bad-text' }],
    ['an entity that is not defined', '<device>&a;</device>', { code: 'bad-text' }],
    ['another encoding', '<?xml version="1.0" encoding="ISO-8859-1"?><device/>', { code: 'bad-text' }],
  ])('is not made of %s', (_what, configuration, expected) => {
    const refused = decodeOrRefuse(bytes(configuration), (full) => formatCompanion(full, certificate));
    expect(refused).toMatchObject(expected);
  });

  test('is not made of bytes that are no UTF-8, and says where they are', () => {
    const full = bytes('<device>ü</device>');
    full[9] = 0x20;
    expect(decodeOrRefuse(full, (wrong) => formatCompanion(wrong, certificate))).toMatchObject({
      code: 'bad-text',
      offset: 8,
    });
  });

  test('is made, or refused with our own error, whatever the bytes are', () => {
    const parts = fc.constantFrom(
      '<device>',
      '</device>',
      '<capfList>',
      '</capfList>',
      '<!--',
      '-->',
      '&#0;',
      ']]>',
      'x',
    );
    fc.assert(
      fc.property(
        fc.array(fc.oneof(parts, fc.string({ unit: 'binary', maxLength: 4 })), { maxLength: 12 }),
        (pieces) => {
          const made = decodeOrRefuse(bytes(pieces.join('')), (full) => formatCompanion(full, certificate));
          if (!(made instanceof FormatError)) expect(parseXml(made).name).toBe('device');
        },
      ),
      { numRuns: 500 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (noise) => {
        expect(decodeOrRefuse(noise, (full) => formatCompanion(full, certificate))).toBeInstanceOf(FormatError);
      }),
    );
  });
});
