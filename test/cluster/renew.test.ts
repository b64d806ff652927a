import { X509Certificate } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  certificateChanges,
  certificateNames,
  checkFiveMinutes,
  findNode,
  importCertificate,
  parseRelease,
  renewCertificate,
  type CertificateName,
  type Cluster,
} from '../../src/cluster/index.js';
import { RefusalError } from '../../src/errors.js';
import { commonName, formatName, generateRsaKey, issueCertificate, type Certificate } from '../../src/x509/index.js';
import { makeTwoNodes } from './two-nodes.js';

const began = new Date('2024-02-29T12:00:00Z');
const now = new Date('2026-11-21T07:30:00Z');
let cluster: Cluster;
beforeAll(async () => {
  ({ cluster } = await makeTwoNodes('12.5(1)SU2', began));
});

const present = (name: CertificateName, node = 0): Certificate => cluster.nodes[node]!.certificates[name]!;

/** The same cluster with a note on its publisher. */
function noting(certificate: CertificateName, time: Date): Cluster {
  const [publisher, ...others] = cluster.nodes;
  return { ...cluster, nodes: [{ ...publisher!, changed: { [certificate]: time } }, ...others] };
}

describe('renewCertificate', () => {
  test.each(certificateNames)('%s: a new key and serial, everything else as it was', async (name) => {
    const before = present(name);
    const { certificate, key } = await renewCertificate({ cluster, node: 'CUCM-PUB', certificate: name, now });
    const [old, fresh] = [before, certificate].map(({ der }) => new X509Certificate(der));
    expect(formatName(certificate.subject)).toBe(formatName(before.subject));
    expect(formatName(certificate.issuer)).toBe(formatName(before.subject));
    expect(fresh!.subjectAltName).toBe('DNS:cucm-pub, IP Address:10.48.47.153');
    expect(fresh!.subjectAltName).toBe(old!.subjectAltName);
    expect(fresh!.ca).toBe(old!.ca);
    expect(fresh!.keyUsage).toEqual(old!.keyUsage);
    expect(certificate.keyBits).toBe(1024);
    expect(certificate.serialNumber).not.toEqual(before.serialNumber);
    expect(certificate.publicKey).not.toEqual(before.publicKey);
    expect(fresh!.checkPrivateKey(key)).toBe(true);
    expect(fresh!.verify(fresh!.publicKey)).toBe(true);
    expect(certificate.notBefore).toEqual(now);
    // ITLRecovery from 12.0 on lives four times as long.
    expect(certificate.notAfter.getUTCFullYear()).toBe(name === 'ITLRecovery' ? 2046 : 2031);
  });

  test('names stay those of the certificate, also when the node has another name by now', async () => {
    const [publisher, ...others] = cluster.nodes;
    const renamed = { ...cluster, nodes: [{ ...publisher!, name: 'cucm-new', address: '10.1.1.1' }, ...others] };
    const request = { cluster: renamed, node: 'cucm-new', certificate: 'ITLRecovery', now } as const;
    const { certificate } = await renewCertificate(request);
    expect(commonName(certificate.subject)).toBe('ITLRECOVERY_cucm-pub');
    expect(new X509Certificate(certificate.der).subjectAltName).toContain('cucm-pub');
  });

  test('before 12.0 ITLRecovery is valid for five years; the key keeps its size; the serial is of the given bytes', async () => {
    const key = await generateRsaKey(1536);
    const subject = [{ type: 'CN', value: 'odd' }];
    const request = { subject, publicKey: key, serialNumber: Uint8Array.of(1), notBefore: began, notAfter: now };
    const odd = await issueCertificate(request, { name: subject, key });
    const [publisher] = cluster.nodes;
    const certificates = { ...publisher!.certificates, ITLRecovery: odd };
    const old = { ...cluster, release: parseRelease('11.5.1'), nodes: [{ ...publisher!, certificates }] };
    const random = (length: number): Uint8Array => new Uint8Array(length).fill(0xff);
    const made = await renewCertificate({ cluster: old, node: 'cucm-pub', certificate: 'ITLRecovery', now, random });
    expect(made.certificate.notAfter.getUTCFullYear()).toBe(2031);
    expect(made.certificate.keyBits).toBe(1536);
    expect(made.certificate.serialNumber).toEqual(Uint8Array.of(0x7f, ...new Uint8Array(15).fill(0xff)));
    expect(new X509Certificate(made.certificate.der).subjectAltName).toBeUndefined();
  });

  test('no such node, no such certificate', async () => {
    const request = { cluster, certificate: 'CAPF', now } as const;
    await expect(renewCertificate({ ...request, node: 'cucm-sub9' })).rejects.toMatchObject({
      code: 'usage',
      message: 'the cluster file has no node "cucm-sub9"',
      hint: 'its nodes are cucm-pub, cucm-sub1',
    });
    await expect(renewCertificate({ ...request, node: 'cucm-sub1' })).rejects.toMatchObject({ code: 'cluster-file' });
    expect(findNode(cluster, 'Cucm-Sub1').address).toBe('10.48.47.154');
  });
});

describe('the five-minute rule (A11)', () => {
  const changedAt = new Date('2026-11-21T07:30:00Z');
  const after = (seconds: number): Date => new Date(changedAt.getTime() + seconds * 1000);
  const changes = { CallManager: changedAt };

  test('4:59 after another certificate of the node: refused in the words of the cluster; 5:00 after: not', () => {
    let refusal: unknown;
    try {
      checkFiveMinutes('cucm-pub', 'TVS', changes, after(299));
    } catch (error) {
      refusal = error;
    }
    expect(refusal).toBeInstanceOf(RefusalError);
    expect(refusal).toMatchObject({
      code: 'A11',
      message:
        'CallManager certificate was modified in the last 5 minutes. Please re-try regenerating TVS certificate at a later time',
    });
    expect((refusal as RefusalError).hint).toContain('cucm-pub: wait until 2026-11-21T07:35:00Z');
    expect(() => checkFiveMinutes('cucm-pub', 'TVS', changes, after(299.999))).toThrow(RefusalError);
    expect(() => checkFiveMinutes('cucm-pub', 'TVS', changes, after(300))).not.toThrow();
  });

  test('the same certificate may be changed again, and one without a change stops nothing', () => {
    expect(() => checkFiveMinutes('cucm-pub', 'CallManager', changes, after(1))).not.toThrow();
    expect(() => checkFiveMinutes('cucm-pub', 'TVS', {}, after(1))).not.toThrow();
  });

  test('clocks that differ: a change a little ahead counts, one far ahead does not', () => {
    expect(() => checkFiveMinutes('cucm-pub', 'TVS', changes, after(-299))).toThrow(RefusalError);
    expect(() => checkFiveMinutes('cucm-pub', 'TVS', changes, after(-300))).not.toThrow();
  });

  test('of several, the last one is named', () => {
    const several = { CallManager: after(-60), CAPF: after(-10), ITLRecovery: after(-400) };
    expect(() => checkFiveMinutes('cucm-pub', 'TVS', several, changedAt)).toThrow(/^CAPF certificate was modified/);
  });

  test('a change is the note, or the beginning of the certificate, whichever is later', () => {
    const [publisher] = noting('TVS', changedAt).nodes;
    expect(certificateChanges(publisher!)).toEqual({
      CallManager: began,
      CAPF: began,
      TVS: changedAt,
      ITLRecovery: began,
    });
    const earlier = noting('TVS', new Date('2020-01-01T00:00:00Z')).nodes[0]!;
    expect(certificateChanges(earlier).TVS).toEqual(began);
  });

  test('renewal and import obey it, on their node only, and the rule can be let through', async () => {
    const noted = noting('CallManager', changedAt);
    const soon = { cluster: noted, node: 'cucm-pub', certificate: 'TVS', now: after(299) } as const;
    await expect(renewCertificate(soon)).rejects.toMatchObject({ code: 'A11' });
    const imported = present('TVS', 1);
    expect(() => importCertificate({ ...soon, imported })).toThrow(RefusalError);
    const inTime = { ...soon, now: after(300) };
    expect(commonName((await renewCertificate(inTime)).certificate.subject)).toBe('cucm-pub');
    expect(importCertificate({ ...inTime, imported }).certificate).toBe(imported);
    expect((await renewCertificate({ ...soon, acceptFiveMinutes: true })).certificate.notBefore).toEqual(after(299));
    expect((await renewCertificate({ ...soon, node: 'cucm-sub1' })).certificate.notBefore).toEqual(after(299));
  });
});

describe('importCertificate', () => {
  const request = { node: 'cucm-pub', certificate: 'CallManager', now } as const;

  async function issue(commonNameText: string, bits: number, from = now): Promise<Certificate> {
    const key = await generateRsaKey(bits);
    const authority = await generateRsaKey(1024);
    const subject = commonNameText === '' ? present('CallManager').subject : [{ type: 'CN', value: commonNameText }];
    const notAfter = new Date(from.getTime() + 86_400_000);
    const given = { subject, publicKey: key, serialNumber: Uint8Array.of(7), notBefore: from, notAfter };
    return issueCertificate(given, { name: [{ type: 'CN', value: 'Example CA' }], key: authority });
  }

  test('the same name and size: nothing to say', async () => {
    const imported = await issue('', 1024);
    expect(importCertificate({ ...request, cluster, imported })).toEqual({ certificate: imported, notices: [] });
  });

  test('another name, another size, another time: each is said', async () => {
    const { notices } = importCertificate({ ...request, cluster, imported: await issue('other', 2048) });
    expect(notices).toEqual([
      expect.stringMatching(
        /^the CallManager certificate of cucm-pub: the name changes from ".*CN=cucm-pub.*" to "CN=other"/,
      ),
      'the CallManager certificate of cucm-pub: the key size changes from 1024 to 2048 bits',
    ]);
    const old = await issue('', 1024, began);
    expect(importCertificate({ ...request, cluster, imported: old }).notices).toEqual([
      'the CallManager certificate of cucm-pub: it expired on 2024-03-01T12:00:00Z',
    ]);
    const coming = await issue('', 1024, new Date('2027-01-01T00:00:00Z'));
    expect(importCertificate({ ...request, cluster, imported: coming }).notices).toEqual([
      'the CallManager certificate of cucm-pub: it is not valid before 2027-01-01T00:00:00Z',
    ]);
  });

  test('the certificate that is there is none to import', () => {
    const imported = present('CallManager');
    expect(() => importCertificate({ ...request, cluster, imported })).toThrow(
      'this is the CallManager certificate of cucm-pub already',
    );
  });
});
