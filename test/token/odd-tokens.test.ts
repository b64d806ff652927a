import { symlinkSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { createSoftToken, generateTokenKey, issueSastCertificate } from 'softhsm-config';
import { beforeAll, describe, expect, test } from 'vitest';
import { verifyDigest } from '../../src/signer/index.js';
import {
  listSastCertificates,
  listTokens,
  openTokenSigner,
  surveyTokens,
  type Environment,
  type PinRequest,
  type TokenSigner,
  type TokenSignerOptions,
} from '../../src/token/index.js';
import type { Certificate } from '../../src/x509/index.js';
import { buildFaultShim, shimMissing, type FaultShim } from '../fault-shim/build.js';
import { buildOddModule, makeStrictKey, runWithPkcs11, type OddModule } from './odd-token.js';
import {
  makeSoftTokens,
  pinSource,
  requestFor,
  rightPin,
  temporaryFolder,
  wrongPin,
  type SoftTokens,
} from './soft-tokens.js';

const folder = temporaryFolder();
const message = new TextEncoder().encode('what is signed');
const soPin = '12345678';

/** A place with a SoftHSM2 of its own. */
async function makePlace(
  name: string,
  labels: readonly string[] = [],
): Promise<SoftTokens & { readonly path: string }> {
  const path = join(folder, name);
  mkdirSync(path);
  const soft = await makeSoftTokens(
    path,
    labels.map((label) => ({ label, bits: 1024 as const })),
  );
  return { ...soft, path };
}

async function expectSigns(signer: TokenSigner, certificate: Certificate): Promise<void> {
  const requests = Array.from({ length: 3 }, (_, index) => requestFor('sha256', Uint8Array.of(index)));
  const signatures = await signer.signBatch(requests);
  expect(requests.every((request, index) => verifyDigest(certificate, request, signatures[index]!))).toBe(true);
}

describe.skipIf(shimMissing !== undefined)('a key with a PIN of its own for signatures', () => {
  const signaturePin = 'Zp4$wL8-second';
  let soft: SoftTokens;
  let certificate: Certificate;
  let odd: OddModule;
  let places = 0;

  beforeAll(async () => {
    soft = await makePlace('second-pin');
    const token = await createSoftToken(soft.softHsm, { label: 'second', pin: rightPin, soPin });
    const publicKey = makeStrictKey(soft.softHsm, token.serialNumber, rightPin);
    certificate = await issueSastCertificate({ commonName: 'SAST-STRICT', authority: soft.authority, publicKey });
  });

  /** Options for a token that is not of SoftHSM2, as far as it says. */
  function options(more: Environment = {}): TokenSignerOptions {
    const place = join(folder, `odd-${String((places += 1))}`);
    mkdirSync(place);
    odd = buildOddModule(place, soft.softHsm.module);
    const environment = {
      ...soft.environment,
      ...odd.environment,
      ETOKEN_BRIDGE_MODULE: odd.module,
      ODD_TOKEN_MANUFACTURER: 'SafeNet, Inc.',
      ODD_TOKEN_USER_PIN: rightPin,
      ODD_TOKEN_SIGNATURE_PIN: signaturePin,
      ...more,
    };
    return { environment, pin: pinSource().ask, certificate };
  }

  test('gets that PIN for each signature, and the user PIN for the login', async () => {
    const second = pinSource(signaturePin);
    const signer = await openTokenSigner({ ...options(), signaturePin: second.ask });
    expect(signer.token.keys).toMatchObject([{ alwaysAuthenticates: true }]);
    await expectSigns(signer, certificate);
    await signer.close();
    expect(second.asked()).toBe(1);
    const each = 'C_Login for a signature';
    expect(odd.triedPins()).toEqual(['C_Login', each, each, each]);
  });

  test('without one, the user PIN is not tried in its place: one token may have two', async () => {
    const opening = openTokenSigner(options());
    await expect(opening).rejects.toMatchObject({
      code: 'pin-missing',
      message: expect.stringContaining('wants a PIN for each signature') as string,
      hint: expect.stringContaining('--signature-pin-file') as string,
    });
    expect(odd.triedPins()).toEqual(['C_Login']);
  });

  test('a wrong one is tried once', async () => {
    const signer = await openTokenSigner({ ...options(), signaturePin: pinSource(wrongPin).ask });
    const requests = Array.from({ length: 100 }, (_, index) => requestFor('sha1', Uint8Array.of(index)));
    await expect(signer.signBatch(requests)).rejects.toMatchObject({
      code: 'pin-incorrect',
      functionName: 'C_Login',
      // The flags of the token, which say that tries are left or not, are those of the user's PIN.
      message: expect.stringMatching(/: the PIN for signatures is wrong \(C_Login: CKR_PIN_INCORRECT\)$/) as string,
      hint: expect.stringContaining('check the PIN for signatures') as string,
    });
    await expect(signer.sign(requests[0]!)).rejects.toMatchObject({
      code: 'pin-incorrect',
      message: expect.stringContaining('a login with the PIN for signatures failed before') as string,
      hint: expect.stringContaining('check the PIN for signatures') as string,
    });
    await signer.close();
    expect(odd.triedPins()).toEqual(['C_Login', 'C_Login for a signature']);
  });

  test.each([
    ['rv=0xa4', 'pin-locked', 'the PIN for signatures is locked', 'administrator PIN'],
    ['rv=0xa3', 'function-failed', 'the PIN for signatures has expired', 'change it with the software of the vendor'],
    ['rv=0x80000001', 'function-failed', 'the login for the signature failed', 'the PIN for signatures was given once'],
    ['hang', 'timeout', 'no answer', 'the PIN for signatures was given once'],
    ['abort', 'host-crashed', 'crashed', 'the PIN for signatures was given once'],
  ])(
    'that login %s: which PIN it is about, and nothing of the flags of the other',
    async (action, code, words, hint) => {
      const wanted = options();
      const path = join(folder, `shim-${String((places += 1))}`);
      mkdirSync(path);
      const shim = buildFaultShim(path, odd.module);
      const environment = { ...wanted.environment, ...shim.environment, ETOKEN_BRIDGE_MODULE: shim.module };
      const second = { signaturePin: pinSource(signaturePin).ask, interactionTimeout: 2_000 };
      const signer = await openTokenSigner({ ...wanted, ...second, environment });
      shim.setRules(`C_Login ${action}`, 'C_GetTokenInfo flags=0x10000');
      const error: unknown = await signer.sign(requestFor('sha1', message)).catch((reason: unknown) => reason);
      expect(error).toMatchObject({
        ...{ code, functionName: 'C_Login' },
        message: expect.stringContaining(words) as string,
        hint: expect.stringContaining(hint) as string,
      });
      expect(error).not.toHaveProperty('message', expect.stringContaining('few tries'));
      expect(error).not.toHaveProperty('hint', expect.stringContaining('token list'));
      await signer.close();
    },
  );

  test('that the token does not tell of: the first signature that fails asks for it', async () => {
    const second = pinSource(signaturePin);
    const signer = await openTokenSigner({ ...options({ ODD_TOKEN_SILENT: '1' }), signaturePin: second.ask });
    expect(signer.token.keys).toMatchObject([{ alwaysAuthenticates: false }]);
    expect(second.asked()).toBe(0);
    await expectSigns(signer, certificate);
    await expectSigns(signer, certificate);
    await signer.close();
    expect(second.asked()).toBe(1);
  });

  test('that the token does not tell of, and none given: it says that there is a second PIN, and tries none', async () => {
    const none: PinRequest = () => Promise.resolve(undefined);
    for (const more of [{}, { signaturePin: none }]) {
      const signer = await openTokenSigner({ ...options({ ODD_TOKEN_SILENT: '1' }), ...more });
      await expect(signer.sign(requestFor('sha1', message))).rejects.toMatchObject({
        functionName: expect.stringMatching(/^C_Sign/) as string,
        returnValue: 'CKR_USER_NOT_LOGGED_IN',
        hint: expect.stringContaining('second PIN') as string,
      });
      await signer.close();
      expect(odd.triedPins()).toEqual(['C_Login']);
    }
  });

  test('of a token that is known to have one PIN for both is the user PIN', async () => {
    const more = { ODD_TOKEN_MANUFACTURER: 'Yubico (www.yubico.com)', ODD_TOKEN_SIGNATURE_PIN: '' };
    const signer = await openTokenSigner(options(more));
    await expectSigns(signer, certificate);
    await signer.close();
  });

  test('is entered at a reader that has keys', async () => {
    const none: PinRequest = () => Promise.resolve(undefined);
    const signer = await openTokenSigner({ ...options({ ODD_TOKEN_PAD: '10' }), pin: none });
    expect(signer.token.protectedAuthenticationPath).toBe(true);
    await expectSigns(signer, certificate);
    await signer.close();
  });

  test('that the token does not tell of is entered at a reader that has keys', async () => {
    const none: PinRequest = () => Promise.resolve(undefined);
    for (const more of [{}, { signaturePin: none }]) {
      const wanted = options({ ODD_TOKEN_PAD: '10', ODD_TOKEN_SILENT: '1' });
      const signer = await openTokenSigner({ ...wanted, ...more, pin: none });
      expect(signer.token.keys).toMatchObject([{ alwaysAuthenticates: false }]);
      await expectSigns(signer, certificate);
      await signer.close();
      const each = 'C_Login for a signature';
      expect(odd.triedPins()).toEqual(['C_Login', each, each, each]);
    }
  });
});

describe.skipIf(shimMissing !== undefined)('a reader with keys', () => {
  test('gives a person three times as long as a PIN that is at hand', async () => {
    const soft = await makePlace('pad', ['padded']);
    const odd = buildOddModule(soft.path, soft.softHsm.module);
    const environment = {
      ...soft.environment,
      ...odd.environment,
      ETOKEN_BRIDGE_MODULE: odd.module,
      ODD_TOKEN_USER_PIN: rightPin,
    };
    const none: PinRequest = () => Promise.resolve(undefined);
    const limit = { interactionTimeout: 3_000, pin: none };
    const slow = { ...environment, ODD_TOKEN_PAD: '4000' };
    const signer = await openTokenSigner({ environment: slow, ...limit });
    expect(await signer.sign(requestFor('sha1', message))).toHaveLength(128);
    await signer.close();
    const absent = { ...environment, ODD_TOKEN_PAD: '3600000' };
    await expect(openTokenSigner({ environment: absent, ...limit })).rejects.toMatchObject({
      code: 'timeout',
      functionName: 'C_Login',
      message: expect.stringContaining('no answer within 9 s') as string,
      hint: expect.stringContaining('PIN at the reader') as string,
    });
    // A PIN that is at hand is used there too.
    const typed = await openTokenSigner({ environment: absent, pin: pinSource().ask });
    expect(await typed.sign(requestFor('sha1', message))).toHaveLength(128);
    await typed.close();
  });
});

describe.skipIf(shimMissing !== undefined)('slots and sessions', () => {
  test('slots without a token, and a token without read-write sessions, are no hindrance', async () => {
    const soft = await makePlace('slots', ['in use']);
    const odd = buildOddModule(soft.path, soft.softHsm.module);
    const environment = {
      ...soft.environment,
      ...odd.environment,
      ETOKEN_BRIDGE_MODULE: odd.module,
      ODD_TOKEN_EMPTY_SLOTS: '8',
      ODD_TOKEN_READ_ONLY: '1',
    };
    expect((await listTokens({ environment })).map(({ label }) => label)).toEqual(['in use']);
    const signer = await openTokenSigner({ environment, pin: pinSource().ask });
    await expectSigns(signer, signer.certificate);
    await signer.close();
  });

  test('a slot that vanishes between two calls hides no other, and is named', async () => {
    const soft = await makePlace('vanishing', ['first', 'second']);
    const shim = buildFaultShim(soft.path, soft.softHsm.module);
    const environment = { ...soft.environment, ...shim.environment, ETOKEN_BRIDGE_MODULE: shim.module };
    shim.setRules('C_GetTokenInfo 1 rv=0x3');
    const survey = await surveyTokens({ environment });
    expect(survey.tokens).toHaveLength(1);
    expect(survey.modules[0]?.failures).toMatchObject([
      { code: 'token-removed', functionName: 'C_GetTokenInfo', returnValue: 'CKR_SLOT_ID_INVALID' },
    ]);
    shim.setRules('C_GetSlotList none');
    await expect(openTokenSigner({ environment, pin: pinSource().ask })).rejects.toMatchObject({ code: 'no-token' });
    // One more slot than a moment before, between the question for the length and that for the list.
    shim.setRules('C_GetSlotList 2 rv=0x150');
    expect(await listTokens({ environment })).toHaveLength(2);
  });

  test('objects that show only at the second look are found', async () => {
    const soft = await makePlace('late', ['late']);
    const shim: FaultShim = buildFaultShim(soft.path, soft.softHsm.module);
    const environment = { ...soft.environment, ...shim.environment, ETOKEN_BRIDGE_MODULE: shim.module };
    shim.setRules('C_FindObjects 1 none');
    expect(await listSastCertificates({ environment })).toHaveLength(1);
    // Certificates are looked for first, then private keys; each search ends with a call that finds nothing.
    for (const calls of [['1', '2'], ['1'], ['3']]) {
      shim.setRules(...calls.map((nth) => `C_FindObjects ${nth} none`));
      const signer = await openTokenSigner({ environment, pin: pinSource().ask });
      expect(await signer.sign(requestFor('sha1', message))).toHaveLength(128);
      await signer.close();
    }
  });
});

describe('names and keys', () => {
  test('a token with an empty label is named by its slot and serial number, and chosen by its URI', async () => {
    const soft = await makePlace('nameless', ['nameless']);
    const { serialNumber } = soft.identities[0]!.token;
    // The label of an initialised token is changed by initialising it again, which empties it.
    runWithPkcs11(
      soft.softHsm,
      rightPin,
      `l.C_InitToken(slotOf('${serialNumber}'), '${soPin}', ' '.repeat(32));
       const named = l.C_GetSlotList(true).find((s) => l.C_GetTokenInfo(s).flags & 0x400);
       const s = l.C_OpenSession(named, 6); l.C_Login(s, 0, '${soPin}'); l.C_InitPIN(s, pin);`,
    );
    const [token] = await listTokens({ environment: soft.environment });
    expect(token).toMatchObject({ label: '' });
    const request = { serialNumber: token!.serialNumber, pin: rightPin, bits: 1024 as const, label: 'key' };
    await generateTokenKey(soft.softHsm, request);
    const open = openTokenSigner({
      environment: soft.environment,
      tokenSerial: token!.serialNumber,
      pin: pinSource().ask,
    });
    await expect(open).rejects.toMatchObject({
      code: 'certificate-not-found',
      message: `the token in slot ${String(token!.slotId)} (serial ${token!.serialNumber}) has no certificate for its key`,
    });
  });

  test('a certificate with another id and label than its key is matched by the public key', async () => {
    const soft = await makePlace('other-id');
    const { serialNumber } = await createSoftToken(soft.softHsm, { label: 'other', pin: rightPin, soPin });
    const request = { serialNumber, pin: rightPin, bits: 1024 as const, label: 'key' };
    const { publicKey } = await generateTokenKey(soft.softHsm, request);
    const certificate = await issueSastCertificate({ commonName: 'SAST-OTHER', authority: soft.authority, publicKey });
    runWithPkcs11(
      soft.softHsm,
      rightPin,
      `const s = l.C_OpenSession(slotOf('${serialNumber}'), 6); l.C_Login(s, 1, pin);
       l.C_CreateObject(s, attributes([[p.CKA_CLASS, p.CKO_CERTIFICATE], [p.CKA_CERTIFICATE_TYPE, p.CKC_X_509],
         [p.CKA_TOKEN, true], [p.CKA_PRIVATE, false], [p.CKA_SUBJECT, Buffer.from([0x30, 0])],
         [p.CKA_ID, Buffer.from([9, 9, 9])], [p.CKA_LABEL, 'elsewhere'],
         [p.CKA_VALUE, Buffer.from('${Buffer.from(certificate.der).toString('hex')}', 'hex')]]));`,
    );
    const signer = await openTokenSigner({ environment: soft.environment, pin: pinSource().ask });
    expect(signer.certificate.der).toEqual(certificate.der);
    await expectSigns(signer, certificate);
    await signer.close();
  });

  test('two keys of one kind are listed with what chooses one of them', async () => {
    const soft = await makePlace('two-keys');
    const { serialNumber } = await createSoftToken(soft.softHsm, { label: 'two', pin: rightPin, soPin });
    for (const label of ['first key', 'second key']) {
      await generateTokenKey(soft.softHsm, { serialNumber, pin: rightPin, bits: 1024, label });
    }
    const open = openTokenSigner({ environment: soft.environment, pin: pinSource().ask });
    await expect(open).rejects.toMatchObject({
      code: 'several-keys',
      message: expect.stringMatching(
        /has several signing keys:\n( {2}id [0-9a-f]{40}, label "(first|second) key", no certificate\n {4}pkcs11:object=\S+\n?){2}$/,
      ) as string,
    });
  });
});

describe.skipIf(process.platform !== 'linux')('the smart card daemon', () => {
  /** A module that is one for smart cards by its name, and has no token. */
  async function withoutCards(name: string): Promise<{ readonly environment: Environment; readonly socket: string }> {
    const soft = await makePlace(name);
    const module = join(soft.path, 'libeTPkcs11.so');
    symlinkSync(soft.softHsm.module, module);
    const socket = join(soft.path, 'pcscd.comm');
    const environment = { ...soft.environment, ETOKEN_BRIDGE_MODULE: module, PCSCLITE_CSOCK_NAME: socket };
    return { environment, socket };
  }

  async function listen(socket: string, answer: (question: Buffer) => Buffer | undefined): Promise<Server> {
    const server = createServer((client) => {
      client.once('data', (question) => {
        const reply = answer(question);
        if (reply === undefined) client.end();
        else client.write(reply);
      });
      client.on('error', () => undefined);
    });
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    return server;
  }

  test('that does not run is told where no token is found', async () => {
    const { environment, socket } = await withoutCards('absent');
    const words = expect.stringContaining(`pcscd does not run (nothing listens at ${socket})`) as string;
    expect(await surveyTokens({ environment })).toMatchObject({ warnings: [], absence: [words] });
    const opening = openTokenSigner({ environment, pin: pinSource().ask });
    await expect(opening).rejects.toMatchObject({ code: 'no-token', message: words });
  });

  test('that hangs up on this user is told with the rules of polkit', async () => {
    const { environment, socket } = await withoutCards('refusing');
    const server = await listen(socket, () => undefined);
    const words = expect.stringMatching(
      /pcscd does not let this user in .* org\.debian\.pcsc-lite\.access_pcsc/,
    ) as string;
    expect((await surveyTokens({ environment })).absence).toEqual([words]);
    server.close();
  });

  test('that answers is no matter, nor is one that no module needs', async () => {
    const { environment, socket } = await withoutCards('answering');
    const questions: string[] = [];
    const server = await listen(socket, (question) => {
      questions.push(question.toString('hex'));
      return Buffer.from(new Int32Array([4, 4, 0]).buffer);
    });
    expect((await surveyTokens({ environment })).absence).toEqual([]);
    // What pcscd 1.9.9 was seen to answer (native-notes/README.md).
    expect(questions).toEqual(['0c00000011000000040000000400000000000000']);
    server.close();
    const soft = await makePlace('no-cards');
    writeFileSync(socket, '');
    const other = { ...soft.environment, PCSCLITE_CSOCK_NAME: socket };
    expect((await surveyTokens({ environment: other })).absence).toEqual([]);
  });

  test("p11-kit's client without its server is told what it lacks", async () => {
    const soft = await makePlace('client');
    const module = join(soft.path, 'p11-kit-client.so');
    symlinkSync(soft.softHsm.module, module);
    const environment = { ...soft.environment, ETOKEN_BRIDGE_MODULE: module };
    for (const [address, words] of [
      ['', 'P11_KIT_SERVER_ADDRESS is not set'],
      ['unix:path=/nowhere', 'none is behind P11_KIT_SERVER_ADDRESS'],
    ] as const) {
      const one = { ...environment, P11_KIT_SERVER_ADDRESS: address };
      expect((await surveyTokens({ environment: one })).absence).toEqual([expect.stringContaining(words)]);
      const opening = openTokenSigner({ environment: one, pin: pinSource().ask });
      await expect(opening).rejects.toMatchObject({ message: expect.stringContaining(words) as string });
    }
  });

  test('a library that is known to crash at the end is told of, with its module', async () => {
    const soft = await makePlace('known', ['known']);
    const module = join(soft.path, 'libeToken.so');
    symlinkSync(soft.softHsm.module, module);
    const survey = await surveyTokens({ environment: { ...soft.environment, ETOKEN_BRIDGE_MODULE: module } });
    expect(survey.modules).toMatchObject([
      { family: 'SafeNet', warnings: [expect.stringContaining('known to crash when the program') as string] },
    ]);
    expect(survey.warnings).toEqual([]);
  });
});
