import { spawnSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createSoftToken, generateTokenKey } from 'softhsm-config';
import { beforeAll, describe, expect, test } from 'vitest';
import { commonName, decodeCertificate, decodeCertificates } from '../../src/x509/index.js';
import {
  checkToken,
  exportSastCertificates,
  listSastCertificates,
  listTokens,
  openTokenSigner,
  parseTokenUri,
  Pin,
  surveyTokens,
  type PinRequest,
  type TokenAccess,
} from '../../src/token/index.js';
import { elf } from './library-files.js';
import { makeSoftTokens, pinSource, rightPin, temporaryFolder, wrongPin, type SoftTokens } from './soft-tokens.js';

const folder = temporaryFolder();
let soft: SoftTokens;
let access: TokenAccess;

beforeAll(async () => {
  soft = await makeSoftTokens(folder, [
    { label: 'CTL one', bits: 2048 },
    { label: 'CTL two; ?&%', bits: 1024 },
  ]);
  access = { environment: soft.environment };
});

describe('listTokens', () => {
  test('lists two tokens that are plugged in, with a URI each that chooses it', async () => {
    const tokens = await listTokens(access);
    expect(tokens.map(({ label }) => label).sort()).toEqual(['CTL one', 'CTL two; ?&%']);
    for (const { token } of soft.identities) {
      const found = tokens.find(({ serialNumber }) => serialNumber === token.serialNumber);
      expect(found).toMatchObject({
        label: token.label,
        manufacturer: 'SoftHSM project',
        model: 'SoftHSM v2',
        modulePath: soft.softHsm.module,
        initialised: true,
        loginRequired: true,
        protectedAuthenticationPath: false,
        pin: { state: 'ok' },
      });
      const again = await listTokens({ ...access, uri: parseTokenUri(found!.uri) });
      expect(again.map(({ serialNumber }) => serialNumber)).toEqual([token.serialNumber]);
    }
  });

  test('tells the sizes of keys without a PIN', async () => {
    const tokens = await listTokens(access);
    const keys = Object.fromEntries(tokens.map((token) => [token.label, token.keys]));
    expect(keys['CTL one']).toMatchObject([{ bits: 2048, type: 'rsa', id: soft.identities[0]!.keyId }]);
    expect(keys['CTL two; ?&%']).toMatchObject([{ bits: 1024, type: 'rsa', id: soft.identities[1]!.keyId }]);
  });

  test('leaves out the empty token that SoftHSM2 always has, unless asked', async () => {
    const all = await listTokens({ ...access, includeUninitialised: true });
    expect(all.filter(({ initialised }) => !initialised)).toHaveLength(1);
    expect(all).toHaveLength(3);
  });

  test('the module comes from the option before the environment', async () => {
    const environment = { ...soft.environment, ETOKEN_BRIDGE_MODULE: join(folder, 'absent.so') };
    expect(await listTokens({ environment, modulePath: soft.softHsm.module })).toHaveLength(2);
    await expect(listTokens({ environment })).rejects.toMatchObject({ code: 'module-missing' });
  });

  test('a library that is no PKCS#11 module, and one that cannot be loaded, are told apart', async () => {
    // The compiled half of pkcs11js is a library that every machine with these tests has.
    const other = fileURLToPath(new URL('../../node_modules/pkcs11js/build/Release/pkcs11.node', import.meta.url));
    await expect(listTokens({ ...access, modulePath: other })).rejects.toMatchObject({
      code: 'module-not-a-library',
      message: expect.stringContaining('no PKCS#11 module') as string,
    });
    const machine = process.arch === 'arm64' ? 183 : 62;
    const broken = join(folder, 'broken.so');
    writeFileSync(broken, elf(machine));
    await expect(listTokens({ ...access, modulePath: broken })).rejects.toMatchObject({ code: 'module-failed' });
  });

  test('a module that cannot start says which function failed, and with what', async () => {
    const environment = { ...soft.environment, SOFTHSM2_CONF: join(folder, 'absent.conf') };
    await expect(listTokens({ environment })).rejects.toMatchObject({
      code: 'module-failed',
      functionName: 'C_Initialize',
      returnValue: 'CKR_GENERAL_ERROR',
      hint: expect.stringContaining('configuration') as string,
    });
  });

  test('a module without tokens has none, and says nothing is wrong', async () => {
    const { softHsm } = await makeSoftTokens(join(folder, 'empty'), []);
    const environment = { ...soft.environment, ...softHsm.environment };
    expect(await surveyTokens({ environment })).toMatchObject({
      tokens: [],
      modules: [{ tokenCount: 0, failures: [] }],
    });
  });
});

describe('two modules, of which one is broken', () => {
  /** An environment that names no module, with these in a module file of p11-kit each. */
  function installed(name: string, modules: Readonly<Record<string, string>>, configuration: TokenAccess): TokenAccess {
    const home = join(folder, name);
    mkdirSync(join(home, 'pkcs11/modules'), { recursive: true });
    for (const [module, path] of Object.entries(modules)) {
      writeFileSync(join(home, `pkcs11/modules/${module}.module`), `module: ${path}\n`);
    }
    const environment = { ...configuration.environment, XDG_CONFIG_HOME: home, ETOKEN_BRIDGE_MODULE: '' };
    return { environment };
  }

  function breakModule(): string {
    const broken = join(folder, 'libbroken.so');
    writeFileSync(broken, elf(process.arch === 'arm64' ? 183 : 62));
    return broken;
  }

  test('its failure hides neither the tokens of the other nor that none of them is the one', async () => {
    const both = installed('both', { broken: breakModule(), good: soft.softHsm.module }, access);
    // The machine may have modules of its own beside these two, with failures and tokens of their own.
    const { modules } = await surveyTokens(both);
    const failuresOf = (name: string): number | undefined =>
      modules.find(({ path }) => path.endsWith(name))?.failures.length;
    expect([failuresOf('libbroken.so'), failuresOf('libsofthsm2.so')]).toEqual([1, 0]);
    const labels = (await listTokens(both)).map(({ label }) => label);
    expect(labels).toEqual(expect.arrayContaining(['CTL one', 'CTL two; ?&%']));
    const uri = { token: 'CTL three' };
    expect(await listTokens({ ...both, uri })).toEqual([]);
    expect(await listSastCertificates({ ...both, uri })).toEqual([]);
    expect(await exportSastCertificates({ ...both, tokenLabel: 'CTL three' })).toEqual([]);
    const opening = openTokenSigner({ ...both, uri, pin: pinSource().ask });
    await expect(opening).rejects.toMatchObject({ code: 'token-not-found' });
  });

  test('its failure is told when the other shows no token', async () => {
    // SoftHSM2 always shows one that holds nothing yet.
    const { softHsm } = await makeSoftTokens(join(folder, 'none'), []);
    const modules = { broken: breakModule(), good: softHsm.module };
    const both = installed('empty-home', modules, { environment: { ...soft.environment, ...softHsm.environment } });
    const failures = (await surveyTokens(both)).modules.flatMap((module) => module.failures);
    expect(failures.map(({ message }) => message)).toContainEqual(expect.stringContaining('libbroken.so'));
    // The first one: the machine may have modules of its own that fail too.
    const told = { code: failures[0]?.code, message: failures[0]?.message };
    await expect(listTokens(both)).rejects.toMatchObject(told);
    await expect(listSastCertificates(both)).rejects.toMatchObject(told);
  });

  test('module-name of a URI chooses before the environment does', async () => {
    const broken = breakModule();
    const { environment } = installed('named', { good: soft.softHsm.module }, access);
    const elsewhere = { environment: { ...environment, ETOKEN_BRIDGE_MODULE: broken } };
    const uri = parseTokenUri('pkcs11:token=CTL%20one?module-name=softhsm2');
    expect((await listTokens({ ...elsewhere, uri })).map(({ label }) => label)).toEqual(['CTL one']);
    // A module of this name that only the environment knows is the one that is meant.
    const other = { ...elsewhere, uri: parseTokenUri('pkcs11:?module-name=broken') };
    await expect(listTokens(other)).rejects.toMatchObject({ code: 'module-failed' });
    const absent = { ...elsewhere, uri: parseTokenUri('pkcs11:?module-name=absent') };
    await expect(listTokens(absent)).rejects.toMatchObject({
      code: 'module-missing',
      message: expect.stringMatching(/named absent was found; \d\d+ places/) as string,
    });
  });
});

describe('a spy module', () => {
  test('is told to whoever is asked for the PIN, before it is given', async () => {
    const spy = join(folder, 'softhsm2-spy.so');
    symlinkSync(soft.softHsm.module, spy);
    const seen: (readonly string[])[] = [];
    const pin: PinRequest = (_token, warnings) => {
      seen.push(warnings);
      return Promise.resolve(new Pin(wrongPin));
    };
    const options = { ...access, modulePath: spy, tokenLabel: 'CTL one', pin };
    for (const attempt of [openTokenSigner, checkToken, listSastCertificates, exportSastCertificates]) {
      await expect(attempt(options)).rejects.toMatchObject({ code: 'pin-incorrect' });
    }
    const warning = expect.stringContaining('softhsm2-spy.so looks like a spy module') as string;
    expect(seen).toEqual([[warning], [warning], [warning], [warning]]);
    // The right one, for the tests that follow: a wrong PIN is counted until then.
    await (await openTokenSigner({ ...options, modulePath: soft.softHsm.module, pin: pinSource().ask })).close();
  });

  test('a module that is none has no warning', async () => {
    const seen: (readonly string[])[] = [];
    const pin: PinRequest = (_token, warnings) => {
      seen.push(warnings);
      return Promise.resolve(new Pin(rightPin));
    };
    await listSastCertificates({ ...access, pin });
    expect(seen).toEqual([[], []]);
  });
});

describe('SAST certificates', () => {
  test('are found without a PIN, and their keys are not known then', async () => {
    const found = await listSastCertificates(access);
    const names = found.map(({ certificate }) => commonName(certificate.subject)).sort();
    expect(names).toEqual(soft.identities.map(({ commonName: name }) => name).sort());
    expect(found.map(({ hasPrivateKey }) => hasPrivateKey)).toEqual(['unknown', 'unknown']);
    for (const { token, id, certificate } of found) {
      const identity = soft.identities.find((one) => one.token.serialNumber === token.serialNumber)!;
      expect(id).toEqual(identity.keyId);
      expect(certificate.der).toEqual(identity.certificate.der);
    }
  });

  test('with the PIN their keys are found; it is asked for once a token', async () => {
    const pin = pinSource();
    const found = await listSastCertificates({ ...access, pin: pin.ask });
    expect(found.map(({ hasPrivateKey }) => hasPrivateKey)).toEqual([true, true]);
    expect(pin.asked()).toBe(2);
  });

  test('one token only, when one is meant', async () => {
    const found = await listSastCertificates({ ...access, tokenLabel: 'CTL one' });
    expect(found.map(({ token }) => token.label)).toEqual(['CTL one']);
  });

  test('a wrong PIN ends it', async () => {
    const pin = pinSource(wrongPin);
    const attempt = listSastCertificates({ ...access, tokenLabel: 'CTL one', pin: pin.ask });
    await expect(attempt).rejects.toMatchObject({ code: 'pin-incorrect', functionName: 'C_Login' });
    expect(pin.asked()).toBe(1);
  });

  test('export gives files that openssl reads, named by the trimmed common name', async () => {
    const files = await exportSastCertificates(access);
    const expected = soft.identities.map(({ commonName: name }) => `${name.trim()}.cer`).sort();
    expect(files.map(({ fileName }) => fileName).sort()).toEqual(expected);
    for (const { fileName, bytes, certificate } of files) {
      const path = join(folder, fileName);
      writeFileSync(path, bytes);
      const shown = spawnSync('openssl', ['x509', '-inform', 'der', '-in', path, '-noout', '-subject'], {
        encoding: 'utf8',
      });
      expect(shown.stderr).toBe('');
      expect(shown.stdout).toContain(commonName(certificate.subject)!.trim());
      expect(decodeCertificate(bytes).der).toEqual(certificate.der);
    }
  });

  test('export as PEM gives the same certificates', async () => {
    const [der, pem] = [await exportSastCertificates(access, 'der'), await exportSastCertificates(access, 'pem')];
    for (const [index, { bytes, fileName }] of pem.entries()) {
      const path = join(folder, `${fileName}.pem`);
      writeFileSync(path, bytes);
      expect(spawnSync('openssl', ['x509', '-in', path, '-noout']).status).toBe(0);
      expect(decodeCertificates(bytes)[0]?.der).toEqual(der[index]!.bytes);
    }
  });

  test('a token with a key and no certificate has nothing to export, and shows its key', async () => {
    const own = await makeSoftTokens(join(folder, 'bare'), []);
    const token = await createSoftToken(own.softHsm, { label: 'bare', pin: rightPin, soPin: '12345678' });
    await generateTokenKey(own.softHsm, { serialNumber: token.serialNumber, pin: rightPin, bits: 2048, label: 'lone' });
    expect(await exportSastCertificates({ environment: own.environment })).toEqual([]);
    expect(await listTokens({ environment: own.environment })).toMatchObject([
      { label: 'bare', keys: [{ bits: 2048, type: 'rsa', label: 'lone' }] },
    ]);
  });
});
