import { spawnSync } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { createSoftToken, generateTokenKey, issueSastCertificate } from 'softhsm-config';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DeviceError, EtokenBridgeError, ProofError } from '../../src/errors.js';
import { digestAlgorithms, verifyDigest, type DigestAlgorithm } from '../../src/signer/index.js';
import {
  checkToken,
  listTokens,
  openTokenSigner,
  parseTokenUri,
  type TokenSigner,
  type TokenSignerOptions,
} from '../../src/token/index.js';
import { buildFaultShim, shimMissing, type FaultShim } from '../fault-shim/build.js';
import { skipReason } from '../skip-reason.js';
import { makeStrictKey } from './odd-token.js';
import {
  isRunning,
  makeSoftTokens,
  pinSource,
  requestFor,
  rightPin,
  temporaryFolder,
  waitUntil,
  wrongPin,
  type SoftTokens,
} from './soft-tokens.js';

const folder = temporaryFolder();
const message = new TextEncoder().encode('what is signed');
let soft: SoftTokens;

beforeAll(async () => {
  soft = await makeSoftTokens(folder, [
    { label: 'CTL one', bits: 2048 },
    { label: 'CTL two', bits: 1024 },
  ]);
});

function options(more: Partial<TokenSignerOptions> = {}): TokenSignerOptions {
  return { environment: soft.environment, tokenLabel: 'CTL one', pin: pinSource().ask, ...more };
}

async function failure(attempt: Promise<unknown>): Promise<EtokenBridgeError> {
  const error: unknown = await attempt.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof EtokenBridgeError) return error;
  throw new Error(`no error of ours: ${inspect(error)}`);
}

async function withSigner<Result>(
  more: Partial<TokenSignerOptions>,
  use: (signer: TokenSigner) => Promise<Result>,
): Promise<Result> {
  const signer = await openTokenSigner(options(more));
  try {
    return await use(signer);
  } finally {
    await signer.close();
  }
}

/** What `openssl dgst -verify` says of a signature, with the public key of the certificate in a file. */
function opensslVerifies(
  certificate: Uint8Array,
  digest: DigestAlgorithm,
  data: Uint8Array,
  signature: Uint8Array,
): string {
  const path = (name: string): string => join(folder, name);
  writeFileSync(path('signer.cer'), certificate);
  writeFileSync(path('data'), data);
  writeFileSync(path('signature'), signature);
  const key = spawnSync('openssl', ['x509', '-inform', 'der', '-in', path('signer.cer'), '-pubkey', '-noout']);
  writeFileSync(path('key.pem'), key.stdout);
  const words = ['dgst', `-${digest}`, '-verify', path('key.pem'), '-signature', path('signature'), path('data')];
  return spawnSync('openssl', words, { encoding: 'utf8' }).stdout.trim();
}

/** The token hosts that this process has. */
function hostProcesses(): readonly number[] {
  const { stdout } = spawnSync('ps', ['-A', '-o', 'pid=,ppid=,args='], { encoding: 'utf8' });
  return stdout
    .split('\n')
    .filter((line) => line.includes('host-process.js'))
    .map((line) => line.trim().split(/\s+/).map(Number))
    .filter(([, parent]) => parent === process.pid)
    .map(([own]) => own ?? 0);
}

describe('a token signer', () => {
  test.each(digestAlgorithms)('signs with %s, and openssl verifies it', async (digest) => {
    await withSigner({}, async (signer) => {
      const signature = await signer.sign(requestFor(digest, message));
      expect(signature).toHaveLength(256);
      expect(opensslVerifies(signer.certificate.der, digest, message, signature)).toBe('Verified OK');
      signature[0] = (signature[0] ?? 0) ^ 1;
      expect(opensslVerifies(signer.certificate.der, digest, message, signature)).toContain('failure');
    });
  });

  test('has the certificate of its token, and its token', async () => {
    await withSigner({ tokenLabel: 'CTL two' }, async (signer) => {
      const identity = soft.identities[1]!;
      expect(signer.certificate.der).toEqual(identity.certificate.der);
      expect(signer.token).toMatchObject({
        label: 'CTL two',
        serialNumber: identity.token.serialNumber,
        pin: { state: 'ok' },
      });
      expect(signer.token.keys).toMatchObject([{ bits: 1024, type: 'rsa' }]);
      expect(await signer.sign(requestFor('sha1', message))).toHaveLength(128);
    });
  });

  test.each([1, 2, 4])('signs a batch in its order, with %i sessions', async (sessions) => {
    await withSigner({ sessions }, async (signer) => {
      const requests = Array.from({ length: 101 }, (_, index) =>
        requestFor(digestAlgorithms[index % 3]!, Uint8Array.of(index)),
      );
      const signatures = await signer.signBatch(requests);
      expect(signatures).toHaveLength(101);
      for (const [index, signature] of signatures.entries()) {
        expect(verifyDigest(signer.certificate, requests[index]!, signature)).toBe(true);
      }
      expect(await signer.signBatch([])).toEqual([]);
    });
  });

  test('takes signatures that are asked for at the same time', async () => {
    await withSigner({ sessions: 2 }, async (signer) => {
      const requests = Array.from({ length: 20 }, () => requestFor('sha512', randomBytes(10)));
      const signatures = await Promise.all(requests.map((request) => signer.sign(request)));
      expect(requests.every((request, index) => verifyDigest(signer.certificate, request, signatures[index]!))).toBe(
        true,
      );
    });
  });

  test('makes what was asked for before it is closed, and nothing afterwards', async () => {
    const signer = await openTokenSigner(options());
    const last = signer.sign(requestFor('sha256', message));
    await signer.close();
    expect(await last).toHaveLength(256);
    expect(await failure(signer.sign(requestFor('sha256', message)))).toBeInstanceOf(DeviceError);
    await signer.close();
    expect(hostProcesses()).toEqual([]);
  });

  test('is found by URI, by serial number, by id and by label of the key', async () => {
    const { token, keyId } = soft.identities[1]!;
    const ways: Partial<TokenSignerOptions>[] = [
      { uri: parseTokenUri(token.uri) },
      { tokenSerial: token.serialNumber.toUpperCase() },
      { uri: { token: 'CTL two' }, id: keyId },
      { tokenLabel: 'CTL two', object: soft.identities[1]!.commonName.trim() },
    ];
    for (const way of ways) {
      const serialNumber = await withSigner(
        { ...way, ...('tokenLabel' in way ? {} : { tokenLabel: 'CTL two' }) },
        (signer) => Promise.resolve(signer.token.serialNumber),
      );
      expect(serialNumber).toBe(token.serialNumber);
    }
    const error = await failure(openTokenSigner(options({ id: Uint8Array.of(1, 2, 3) })));
    expect(error.code).toBe('key-not-found');
  });

  test('with two tokens and none named no PIN is asked for', async () => {
    const pin = pinSource();
    const error = await failure(openTokenSigner({ environment: soft.environment, pin: pin.ask }));
    expect(error.code).toBe('several-tokens');
    for (const { token } of soft.identities) expect(error.message).toContain(token.uri);
    expect(pin.asked()).toBe(0);
    expect(hostProcesses()).toEqual([]);
  });

  test('a PIN that is not given is said, and nothing is left behind', async () => {
    const error = await failure(openTokenSigner(options({ pin: () => Promise.resolve(undefined) })));
    expect(error.code).toBe('pin-missing');
    const thrown = openTokenSigner(options({ pin: () => Promise.reject(new Error('cancelled')) }));
    await expect(thrown).rejects.toThrow('cancelled');
    expect(hostProcesses()).toEqual([]);
  });
});

describe('a wrong PIN', () => {
  test('is tried once, shows nowhere, and the right one works afterwards', async () => {
    const pin = pinSource(wrongPin);
    const error = await failure(openTokenSigner(options({ tokenLabel: 'CTL two', pin: pin.ask })));
    expect(error).toMatchObject({ code: 'pin-incorrect', functionName: 'C_Login', returnValue: 'CKR_PIN_INCORRECT' });
    expect(error.message).toContain('CTL two');
    expect(error.message).toContain('few tries are left');
    expect(pin.asked()).toBe(1);
    for (const shown of [inspect(error, { depth: 9, showHidden: true }), JSON.stringify(error), error.stack ?? '']) {
      expect(shown).not.toContain(wrongPin);
    }
    const [token] = await listTokens({ environment: soft.environment, uri: { token: 'CTL two' } });
    expect(token?.pin.state).toBe('count-low');
    await withSigner({ tokenLabel: 'CTL two' }, async (signer) => {
      expect(signer.token.pin.state).toBe('ok');
      expect(await signer.sign(requestFor('sha1', message))).toHaveLength(128);
      expect(inspect(signer, { depth: 9, showHidden: true })).not.toContain(rightPin);
    });
  });
});

describe('the certificate', () => {
  test('may be given for a token that has none, and must be for its key', async () => {
    const own = await makeSoftTokens(join(folder, 'bare'), []);
    const token = await createSoftToken(own.softHsm, { label: 'bare', pin: rightPin, soPin: '12345678' });
    const request = { serialNumber: token.serialNumber, pin: rightPin, bits: 2048 as const, label: 'lone' };
    const key = await generateTokenKey(own.softHsm, request);
    const bare: TokenSignerOptions = { environment: own.environment, pin: pinSource().ask };
    expect((await failure(openTokenSigner(bare))).code).toBe('certificate-not-found');

    const issued = { commonName: 'SAST-ADN00000001', authority: own.authority };
    const certificate = await issueSastCertificate({ ...issued, publicKey: key.publicKey });
    const signer = await openTokenSigner({ ...bare, certificate });
    expect(verifyDigest(certificate, requestFor('sha1', message), await signer.sign(requestFor('sha1', message)))).toBe(
      true,
    );
    await signer.close();

    const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const foreign = await issueSastCertificate({ ...issued, publicKey });
    const error = await failure(openTokenSigner({ ...bare, certificate: foreign }));
    expect(error).toBeInstanceOf(ProofError);
    expect(error.code).toBe('key-mismatch');
    expect(hostProcesses()).toEqual([]);
  });
});

describe('a key that wants a login for each signature', () => {
  test('gets one, between C_SignInit and C_Sign', async () => {
    const own = await makeSoftTokens(join(folder, 'always'), []);
    const token = await createSoftToken(own.softHsm, { label: 'always', pin: rightPin, soPin: '12345678' });
    const publicKey = makeStrictKey(own.softHsm, token.serialNumber, rightPin);
    const certificate = await issueSastCertificate({ commonName: 'SAST-STRICT', authority: own.authority, publicKey });
    const open = (more: Partial<TokenSignerOptions>): Promise<TokenSigner> =>
      openTokenSigner({ environment: own.environment, pin: pinSource().ask, certificate, sessions: 2, ...more });
    const signer = await open({});
    const requests = Array.from({ length: 3 }, (_, index) => requestFor('sha256', Uint8Array.of(index)));
    const signatures = await signer.signBatch(requests);
    expect(requests.every((request, index) => verifyDigest(certificate, request, signatures[index]!))).toBe(true);
    await signer.close();

    const second = pinSource(wrongPin);
    const wrong = await open({ signaturePin: second.ask });
    const batch = Array.from({ length: 100 }, (_, index) => requestFor('sha256', Uint8Array.of(index)));
    expect(await failure(wrong.signBatch(batch))).toMatchObject({ code: 'pin-incorrect', functionName: 'C_Login' });
    // The host itself does not try again, whatever is asked of it.
    const again = await failure(wrong.sign(batch[0]!));
    expect(again.code).toBe('pin-incorrect');
    expect(again.message).toContain('no other is tried');
    expect(second.asked()).toBe(1);
    await wrong.close();
  });
});

describe('checkToken', () => {
  test('signs and verifies with each digest in both ways', async () => {
    const check = await checkToken(options());
    expect(check.trials.map(({ digest, mechanism, ok }) => [digest, mechanism, ok])).toEqual([
      ['sha1', 'CKM_RSA_PKCS', true],
      ['sha1', 'CKM_SHA1_RSA_PKCS', true],
      ['sha256', 'CKM_RSA_PKCS', true],
      ['sha256', 'CKM_SHA256_RSA_PKCS', true],
      ['sha512', 'CKM_RSA_PKCS', true],
      ['sha512', 'CKM_SHA512_RSA_PKCS', true],
    ]);
    expect(check).toMatchObject({ ok: true, pin: { state: 'ok' }, warnings: [] });
    expect(check.trials.every(({ milliseconds }) => milliseconds > 0)).toBe(true);
    expect(hostProcesses()).toEqual([]);
  });
});

describe.skipIf(shimMissing !== undefined)(`a token that fails${skipReason(shimMissing)}`, () => {
  let shim: FaultShim;
  let faulty: TokenSignerOptions;

  beforeAll(() => {
    shim = buildFaultShim(join(folder, 'shim'), soft.softHsm.module);
    const environment = { ...soft.environment, ...shim.environment, ETOKEN_BRIDGE_MODULE: shim.module };
    faulty = options({ environment, callTimeout: 700, interactionTimeout: 700 });
  });
  afterAll(() => {
    expect(hostProcesses()).toEqual([]);
  });

  const logins = (): number => shim.takeCalls().filter((name) => name === 'C_Login').length;

  async function openFaulty(more: Partial<TokenSignerOptions>, ...rules: readonly string[]): Promise<TokenSigner> {
    shim.setRules();
    const signer = await openTokenSigner({ ...faulty, ...more });
    shim.setRules(...rules);
    shim.takeCalls();
    return signer;
  }

  test('a wrong PIN is one C_Login, also when the module says nothing more than that it failed', async () => {
    for (const [rule, code] of [
      ['', 'pin-incorrect'],
      ['C_Login rv=0x5', 'function-failed'],
    ] as const) {
      shim.setRules(rule);
      shim.takeCalls();
      const error = await failure(openTokenSigner({ ...faulty, pin: pinSource(wrongPin).ask }));
      expect(error).toMatchObject({ code, functionName: 'C_Login' });
      expect(logins()).toBe(1);
    }
  });

  test.each([
    ['0x20000', 'pin-final-try'],
    ['0x40000', 'pin-locked'],
  ])('with flags %s no PIN is asked for and none is tried', async (flags, code) => {
    shim.setRules(`C_GetTokenInfo flags=${flags}`);
    shim.takeCalls();
    const pin = pinSource();
    const error = await failure(openTokenSigner({ ...faulty, pin: pin.ask }));
    expect(error.code).toBe(code);
    expect(error.message).toContain('CTL one');
    expect(error.hint).toBeDefined();
    expect([pin.asked(), logins()]).toEqual([0, 0]);
  });

  test('the last try is used when that is what the user wants', async () => {
    shim.setRules('C_GetTokenInfo flags=0x20000');
    const signer = await openTokenSigner({ ...faulty, useFinalPinTry: true });
    expect(await signer.sign(requestFor('sha1', message))).toHaveLength(256);
    await signer.close();
    const wrong = await failure(openTokenSigner({ ...faulty, useFinalPinTry: true, pin: pinSource(wrongPin).ask }));
    expect(wrong).toMatchObject({
      code: 'pin-incorrect',
      message: expect.stringContaining('one try is left') as string,
    });
  });

  test('a PIN that locks with the wrong try is told so', async () => {
    for (const [value, rules, returnValue] of [
      [wrongPin, ['C_GetTokenInfo flags=0x40000'], 'CKR_PIN_INCORRECT'],
      [rightPin, ['C_Login rv=0xa4'], 'CKR_PIN_LOCKED'],
    ] as const) {
      shim.setRules();
      const pin = pinSource(value);
      // The token changes its mind between the question for the PIN and the login.
      const ask: typeof pin.ask = (token, warnings) => {
        shim.setRules(...rules);
        return pin.ask(token, warnings);
      };
      const error = await failure(openTokenSigner({ ...faulty, pin: ask }));
      expect(error).toMatchObject({ code: 'pin-locked', functionName: 'C_Login', returnValue });
      expect(error.hint).toContain('unlock');
    }
  });

  test('a token that refuses digests gets messages, and is not asked again', async () => {
    const signer = await openFaulty({}, 'C_SignInit mechanism=0x1 rv=0x70');
    const requests = Array.from({ length: 70 }, (_, index) => requestFor('sha1', Uint8Array.of(index)));
    const signatures = await signer.signBatch(requests);
    expect(requests.every((request, index) => verifyDigest(signer.certificate, request, signatures[index]!))).toBe(
      true,
    );
    shim.setRules('C_SignInit mechanism=0x1 abort');
    expect(
      opensslVerifies(signer.certificate.der, 'sha512', message, await signer.sign(requestFor('sha512', message))),
    ).toBe('Verified OK');
    const { digestAlgorithm, digest } = requestFor('sha1', message);
    const error = await failure(signer.sign({ digestAlgorithm, digest }));
    expect(error).toMatchObject({
      code: 'mechanism-refused',
      message: expect.stringContaining('messages only') as string,
    });
    await signer.close();
  });

  test.each([
    ['C_SignInit', '0x70', 'CKR_MECHANISM_INVALID'],
    ['C_SignInit', '0x71', 'CKR_MECHANISM_PARAM_INVALID'],
    ['C_SignInit', '0x7', 'CKR_ARGUMENTS_BAD'],
    ['C_SignInit', '0x63', 'CKR_KEY_TYPE_INCONSISTENT'],
    ['C_SignInit', '0x54', 'CKR_FUNCTION_NOT_SUPPORTED'],
    ['C_Sign', '0x21', 'CKR_DATA_LEN_RANGE'],
    ['C_Sign', '0x20', 'CKR_DATA_INVALID'],
  ])('%s with %s falls back to the message, and is named when there is none', async (functionName, value, name) => {
    const signer = await openFaulty({}, `${functionName} mechanism=0x1 rv=${value}`);
    const { digestAlgorithm, digest } = requestFor('sha256', message);
    const error = await failure(signer.sign({ digestAlgorithm, digest }));
    expect(error).toMatchObject({ code: 'mechanism-refused', functionName, returnValue: name });
    expect(await signer.sign(requestFor('sha256', message))).toHaveLength(256);
    await signer.close();
  });

  test('a token that refuses both ways is refused', async () => {
    const signer = await openFaulty({}, 'C_SignInit rv=0x70');
    expect(await failure(signer.sign(requestFor('sha512', message)))).toMatchObject({ code: 'mechanism-refused' });
    shim.setRules();
    expect(await signer.sign(requestFor('sha512', message))).toHaveLength(256);
    await signer.close();
  });

  test.each([
    ['0x32', 'token-removed', 'CKR_DEVICE_REMOVED'],
    ['0xe0', 'token-removed', 'CKR_TOKEN_NOT_PRESENT'],
    ['0x101', 'function-failed', 'CKR_USER_NOT_LOGGED_IN'],
    ['0x80000123', 'function-failed', 'CKR_VENDOR_DEFINED 0x80000123'],
    ['0x1b', 'function-failed', 'CKR_ACTION_PROHIBITED'],
  ])('C_Sign with %s is %s, and the next signature is made', async (value, code, returnValue) => {
    for (const sessions of [1, 3]) {
      const signer = await openFaulty({ sessions }, `C_Sign rv=${value}`);
      const requests = Array.from({ length: 40 }, (_, index) => requestFor('sha1', Uint8Array.of(index)));
      const error = await failure(signer.signBatch(requests));
      expect(error).toMatchObject({ code, functionName: 'C_Sign', returnValue });
      expect(error.message).toContain('CTL one');
      shim.setRules();
      const signatures = await signer.signBatch(requests);
      expect(requests.every((request, index) => verifyDigest(signer.certificate, request, signatures[index]!))).toBe(
        true,
      );
      await signer.close();
    }
  });

  test('an error of C_FindObjects, which has no code of its own, is named like the others', async () => {
    shim.setRules('C_FindObjects rv=0xb3');
    expect(await failure(openTokenSigner(faulty))).toMatchObject({
      code: 'token-removed',
      functionName: 'C_FindObjects',
      returnValue: 'CKR_SESSION_HANDLE_INVALID',
    });
  });

  test.each(['C_Initialize', 'C_GetTokenInfo', 'C_Login', 'C_FindObjects'])(
    'a %s that hangs ends the host, and is named',
    async (functionName) => {
      shim.setRules(`${functionName} hang`);
      const started = Date.now();
      expect(await failure(openTokenSigner(faulty))).toMatchObject({ code: 'timeout', functionName });
      expect(Date.now() - started).toBeLessThan(30_000);
      expect(hostProcesses()).toEqual([]);
    },
  );

  test.each([
    ['C_Sign', 'hang', 'timeout'],
    ['C_SignInit', 'hang', 'timeout'],
    ['C_Sign', 'abort', 'host-crashed'],
    ['C_SignInit', 'abort', 'host-crashed'],
  ])('%s %s is %s, also in the middle of a batch', async (functionName, action, code) => {
    for (const sessions of [1, 2]) {
      const signer = await openFaulty({ sessions });
      const processes = hostProcesses();
      expect(processes).toHaveLength(1);
      const requests = Array.from({ length: 40 }, (_, index) => requestFor('sha1', Uint8Array.of(index)));
      await signer.signBatch(requests);
      shim.setRules(`${functionName} ${action}`);
      const error = await failure(signer.signBatch(requests));
      expect(error).toMatchObject({ code, functionName });
      expect(error.hint).toBeDefined();
      if (action === 'abort') expect(error.message).toMatch(/crashed \(SIGABRT\).*fault-shim: C_Sign(Init)? aborts/);
      // Everything afterwards fails in the same way, at once, and nothing is left behind.
      expect(await failure(signer.sign(requests[0]!))).toBe(error);
      await signer.close();
      expect(await waitUntil(() => processes.every((one) => !isRunning(one)))).toBe(true);
    }
  });

  test('a slow signature is no hang', async () => {
    const signer = await openFaulty({}, 'C_Sign delay=300');
    expect(await signer.signBatch(Array.from({ length: 4 }, () => requestFor('sha1', message)))).toHaveLength(4);
    await signer.close();
  });

  test('two sessions sign at the same time', async () => {
    const requests = Array.from({ length: 20 }, (_, index) => requestFor('sha256', Uint8Array.of(index)));
    const times: number[] = [];
    for (const sessions of [1, 2]) {
      const signer = await openFaulty({ sessions });
      // The second thread starts with the first batch, and takes part as soon as it is there.
      await signer.signBatch(requests);
      await new Promise((resolve) => setTimeout(resolve, 500));
      shim.setRules('C_Sign delay=50');
      const started = performance.now();
      const signatures = await signer.signBatch(requests);
      times.push(performance.now() - started);
      expect(requests.every((request, index) => verifyDigest(signer.certificate, request, signatures[index]!))).toBe(
        true,
      );
      await signer.close();
    }
    const [one, two] = times;
    expect(one).toBeGreaterThan(1000);
    expect(two).toBeLessThan(one! * 0.8);
  });

  test('a C_Finalize that hangs or crashes does not spoil what was signed', async () => {
    for (const action of ['hang', 'abort']) {
      const signer = await openFaulty({}, `C_Finalize ${action}`);
      expect(await signer.sign(requestFor('sha1', message))).toHaveLength(256);
      await signer.close();
      expect(hostProcesses()).toEqual([]);
    }
  });

  test('a token check goes on after a refusal, and tells it', async () => {
    shim.setRules('C_SignInit mechanism=0x6 rv=0x7');
    const check = await checkToken(faulty);
    const failed = check.trials.filter(({ ok }) => !ok);
    expect(failed).toMatchObject([{ digest: 'sha1', way: 'hash', error: { code: 'mechanism-refused' } }]);
    expect(check.ok).toBe(true);
  });

  test('the environment of the module has no PIN in it', async () => {
    // The shim reads its rules from the file that the environment names: variables do arrive, other than those of PINs.
    const environment = {
      ...faulty.environment,
      ETOKEN_BRIDGE_PIN: rightPin,
      ETOKEN_BRIDGE_SIGNATURE_PIN: rightPin,
      MY_PIN: rightPin,
    };
    const uri = { token: 'CTL one', pinSource: { kind: 'environment', name: 'MY_PIN' } } as const;
    shim.setRules();
    const signer = await openTokenSigner({ ...faulty, environment, uri });
    const [host] = hostProcesses();
    const shown = spawnSync('ps', ['eww', '-o', 'args=', '-p', String(host)], { encoding: 'utf8' }).stdout;
    await signer.close();
    expect(shown).toContain('FAULT_SHIM_MODULE');
    expect(shown).not.toContain(rightPin);
  });
});
