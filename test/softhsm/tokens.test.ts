import { spawnSync } from 'node:child_process';
import { createPublicKey, randomBytes, verify, X509Certificate } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { digestOf, encodeDigestInfo } from 'etoken-bridge/signer';
import { formatTokenName, generateRsaKey, isIssuedBy, issueCertificate, rsaModulus } from 'etoken-bridge/x509';
import {
  createSastToken,
  createSoftHsm,
  createSoftToken,
  createStandInAuthority,
  findSoftHsm,
  generateTokenKey,
  listSoftTokens,
  storeTokenCertificate,
  type SastIdentity,
  type SoftHsm,
  type StandInAuthority,
} from 'softhsm-config';
import { filesBelow, readToken, temporaryFolder, textOf, type TokenContents } from './soft-token.js';

const folder = temporaryFolder();
const pin = 'user-2718';
const soPin = 'officer-3141';
const now = new Date('2026-03-01T12:00:00Z');

let authority: StandInAuthority;
beforeAll(async () => {
  authority = await createStandInAuthority({ now });
});

describe('the configuration', () => {
  test('is private', async () => {
    const directory = join(folder, 'below', 'private');
    const softHsm = await createSoftHsm(directory);
    expect(softHsm).toEqual({
      module: findSoftHsm()?.module,
      directory,
      configuration: join(directory, 'softhsm2.conf'),
      environment: { SOFTHSM2_CONF: join(directory, 'softhsm2.conf') },
    });
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    expect(statSync(join(directory, 'tokens')).mode & 0o777).toBe(0o700);
    expect(statSync(softHsm.configuration).mode & 0o777).toBe(0o600);
    const lines = readFileSync(softHsm.configuration, 'utf8').split('\n');
    expect(lines).toContain(`directories.tokendir = ${join(directory, 'tokens')}`);
    expect(lines).toContain('log.level = ERROR');
    expect(lines).toContain('slots.removable = false');
  });

  test('is found again, and an empty folder is made private', async () => {
    const directory = join(folder, 'again');
    mkdirSync(directory);
    chmodSync(directory, 0o755);
    const first = await createSoftHsm(directory);
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    await createSoftToken(first, { label: 'stays', pin, soPin });
    const second = await createSoftHsm(directory);
    expect(second).toEqual(first);
    expect((await listSoftTokens(second)).map(({ label }) => label)).toEqual(['stays']);
  });

  test('does not open or replace what others use', async () => {
    const open = join(folder, 'open');
    mkdirSync(open);
    chmodSync(open, 0o755);
    writeFileSync(join(open, 'a-file'), '');
    await expect(createSoftHsm(open)).rejects.toMatchObject({ code: 'file-exists' });
    expect(readdirSync(open)).toEqual(['a-file']);
    expect(statSync(open).mode & 0o777).toBe(0o755);

    const foreign = join(folder, 'foreign');
    mkdirSync(foreign, { mode: 0o700 });
    writeFileSync(join(foreign, 'softhsm2.conf'), 'directories.tokendir = /elsewhere\n');
    await expect(createSoftHsm(foreign)).rejects.toMatchObject({ code: 'file-exists', hint: 'choose a new folder' });
    expect(readFileSync(join(foreign, 'softhsm2.conf'), 'utf8')).toBe('directories.tokendir = /elsewhere\n');

    writeFileSync(join(folder, 'a-file'), '');
    await expect(createSoftHsm(join(folder, 'a-file', 'x'))).rejects.toMatchObject({ code: 'file-unwritable' });
  });

  test('a path that SoftHSM2 would cut or misread is refused', async () => {
    for (const name of ['with#sign', 'with=sign', 'with\nbreak', 'x'.repeat(950)]) {
      await expect(createSoftHsm(join(folder, name))).rejects.toMatchObject({ name: 'InputError', code: 'usage' });
      expect(existsSync(join(folder, name))).toBe(false);
    }
    const odd = await createSoftHsm(join(folder, 'ö \'"$x 1;'));
    await createSoftToken(odd, { label: 'in an odd place', pin, soPin });
    expect(readdirSync(join(odd.directory, 'tokens'))).toHaveLength(1);
  });
});

describe.each([{ bits: 1024 as const }, { bits: 2048 as const }])('a SAST token of $bits bits', ({ bits }) => {
  const message = randomBytes(100);
  let softHsm: SoftHsm;
  let sast: SastIdentity;
  let contents: TokenContents;
  beforeAll(async () => {
    softHsm = await createSoftHsm(join(folder, `sast-${String(bits)}`));
    sast = await createSastToken(softHsm, { label: 'etoken', pin, soPin, bits, authority, now, validDays: 365 });
    contents = await readToken(softHsm, sast.token, pin, encodeDigestInfo('sha1', digestOf('sha1', message)));
  });

  test('is initialised and listed', async () => {
    expect(await listSoftTokens(softHsm)).toEqual([sast.token]);
    expect(sast.token.label).toBe('etoken');
    expect(sast.token.uri).toBe(`pkcs11:token=etoken;serial=${sast.token.serialNumber}?module-path=${softHsm.module}`);
    // CKF_TOKEN_INITIALIZED, CKF_USER_PIN_INITIALIZED, CKF_LOGIN_REQUIRED
    expect(contents.flags & 0x40c).toBe(0x40c);
  });

  test('holds a private key that was made on it, signs, and cannot leave it', () => {
    const [key, ...others] = contents.privateKeys;
    expect(others).toEqual([]);
    expect(key).toMatchObject({
      token: Uint8Array.of(1),
      private: Uint8Array.of(1),
      sensitive: Uint8Array.of(1),
      alwaysSensitive: Uint8Array.of(1),
      extractable: Uint8Array.of(0),
      neverExtractable: Uint8Array.of(1),
      local: Uint8Array.of(1),
      sign: Uint8Array.of(1),
      decrypt: Uint8Array.of(0),
      unwrap: Uint8Array.of(0),
      id: sast.keyId,
      privateExponent: 'CKR_ATTRIBUTE_SENSITIVE',
      prime1: 'CKR_ATTRIBUTE_SENSITIVE',
    });
    expect(textOf(key, 'label')).toBe(sast.commonName.trimEnd());
    expect(contents.signature).toHaveLength(bits / 8);
    const publicKey = new X509Certificate(sast.certificate.der).publicKey;
    expect(verify('sha1', message, publicKey, contents.signature!)).toBe(true);
  });

  test('holds the certificate of this key beside it', () => {
    const [certificate, ...others] = contents.certificates;
    expect(others).toEqual([]);
    const der = Buffer.from(sast.certificate.der);
    const attribute = (name: string): Buffer => Buffer.from(certificate?.[name] as Uint8Array);
    expect(attribute('value').equals(der)).toBe(true);
    expect(attribute('id').equals(sast.keyId)).toBe(true);
    expect(textOf(certificate, 'label')).toBe(sast.commonName.trimEnd());
    expect(attribute('token')).toEqual(Buffer.of(1));
    expect(attribute('private')).toEqual(Buffer.of(0));
    expect(attribute('serialNumber').toString('hex')).toBe(
      `020a${Buffer.from(sast.certificate.serialNumber).toString('hex')}`,
    );
    // Whole DER names, as they stand in the certificate: the issuer before the subject.
    for (const name of ['subject', 'issuer']) {
      expect(attribute(name)[0]).toBe(0x30);
      expect(attribute(name)[1]).toBe(attribute(name).length - 2);
      expect(der.includes(attribute(name))).toBe(true);
    }
    expect(attribute('subject').includes(sast.commonName)).toBe(true);
    expect(attribute('issuer').includes('Cisco Manufacturing CA')).toBe(true);
    expect(attribute('subject').includes('Cisco Manufacturing CA')).toBe(false);

    expect(sast.certificate.keyBits).toBe(bits);
    expect(contents.publicKeys).toHaveLength(1);
    for (const key of [...contents.publicKeys, ...contents.privateKeys]) {
      expect(Buffer.from(rsaModulus(sast.certificate.publicKey)).equals(key['modulus'] as Uint8Array)).toBe(true);
      expect(key['id']).toEqual(sast.keyId);
    }
  });

  test('has a certificate that looks like the vendor’s', () => {
    expect(sast.commonName).toMatch(/^SAST-ADN[0-9a-f]{8} {8}$/);
    expect(sast.certificate.subject).toEqual([
      { type: 'CN', value: sast.commonName },
      { type: 'OU', value: 'IPCBU' },
      { type: 'O', value: 'Cisco Systems, Inc.' },
    ]);
    expect(sast.certificate.issuer).toEqual([
      { type: 'CN', value: 'Cisco Manufacturing CA' },
      { type: 'O', value: 'Cisco Systems' },
    ]);
    expect(formatTokenName(sast.certificate.subject)).toHaveLength(55);
    expect(Buffer.from(sast.certificate.serialNumber).toString('hex')).toMatch(/^[1-7][0-9a-f]{7}0000000[0-9a-f]{5}$/);
    expect(sast.certificate.notBefore).toEqual(now);
    expect(sast.certificate.notAfter).toEqual(new Date('2027-03-01T12:00:00Z'));
  });

  test('has a certificate that openssl takes, under this authority and no other', async () => {
    const write = (name: string, der: Uint8Array): string => {
      const path = join(folder, `${String(bits)}-${name}.pem`);
      writeFileSync(path, new X509Certificate(der).toString());
      return path;
    };
    const other = await createStandInAuthority({ now });
    expect(isIssuedBy(sast.certificate, authority.certificate)).toBe(true);
    expect(isIssuedBy(sast.certificate, other.certificate)).toBe(false);
    const certificate = write('sast', sast.certificate.der);
    const check = (trusted: Uint8Array): string => {
      const words = ['verify', '-auth_level', '1', '-attime', String(now.getTime() / 1000 + 60)];
      const files = ['-CAfile', write('ca', trusted), certificate];
      return spawnSync('openssl', [...words, ...files], { encoding: 'utf8' }).stdout.trim();
    };
    expect(check(other.certificate.der)).not.toMatch(/OK$/);
    expect(check(authority.certificate.der)).toMatch(/OK$/);
  });

  test('no file has the key of the authority', () => {
    const { d, p, q } = authority.key.export({ format: 'jwk' });
    const secrets = [d, p, q].map((number) => Buffer.from(number ?? '', 'base64url'));
    const files = filesBelow(softHsm.directory);
    expect(files.length).toBeGreaterThan(3);
    for (const { bytes } of files) {
      for (const secret of secrets) {
        expect(secret.length).toBeGreaterThan(100);
        expect(bytes.includes(secret)).toBe(false);
        expect(bytes.includes(secret.toString('base64'))).toBe(false);
        expect(bytes.includes(secret.toString('hex'))).toBe(false);
      }
      expect(bytes.includes('PRIVATE KEY')).toBe(false);
    }
  });
});

describe('the authority', () => {
  test('is new each time, and signs itself', async () => {
    const other = await createStandInAuthority();
    expect(other.key.equals(authority.key)).toBe(false);
    expect(other.certificate.serialNumber).not.toEqual(authority.certificate.serialNumber);
    expect(isIssuedBy(authority.certificate, authority.certificate)).toBe(true);
    expect(authority.certificate.subject).toEqual(authority.certificate.issuer);
    expect(authority.certificate.keyBits).toBe(2048);
    expect(new X509Certificate(authority.certificate.der).ca).toBe(true);
  });
});

describe('several tokens in one configuration', () => {
  let softHsm: SoftHsm;
  beforeAll(async () => {
    softHsm = await createSoftHsm(join(folder, 'several'));
  });

  test('are made even when all are asked for at once', async () => {
    const labels = ['one', 'two', 'Zürich ☎'];
    const made = await Promise.all(
      labels.map((label) => createSastToken(softHsm, { label, pin, soPin, bits: 1024, authority })),
    );
    expect(new Set(made.map(({ token }) => token.serialNumber)).size).toBe(3);
    expect(new Set(made.map(({ commonName }) => commonName)).size).toBe(3);
    expect(new Set(made.map(({ keyId }) => Buffer.from(keyId).toString('hex'))).size).toBe(3);
    const listed = await listSoftTokens(softHsm);
    expect(listed.map(({ label }) => label).sort()).toEqual([...labels].sort());
    expect(listed.find(({ label }) => label === 'Zürich ☎')?.uri).toMatch(
      /^pkcs11:token=Z%C3%BCrich%20%E2%98%8E;serial=[0-9a-f]{16}\?module-path=\//,
    );
    for (const { token, certificate } of made) {
      const contents = await readToken(softHsm, token, pin);
      expect(contents.certificates.map((one) => one['value'])).toEqual([new Uint8Array(certificate.der)]);
    }
  });

  test('have labels of their own', async () => {
    const before = await listSoftTokens(softHsm);
    const request = { label: 'two', pin, soPin };
    const refusal = {
      name: 'RefusalError',
      code: 'already-present',
      message: expect.stringContaining('there is already a token with the label two (serial ') as string,
      hint: 'choose another label',
    };
    await expect(createSoftToken(softHsm, request)).rejects.toMatchObject(refusal);
    await expect(createSastToken(softHsm, { ...request, bits: 1024, authority })).rejects.toMatchObject(refusal);
    const twice = await Promise.allSettled(
      [1, 2].map(() => createSoftToken(softHsm, { label: 'only once', pin, soPin })),
    );
    expect(twice.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(await listSoftTokens(softHsm)).toHaveLength(before.length + 1);
  });

  test('labels and PINs that a token cannot hold are refused before anything is made', async () => {
    const before = await listSoftTokens(softHsm);
    for (const label of ['', 'x'.repeat(33), 'é'.repeat(17), 'blank ', 'line\nbreak', 'nul\0']) {
      await expect(createSoftToken(softHsm, { label, pin, soPin })).rejects.toMatchObject({ code: 'usage' });
    }
    for (const bad of ['', '123', 'x'.repeat(256), '12\x0034']) {
      await expect(createSoftToken(softHsm, { label: 'new', pin: bad, soPin })).rejects.toMatchObject({
        code: 'usage',
        message: 'the PIN cannot be used',
      });
      await expect(createSoftToken(softHsm, { label: 'new', pin, soPin: bad })).rejects.toMatchObject({
        message: 'the SO PIN cannot be used',
      });
    }
    expect(await listSoftTokens(softHsm)).toEqual(before);
    const longest = await createSoftToken(softHsm, { label: 'é'.repeat(16), pin: 'x'.repeat(255), soPin: '1234' });
    expect(longest.label).toBe('é'.repeat(16));
    await readToken(softHsm, longest, 'x'.repeat(255));
  });
});

describe('keys and certificates one by one', () => {
  let softHsm: SoftHsm;
  let serialNumber: string;
  beforeAll(async () => {
    softHsm = await createSoftHsm(join(folder, 'one-by-one'));
    const token = await createSoftToken(softHsm, { label: 'cluster keys', pin, soPin });
    serialNumber = token.serialNumber;
  });

  const selfMade = async (publicKey: ReturnType<typeof createPublicKey>, commonName: string) =>
    issueCertificate(
      {
        subject: [{ type: 'CN', value: commonName }],
        publicKey,
        serialNumber: Uint8Array.of(0xff, 1),
        notBefore: now,
        notAfter: new Date('2031-03-01T12:00:00Z'),
      },
      { name: [{ type: 'CN', value: 'lab' }], key: authority.key },
    );

  test('a key made on a token gets a certificate that was issued elsewhere', async () => {
    const key = await generateTokenKey(softHsm, { serialNumber, pin, bits: 2048, label: 'CallManager' });
    expect(key.keyId).toHaveLength(20);
    expect(key.publicKey.asymmetricKeyDetails).toEqual({ modulusLength: 2048, publicExponent: 65537n });
    const certificate = await selfMade(key.publicKey, 'CallManager');
    await storeTokenCertificate(softHsm, { serialNumber, pin, keyId: key.keyId, label: key.label, certificate });
    const [token] = await listSoftTokens(softHsm);
    const contents = await readToken(softHsm, token!, pin);
    expect(contents.certificates).toHaveLength(1);
    expect(contents.certificates[0]).toMatchObject({ id: key.keyId, value: new Uint8Array(certificate.der) });
    expect(textOf(contents.privateKeys[0], 'label')).toBe('CallManager');
    expect(Buffer.from(contents.certificates[0]?.['serialNumber'] as Uint8Array).toString('hex')).toBe('020300ff01');
  });

  test('a certificate of another key is refused, and so is a key that is not there', async () => {
    const key = await generateTokenKey(softHsm, { serialNumber, pin, bits: 1024, label: 'ITLRecovery' });
    const certificate = await selfMade(createPublicKey(await generateRsaKey(1024)), 'stranger');
    const request = { serialNumber, pin, label: 'stranger', certificate };
    await expect(storeTokenCertificate(softHsm, { ...request, keyId: key.keyId })).rejects.toMatchObject({
      name: 'ProofError',
      code: 'key-mismatch',
      message: 'the certificate CN=stranger is not for this key',
    });
    await expect(storeTokenCertificate(softHsm, { ...request, keyId: Uint8Array.of(0xab) })).rejects.toMatchObject({
      code: 'key-not-found',
      message: 'the token has no private key with the id ab',
    });
    const [token] = await listSoftTokens(softHsm);
    expect((await readToken(softHsm, token!, pin)).certificates).toHaveLength(1);
  });

  test('a wrong PIN and a token that is not there have errors of their own', async () => {
    const request = { serialNumber, pin: 'not-the-pin-99', bits: 1024 as const, label: 'x' };
    const wrong = await generateTokenKey(softHsm, request).catch((error: unknown) => error as Error);
    expect(wrong).toMatchObject({
      name: 'DeviceError',
      code: 'pin-incorrect',
      functionName: 'C_Login',
      returnValue: 'CKR_PIN_INCORRECT',
      message: 'the token does not take this PIN (C_Login: CKR_PIN_INCORRECT)',
    });
    expect(JSON.stringify(wrong, Object.getOwnPropertyNames(wrong))).not.toContain('not-the-pin');
    await expect(generateTokenKey(softHsm, { ...request, serialNumber: 'feed' })).rejects.toMatchObject({
      code: 'token-not-found',
      message: 'there is no token with the serial number feed in this configuration',
    });
    await expect(generateTokenKey(softHsm, { ...request, pin, label: 'after' })).resolves.toHaveProperty(
      'label',
      'after',
    );
  });
});

describe('the process that works on the token', () => {
  /** The processes that this one has started, with what anyone may read of them. Linux only. */
  function children(): { pid: number; words: string; environment: string }[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .flatMap((name) => {
        try {
          const parent = / \(.*\) \S (\d+) /s.exec(readFileSync(`/proc/${name}/stat`, 'latin1'))?.[1];
          if (Number(parent) !== process.pid) return [];
          const words = readFileSync(`/proc/${name}/cmdline`, 'latin1');
          return [{ pid: Number(name), words, environment: readFileSync(`/proc/${name}/environ`, 'latin1') }];
        } catch {
          return []; // It ended meanwhile.
        }
      });
  }

  /** Watches until a promise settles. */
  async function watch(settled: Promise<unknown>, look: () => void): Promise<void> {
    const timer = setInterval(look, 5);
    await settled.catch(() => undefined);
    clearInterval(timer);
  }

  test.skipIf(process.platform !== 'linux')('shows no PIN in its arguments and environment', async () => {
    const softHsm = await createSoftHsm(join(folder, 'watched'));
    const secret = 'seldom-seen-8823';
    const seen: string[] = [];
    const making = createSastToken(softHsm, { label: 'w', pin: secret, soPin: secret, bits: 2048, authority });
    await watch(making, () => seen.push(...children().map(({ words, environment }) => `${words}\n${environment}`)));
    const ours = seen.filter((text) => text.includes('provisioning-child.js'));
    expect(ours.length).toBeGreaterThan(0);
    expect(ours.some((text) => text.includes(`SOFTHSM2_CONF=${softHsm.configuration}`))).toBe(true);
    expect(seen.some((text) => text.includes(secret))).toBe(false);
    await making;
    expect(children().filter(({ words }) => words.includes('provisioning-child.js'))).toEqual([]);
  });

  test.skipIf(process.platform !== 'linux')('may be killed: that is an error, and the next one works', async () => {
    const softHsm = await createSoftHsm(join(folder, 'killed'));
    const { serialNumber } = await createSoftToken(softHsm, { label: 'k', pin, soPin });
    const request = { serialNumber, pin, bits: 2048 as const, label: 'key' };
    const making = generateTokenKey(softHsm, request);
    const failed = expect(making).rejects.toMatchObject({
      name: 'DeviceError',
      code: 'host-crashed',
      message: 'the process that works on the token ended with SIGKILL',
    });
    await watch(making, () => {
      for (const { pid, words } of children())
        if (words.includes('provisioning-child.js')) process.kill(pid, 'SIGKILL');
    });
    await failed;
    await expect(generateTokenKey(softHsm, request)).resolves.toHaveProperty('label', 'key');
  });

  test('does not need the parent to have a library loaded', async () => {
    const softHsm = await createSoftHsm(join(folder, 'parent'));
    await createSastToken(softHsm, { label: 'p', pin, soPin, bits: 1024, authority });
    const loaded = process.report.getReport() as { sharedObjects: string[] };
    expect(loaded.sharedObjects.some((path) => /softhsm|pkcs11/.test(path))).toBe(false);
  });

  test('names a library that is none', async () => {
    const softHsm = await createSoftHsm(join(folder, 'no-library'));
    const text = join(folder, 'text.so');
    writeFileSync(text, 'this is text');
    await expect(listSoftTokens({ ...softHsm, module: text })).rejects.toMatchObject({
      code: 'module-failed',
      message: expect.stringContaining(`${text} cannot be loaded: `) as string,
    });
    await expect(listSoftTokens({ ...softHsm, module: '/absent.so' })).rejects.toMatchObject({ code: 'module-failed' });
  });
});
