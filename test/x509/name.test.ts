import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import {
  commonName,
  decodeCertificates,
  formatClusterName,
  formatName,
  formatTokenName,
  type Certificate,
  type DistinguishedName,
} from '../../src/x509/index.js';
import { makeCertificate, makeFolder, openssl } from './openssl.js';

const folder = makeFolder();
afterAll(() => folder.remove());

/** A certificate as the vendor's tokens carry one, issued with openssl. */
function makeSastCertificate(): Certificate {
  const issuer = makeCertificate(folder, 'issuer', { subject: '/CN=Cisco Manufacturing CA/O=Cisco Systems' });
  const request = folder.path('sast.csr');
  const certificate = folder.path('sast.pem');
  openssl([
    ...['req', '-new', '-config', folder.path('issuer.cnf'), '-key', issuer.key, '-out', request],
    ...['-subj', '/CN=SAST-ADN0054f509        /OU=IPCBU/O=Cisco Systems, Inc.'],
  ]);
  openssl([
    ...['x509', '-req', '-in', request, '-CA', issuer.certificate, '-CAkey', issuer.key, '-out', certificate],
    ...['-set_serial', '0x31AF455500000008E983'],
  ]);
  return decodeCertificates(new Uint8Array(readFileSync(certificate)))[0]!;
}

describe('a token’s certificate', () => {
  const sast = makeSastCertificate();

  test('keeps the eight blanks of its common name', () => {
    expect(commonName(sast.subject)).toBe('SAST-ADN0054f509        ');
    expect(commonName(sast.subject)).toHaveLength(24);
  });

  test('is spelled as the CTL client spells it, cut at the comma and all', () => {
    const subject = formatTokenName(sast.subject);
    expect(subject).toBe('cn="SAST-ADN0054f509        ";ou=IPCBU;o="Cisco Systems');
    expect(subject).toHaveLength(55);
    expect(formatTokenName(sast.issuer)).toBe('cn=Cisco Manufacturing CA;o=Cisco Systems');
  });

  test('is spelled as clusters spell it, nothing cut', () => {
    expect(formatClusterName(sast.subject)).toBe('CN=SAST-ADN0054f509        ;OU=IPCBU;O=Cisco Systems, Inc.');
    expect(formatClusterName(sast.issuer)).toBe('CN=Cisco Manufacturing CA;O=Cisco Systems');
  });
});

function nameOf(...pairs: readonly (readonly [string, string])[]): DistinguishedName {
  return pairs.map(([type, value]) => ({ type, value }));
}

describe('the cluster’s spelling', () => {
  test('has CN, OU, O, L, ST, C in this order, whatever the certificate’s', () => {
    const reversed = nameOf(
      ['C', 'PL'],
      ['ST', 'Małopolska'],
      ['L', 'Kraków'],
      ['O', 'Cisco'],
      ['OU', 'TAC'],
      ['CN', 'a'],
    );
    expect(formatClusterName(reversed)).toBe('CN=a;OU=TAC;O=Cisco;L=Kraków;ST=Małopolska;C=PL');
    expect(formatClusterName([...reversed].reverse())).toBe(formatClusterName(reversed));
  });

  test('leaves every other type out', () => {
    expect(formatClusterName(nameOf(['DC', 'lab'], ['DC', 'bbburns'], ['CN', 'JASBURNS-AD']))).toBe('CN=JASBURNS-AD');
    const others = nameOf(
      ['EMAILADDRESS', 'a@b'],
      ['SERIALNUMBER', '1'],
      ['UID', 'u'],
      ['STREET', 's'],
      ['1.2.3', 'x'],
    );
    expect(formatClusterName(others)).toBe('');
  });

  test('keeps several units in the certificate’s order', () => {
    const units = nameOf(['OU', 'second'], ['O', 'Cisco'], ['OU', 'first'], ['CN', 'x'], ['OU', 'third']);
    expect(formatClusterName(units)).toBe('CN=x;OU=second;OU=first;OU=third;O=Cisco');
  });

  test('escapes nothing', () => {
    expect(formatClusterName(nameOf(['CN', 'a;b=c,"d" '], ['O', '']))).toBe('CN=a;b=c,"d" ;O=');
  });
});

describe('the CTL client’s spelling', () => {
  test('keeps the certificate’s order and every type, in lower case', () => {
    expect(formatTokenName(nameOf(['C', 'US'], ['DC', 'lab'], ['CN', 'x'], ['EMAILADDRESS', 'a@b']))).toBe(
      'c=US;dc=lab;cn=x;emailaddress=a@b',
    );
  });

  test.each([
    ['plain', 'plain'],
    ['blank at the end ', '"blank at the end "'],
    [' blank before', '" blank before"'],
    ['one, two, three', '"one'],
    ['cut before the blanks, x  ', '"cut before the blanks'],
    [', first', '"'],
  ])('of the value %j is %j', (value, spelled) => {
    expect(formatTokenName(nameOf(['O', value]))).toBe(`o=${spelled}`);
  });
});

test('for people, nothing is left out', () => {
  expect(formatName(nameOf(['DC', 'lab'], ['CN', 'x '], ['1.2.3', 'y']))).toBe('DC=lab, CN=x , 1.2.3=y');
  expect(commonName(nameOf(['O', 'x'], ['CN', 'first'], ['CN', 'second']))).toBe('first');
  expect(commonName(nameOf(['O', 'x']))).toBeUndefined();
});
