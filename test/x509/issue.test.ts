import { createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { afterAll, describe, expect, test } from 'vitest';
import {
  formatCertificatePem,
  generateRsaKey,
  isIssuedBy,
  issueCertificate,
  type Certificate,
  type CertificateRequest,
} from '../../src/x509/index.js';
import { makeFolder, openssl, printCertificate, runOpenssl } from './openssl.js';

const folder = makeFolder();
afterAll(() => folder.remove());

const authorityKey = await generateRsaKey(2048);
const key = await generateRsaKey(1024);
const authorityName = [
  { type: 'CN', value: 'Cisco Manufacturing CA' },
  { type: 'O', value: 'Cisco Systems' },
];
const validity = { notBefore: new Date('2020-02-29T12:34:56Z'), notAfter: new Date('2060-01-01T00:00:00Z') };
const authority = await issueCertificate(
  { subject: authorityName, publicKey: authorityKey, serialNumber: Uint8Array.of(1), ...validity, authority: true },
  { name: authorityName, key: authorityKey },
);
const authorityFile = folder.write('authority.pem', formatCertificatePem(authority));

function issue(request: Partial<CertificateRequest> = {}): Promise<Certificate> {
  const subject = [{ type: 'CN', value: 'cucm' }];
  return issueCertificate(
    { subject, publicKey: key, serialNumber: Uint8Array.of(7), ...validity, ...request },
    { name: authorityName, key: authorityKey },
  );
}

/** Writes the certificate where openssl can read it. */
function toFile(certificate: Certificate): string {
  return folder.write('issued.pem', formatCertificatePem(certificate));
}

describe('an issued certificate', () => {
  test.each(['sha1', 'sha256', 'sha512'] as const)('signed over %s verifies with openssl', async (digest) => {
    const certificate = await issue({ digest });
    const file = toFile(certificate);
    // OpenSSL refuses SHA-1 in certificates from its second security level on.
    const verify = openssl(['verify', '-auth_level', '0', '-x509_strict', '-CAfile', authorityFile, file]).toString();
    expect(verify).toBe(`${file}: OK\n`);
    const text = openssl(['x509', '-in', file, '-noout', '-text']).toString();
    expect(text.match(/Signature Algorithm: (\w+)/g)).toEqual(
      Array.from({ length: 2 }, () => `Signature Algorithm: ${digest}WithRSAEncryption`),
    );
    expect(isIssuedBy(certificate, authority)).toBe(true);
    expect(isIssuedBy(authority, certificate)).toBe(false);
  });

  test('has the dates and names that were asked for, in their order, blanks and all', async () => {
    const subject = [
      { type: 'CN', value: 'SAST-ADN0054f509        ' },
      { type: 'OU', value: 'IPCBU' },
      { type: 'O', value: 'Cisco Systems, Inc.' },
      { type: 'L', value: 'Kraków' },
      { type: 'OU', value: 'second' },
      { type: 'C', value: 'PL' },
      { type: 'DC', value: 'lab' },
      { type: 'EMAILADDRESS', value: 'a@b' },
      { type: 'SERIALNUMBER', value: 'X 1' },
      { type: '1.2.3.4', value: 'own' },
    ];
    const certificate = await issue({ subject });
    expect(certificate.subject).toEqual(subject);
    expect(certificate.issuer).toEqual(authority.subject);
    expect(certificate).toMatchObject(validity);
    const printed = printCertificate(toFile(certificate));
    expect(printed.subject.slice(0, 6)).toEqual(subject.slice(0, 6).map(({ type, value }) => `${type}=${value}`));
    expect(printed).toMatchObject(validity);
    const parsed = openssl(['asn1parse', '-in', toFile(certificate)]).toString();
    expect(parsed).toMatch(/PRINTABLESTRING *:PL\n/);
    expect(parsed).toMatch(/IA5STRING *:lab\n/);
    expect(parsed).toMatch(/IA5STRING *:a@b\n/);
    expect(parsed).toMatch(/PRINTABLESTRING *:X 1\n/);
    expect(parsed).toMatch(/UTF8STRING *:IPCBU\n/);
  });

  test.each([
    ['01', '01'],
    ['7f', '7f'],
    ['80', '0080'],
    ['00', '00'],
    ['', '00'],
    ['000001', '01'],
    ['0080', '0080'],
    ['31af455500000008e983', '31af455500000008e983'],
    ['ff'.repeat(19), `00${'ff'.repeat(19)}`],
    ['7f'.repeat(20), '7f'.repeat(20)],
  ])('has the serial %j as %j', async (asked, given) => {
    const certificate = await issue({ serialNumber: new Uint8Array(Buffer.from(asked, 'hex')) });
    expect(Buffer.from(certificate.serialNumber).toString('hex')).toBe(given);
    const printed = asked === '' || /^0+$/.test(asked) ? '00' : given.replace(/^00/, '').toUpperCase();
    expect(printCertificate(toFile(certificate)).serial).toBe(printed);
  });

  test('has the names and addresses that TLS clients look for', async () => {
    const certificate = await issue({ alternativeNames: ['cucm.example', '127.0.0.1', '::1', '2001:db8::12'] });
    const printed = openssl(['x509', '-in', toFile(certificate), '-noout', '-ext', 'subjectAltName']).toString();
    expect(printed).toContain(
      'DNS:cucm.example, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1, IP Address:2001:DB8',
    );
    const tls = new X509Certificate(certificate.der);
    expect(tls.checkHost('cucm.example')).toBe('cucm.example');
    expect(tls.checkIP('127.0.0.1')).toBe('127.0.0.1');
    expect(tls.checkIP('::1')).toBe('::1');
  });

  test('may issue others only when asked for', async () => {
    const leaf = await issue();
    const fromLeaf = await issueCertificate(
      { subject: [{ type: 'CN', value: 'x' }], publicKey: key, serialNumber: Uint8Array.of(9), ...validity },
      { name: leaf.subject, key },
    );
    const chain = folder.write('chain.pem', formatCertificatePem(leaf));
    const result = runOpenssl(['verify', '-CAfile', authorityFile, '-untrusted', chain, toFile(fromLeaf)]);
    expect(result.status).not.toBe(0);
    expect(result.stderr).toContain('invalid CA certificate');
    const constraints = (certificate: Certificate): boolean => new X509Certificate(certificate.der).ca;
    expect([constraints(leaf), constraints(authority)]).toEqual([false, true]);
  });

  test('is for the key that was given, private or public', async () => {
    const publicKey = createPublicKey(key);
    for (const one of [await issue(), await issue({ publicKey })]) {
      expect(Buffer.from(one.publicKeyInfo)).toEqual(publicKey.export({ format: 'der', type: 'spki' }));
    }
    expect((await issue()).der).toEqual((await issue({ publicKey })).der);
  });
});

test('keys that are not RSA are refused by name', async () => {
  const curve = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  await expect(issue({ publicKey: curve.publicKey })).rejects.toMatchObject({ code: 'unsupported-key' });
  const request = { subject: authorityName, publicKey: key, serialNumber: Uint8Array.of(1), ...validity };
  await expect(issueCertificate(request, { name: authorityName, key: curve.privateKey })).rejects.toMatchObject({
    code: 'unsupported-key',
  });
});
