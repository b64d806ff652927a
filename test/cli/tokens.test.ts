import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createSastToken, createSoftHsm, createStandInAuthority } from 'softhsm-config';
import { buildFaultShim, shimMissing } from '../fault-shim/build.js';
import { expectFailure, jsonOf, snapshot } from './etoken-bridge.js';
import { makeSoftTokens, pinStates } from './soft-tokens.js';
import { noTerminal, openTerminal } from './terminal.js';

const tokens = await makeSoftTokens();
const { folder, first, second, module, run } = tokens;
const withoutShim = shimMissing === undefined ? '' : ` (skipped: ${shimMissing})`;
const withoutLinux = process.platform === 'linux' ? '' : ' (skipped: Linux only)';
const withoutTerminal = noTerminal === undefined ? '' : ` (skipped: ${noTerminal})`;

describe('token list', () => {
  test('prints label, serial, model, PIN state, keys and URI of each token, with a URI each', () => {
    const { status, stdout, stderr } = run(['token', 'list']);
    const blocks = stdout.split('\n\n').map((block) => block.trimEnd().split('\n'));
    expect(blocks).toHaveLength(2);
    for (const { token, commonName } of [first, second]) {
      const block = blocks.find(([label]) => label === token.label);
      expect(block).toEqual([
        token.label,
        `  serial  ${token.serialNumber}`,
        '  model   SoftHSM project SoftHSM v2',
        '  PIN     ok',
        `  keys    RSA 1024 (${commonName.trim()})`,
        `  URI     ${token.uri}`,
      ]);
    }
    expect([status, stderr]).toEqual([0, '']);
  });

  test('--json has stable keys', () => {
    const outcome = run(['token', 'list', '--json']);
    const document = jsonOf(outcome) as { tokens: Record<string, unknown>[]; modules: object[]; warnings: string[] };
    expect(Object.keys(document)).toEqual(['tokens', 'modules', 'warnings']);
    const listed = document.tokens.find(({ label }) => label === first.token.label);
    const { certificate } = first;
    const id = Buffer.from(first.keyId).toString('hex');
    const label = first.commonName.trim();
    const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
    // Everything, so that a key that goes or changes is noticed.
    expect(listed).toEqual({
      label: 'SAST first',
      serialNumber: first.token.serialNumber,
      manufacturer: 'SoftHSM project',
      model: 'SoftHSM v2',
      firmware: expect.stringMatching(/^\d+\.\d+$/) as string,
      hardware: expect.stringMatching(/^\d+\.\d+$/) as string,
      slotId: expect.any(Number) as number,
      slotDescription: expect.stringContaining('SoftHSM slot ID') as string,
      slotManufacturer: 'SoftHSM project',
      modulePath: module,
      library: {
        manufacturer: 'SoftHSM',
        description: 'Implementation of PKCS11',
        version: expect.stringMatching(/^2\.\d+$/) as string,
      },
      initialised: true,
      pin: { state: 'ok', words: 'ok' },
      minPinLength: 4,
      maxPinLength: 255,
      loginRequired: true,
      protectedAuthenticationPath: false,
      writeProtected: false,
      flags: 0x42d,
      flagNames: [
        ...['CKF_RNG', 'CKF_LOGIN_REQUIRED', 'CKF_USER_PIN_INITIALIZED', 'CKF_RESTORE_KEY_NOT_NEEDED'],
        'CKF_TOKEN_INITIALIZED',
      ],
      uri: first.token.uri,
      keys: [
        {
          bits: 1024,
          type: 'rsa',
          id,
          label,
          alwaysAuthenticates: null,
          fingerprint: sha256(certificate.publicKeyInfo),
        },
      ],
      certificates: [
        {
          subject: `CN=${first.commonName}, OU=IPCBU, O=Cisco Systems, Inc.`,
          issuer: 'CN=Cisco Manufacturing CA, O=Cisco Systems',
          serialNumber: Buffer.from(certificate.serialNumber).toString('hex'),
          notBefore: certificate.notBefore.toISOString(),
          notAfter: certificate.notAfter.toISOString(),
          keyType: 'rsa',
          keyBits: 1024,
          sha1: createHash('sha1').update(certificate.der).digest('hex'),
          sha256: sha256(certificate.der),
          keyFingerprint: sha256(certificate.publicKeyInfo),
          isSast: true,
          id,
          label,
        },
      ],
    });
    expect(document.modules).toEqual([
      {
        path: module,
        family: 'SoftHSM2',
        library: listed?.['library'],
        // SoftHSM2 shows one more, which is empty.
        tokenCount: 2,
        failures: [],
        warnings: [],
      },
    ]);
    expect(document.warnings).toEqual([]);
    expect([outcome.status, outcome.stderr]).toEqual([0, '']);
  });

  test.each([
    ['--token', () => ['--token', first.token.uri], {}],
    ['--token-label', () => ['--token-label', first.token.label], {}],
    ['--token-serial', () => ['--token-serial', first.token.serialNumber.toUpperCase()], {}],
    ['ETOKEN_BRIDGE_TOKEN as a URI', () => [], { ETOKEN_BRIDGE_TOKEN: first.token.uri }],
    ['ETOKEN_BRIDGE_TOKEN as a label', () => [], { ETOKEN_BRIDGE_TOKEN: first.token.label }],
  ])('%s names one', (_how, options, env) => {
    const listed = jsonOf(run(['token', 'list', '--json', ...options()], { env })) as { tokens: { label: string }[] };
    expect(listed.tokens.map(({ label }) => label)).toEqual(['SAST first']);
  });

  test('an option wins over ETOKEN_BRIDGE_TOKEN', () => {
    const env = { ETOKEN_BRIDGE_TOKEN: first.token.uri };
    const words = ['token', 'list', '--json', '--token-label', second.token.label];
    const listed = jsonOf(run(words, { env })) as { tokens: { label: string }[] };
    expect(listed.tokens.map(({ label }) => label)).toEqual(['SAST second']);
  });

  test('a token that is not plugged in: 3, and which there are', () => {
    for (const words of [['list'], ['certificates'], ['export', '--out', 'nothing']]) {
      const outcome = run(['token', ...words, '--token-label', 'SAST third']);
      expectFailure(outcome, 3, 'no token is the one with label "SAST third"; there are:', 'with --token, in quotes');
      expect(outcome.stderr).toContain(first.token.uri);
      expect(outcome.stderr).toContain(second.token.uri);
    }
    expect(existsSync(join(folder, 'nothing'))).toBe(false);
  });

  test('no token at all: 3, with what was asked', async () => {
    const empty = await createSoftHsm(join(folder, 'empty'));
    for (const words of [['list'], ['certificates'], ['check'], ['export', '--out', 'nothing']]) {
      const outcome = run(['token', ...words], { env: { SOFTHSM2_CONF: empty.configuration } });
      expectFailure(outcome, 3, 'no token was found', 'plug');
    }
    expect(existsSync(join(folder, 'nothing'))).toBe(false);
  });
});

describe.skipIf(process.platform !== 'linux')(
  `a module of smart cards that shows no token, beside one that does${withoutLinux}`,
  () => {
    /** Environment: SoftHSM2 with the tokens, and before it a module that is one of SafeNet by its name and cannot start. */
    const place = join(folder, 'beside');
    mkdirSync(join(place, 'pkcs11/modules'), { recursive: true });
    writeFileSync(join(place, 'pkcs11/modules/good.module'), `module: ${module}\n`);
    const { sharedObjects } = process.report.getReport() as { sharedObjects: string[] };
    symlinkSync(sharedObjects.find((path) => /\/libm[.-]/.test(path)) ?? '', join(place, 'libeTPkcs11.so'));
    const socket = join(place, 'none');
    const env = {
      ETOKEN_BRIDGE_MODULE: '',
      LD_LIBRARY_PATH: place,
      XDG_CONFIG_HOME: place,
      PCSCLITE_CSOCK_NAME: socket,
    };
    const words = `pcscd does not run (nothing listens at ${socket})`;

    test.each([
      ['list', []],
      ['certificates', []],
      ['certificates', ['--login', '--pin-file', first.pinFile]],
      ['export', ['--out', 'nothing']],
      ['export', ['--out', 'nothing', '--pin-file', first.pinFile]],
      ['check', ['--pin-file', first.pinFile]],
    ])('token %s says why the token that was named may not be seen', (command, more) => {
      const outcome = run(['token', command, '--quiet', '--token-label', 'SAST third', ...more], { env });
      expectFailure(outcome, 3, 'no token is the one with label "SAST third"');
      expect(outcome.stderr.split(words)).toHaveLength(2);
    });

    test.each([[[]], [['--login', '--pin-file', first.pinFile]]])(
      'token certificates says why the module failed where no other shows a token: %j',
      async (more) => {
        const empty = await createSoftHsm(join(place, `empty-${String(more.length)}`));
        const outcome = run(['token', 'certificates', ...more], { env: { ...env, ...empty.environment } });
        expectFailure(outcome, 3, 'libeTPkcs11.so is a library, and no PKCS#11 module');
      },
    );

    test('token certificates and export name pcscd where no token is there, also with a login', async () => {
      const empty = await createSoftHsm(join(place, 'no-daemon'));
      const silent = join(place, 'no-daemon/libeTPkcs11.so');
      symlinkSync(module, silent);
      for (const command of [
        ['certificates'],
        ['certificates', '--login', '--pin-file', first.pinFile],
        ['export', '--out', 'nothing', '--pin-file', first.pinFile],
      ]) {
        const words = ['token', ...command, '--module', silent];
        const outcome = run(words, { env: { ...empty.environment, PCSCLITE_CSOCK_NAME: socket } });
        expectFailure(outcome, 3, 'no token was found', 'pcscd');
        expect(outcome.stderr.split(`pcscd does not run (nothing listens at ${socket})`)).toHaveLength(2);
      }
    });

    test('token list does not repeat what is known of its family, token modules does', () => {
      const known = 'known to crash';
      expect(run(['token', 'list'], { env }).stderr).not.toContain(known);
      expect(run(['token', 'list', '--json'], { env }).stdout).toContain(known);
      expect(run(['token', 'modules'], { env }).stderr).toContain(known);
    });

    test('token list notes it, and not where the token that was named is there', () => {
      const all = run(['token', 'list'], { env });
      expect(all.status).toBe(0);
      expect(all.stderr.split(words)).toHaveLength(2);
      const named = run(['token', 'list', '--token-label', first.token.label], { env });
      expect(named.status).toBe(0);
      expect(named.stderr).not.toContain('pcscd');
      expect((jsonOf(run(['token', 'list', '--json', '--quiet'], { env })) as { warnings: string[] }).warnings).toEqual(
        [expect.stringContaining(words)],
      );
    });
  },
);

describe('token modules', () => {
  test('shows the module that the environment names', () => {
    const { status, stdout, stderr } = run(['token', 'modules']);
    const lines = stdout.trimEnd().split('\n');
    expect(lines[0]).toMatch(/^STATE +FAMILY +MODULE +FROM +DETAIL$/);
    expect(lines[1]).toMatch(/^found +SoftHSM2 +\S+ +environment ETOKEN_BRIDGE_MODULE +64-bit \S+ library$/);
    expect(lines).toHaveLength(2);
    expect([status, stderr]).toEqual([0, '']);
  });

  test('without a name it finds SoftHSM2 by itself, and --all lists where it looked', () => {
    const some = run(['token', 'modules'], { env: { ETOKEN_BRIDGE_MODULE: '' } });
    expect(some.stdout).toMatch(/^found +SoftHSM2 .* built-in table /m);
    expect(some.stderr).toMatch(/^\d+ more places have no module; --all lists them\n$/);
    const all = run(['token', 'modules', '--all', '--json'], { env: { ETOKEN_BRIDGE_MODULE: '' } });
    const { modules } = jsonOf(all) as { modules: Record<string, unknown>[] };
    expect(modules.length).toBeGreaterThan(5);
    const keys = ['path', 'family', 'source', 'state', 'detail', 'warning', 'parameters', 'trouble'];
    for (const one of modules) expect(Object.keys(one)).toEqual(keys);
    expect(modules.map(({ state }) => state)).toContain('missing');
    expect([all.status, all.stderr]).toEqual([0, '']);
  });

  test('nothing found: 3, and the table says where', () => {
    const { status, stdout, stderr } = run(['token', 'modules', '--module', '/nonexistent/libeTPkcs11.so']);
    expect(stdout).toMatch(/^missing +SafeNet +\/nonexistent\/libeTPkcs11.so +option +does not exist$/m);
    expect(stderr).toMatch(/^no PKCS#11 module was found: install/);
    expect(status).toBe(3);
  });
});

describe('a module that cannot be used: its own error each, exit code 3', () => {
  /** The first bytes of an ELF file: class, machine, type 3 (a shared object). */
  function elf(bits: 32 | 64, machine: number): Buffer {
    const header = Buffer.alloc(4096);
    header.write('\u007fELF', 'latin1');
    header.writeUInt8(bits === 32 ? 1 : 2, 4);
    header.writeUInt8(1, 5);
    header.writeUInt8(1, 6);
    header.writeUInt16LE(3, 16);
    header.writeUInt16LE(machine, 18);
    return header;
  }
  const foreign =
    process.arch === 'arm64' ? { machine: 62, words: '64-bit x86' } : { machine: 183, words: '64-bit ARM' };
  const inFolder = (name: string): string => join(folder, name);
  writeFileSync(inFolder('libtext.so'), '#!/bin/sh\necho no library\n');
  writeFileSync(inFolder('libempty.so'), '');
  writeFileSync(
    inFolder('libjunk.so'),
    Uint8Array.from({ length: 300 }, (_, index) => index % 256),
  );
  writeFileSync(inFolder('lib32.so'), elf(32, 3));
  writeFileSync(inFolder('libforeign.so'), elf(64, foreign.machine));
  mkdirSync(inFolder('libfolder.so'));
  // A library that every process has loaded, and that knows nothing of PKCS#11.
  const { sharedObjects } = process.report.getReport() as { sharedObjects: string[] };
  const libm = sharedObjects.find((path) => /\/libm[.-]/.test(path)) ?? '';

  const cases: readonly (readonly [what: string, path: string, error: RegExp | string, hint: RegExp | string])[] = [
    ['missing', inFolder('none.so'), 'none.so does not exist', 'check the path'],
    ['a directory', inFolder('libfolder.so'), 'libfolder.so is a directory', 'give the file of'],
    ['a text file', inFolder('libtext.so'), 'libtext.so is a text file, not a library', 'give the file of'],
    ['an empty file', inFolder('libempty.so'), 'libempty.so is an empty file', 'give the file of'],
    ['another file', inFolder('libjunk.so'), 'libjunk.so is not a library', 'give the file of'],
    [
      'a 32-bit library',
      inFolder('lib32.so'),
      'lib32.so is built for 32-bit x86, and this Node.js is',
      'for this processor',
    ],
    [
      'a library for another processor',
      inFolder('libforeign.so'),
      `libforeign.so is built for ${foreign.words}, and this Node.js is`,
      'for this processor',
    ],
    ['a library without PKCS#11', libm, 'is a library, and no PKCS#11 module', "the vendor's PKCS#11 library"],
  ];

  test.each(cases)('%s', (_what, path, error, hint) => {
    expectFailure(run(['token', 'list', '--module', path]), 3, error, hint);
    expectFailure(run(['token', 'list'], { env: { ETOKEN_BRIDGE_MODULE: path } }), 3, error, hint);
  });

  const root = process.getuid?.() === 0 ? ' (skipped: root may read everything)' : '';
  test.skipIf(root !== '')(`a file that may not be read${root}`, () => {
    writeFileSync(inFolder('libsecret.so'), elf(64, 62));
    chmodSync(inFolder('libsecret.so'), 0);
    expectFailure(
      run(['token', 'list', '--module', inFolder('libsecret.so')]),
      3,
      'cannot be read',
      'may read the file',
    );
  });

  test('a command that would sign tells it too, and writes nothing', () => {
    const words = ['ctl', 'create', '--mode', 'token', '--cluster', tokens.cluster, '--out', 'never.tlv'];
    const outcome = run([...words, '--module', inFolder('libtext.so'), '--pin-file', first.pinFile]);
    expectFailure(outcome, 3, 'libtext.so is a text file, not a library');
    expect(existsSync(inFolder('never.tlv'))).toBe(false);
  });

  test('the errors differ from each other', () => {
    const texts = cases.map(([, path]) => run(['token', 'list', '--module', path]).stderr.replaceAll(path, 'PATH'));
    expect(new Set(texts).size).toBe(cases.length);
  });
});

describe('token certificates', () => {
  test('prints what the certificates say, without a PIN', () => {
    const { status, stdout, stderr } = run(['token', 'certificates']);
    for (const { certificate, commonName, token } of [first, second]) {
      expect(stdout).toContain(`subject  CN=${commonName}, OU=IPCBU, O=Cisco Systems, Inc.\n`);
      const serial = Buffer.from(certificate.serialNumber).toString('hex').toUpperCase().match(/../g)!.join(':');
      expect(stdout).toContain(`issuer   CN=Cisco Manufacturing CA, O=Cisco Systems\nserial   ${serial}\n`);
      expect(stdout).toContain(
        `token    ${token.label} (serial ${token.serialNumber}), object "${commonName.trim()}"\n`,
      );
    }
    expect(stdout.match(/private key not visible without the PIN \(--login\)/g)).toHaveLength(2);
    expect([status, stderr]).toEqual([0, '']);
  });

  test('--login tells whether the private key is there', () => {
    const words = ['token', 'certificates', '--json', '--login', ...first.options];
    const { certificates } = jsonOf(run(words)) as { certificates: Record<string, unknown>[] };
    expect(certificates).toHaveLength(1);
    expect(Object.keys(certificates[0]!)).toEqual([
      'subject',
      'issuer',
      'serialNumber',
      'notBefore',
      'notAfter',
      'keyType',
      'keyBits',
      'sha1',
      'sha256',
      'keyFingerprint',
      'isSast',
      'id',
      'label',
      'hasPrivateKey',
      'token',
    ]);
    expect(certificates[0]).toMatchObject({ hasPrivateKey: true, keyType: 'rsa', keyBits: 1024 });
  });

  test.each([['certificates'], ['export', '--out', 'nothing']])(
    'token %s signs nothing: no PIN for signatures',
    (...words) => {
      const outcome = run(['token', ...words, '--signature-pin-file', first.pinFile]);
      expectFailure(outcome, 2, '--signature-pin-file');
    },
  );

  test('one PIN from a file is not tried on two tokens', () => {
    const outcome = run(['token', 'certificates', '--login', '--pin-file', first.pinFile]);
    expectFailure(outcome, 3, 'there are 2 tokens to choose from', 'with --token, in quotes');
    expect(pinStates(tokens)).toEqual({ 'SAST first': 'ok', 'SAST second': 'ok' });
  });
});

describe('token export', () => {
  const openssl = (...words: readonly string[]): string => {
    const result = spawnSync('openssl', words, { encoding: 'utf8', cwd: folder });
    expect(result.stderr).toBe('');
    return result.stdout;
  };

  test('writes each certificate to <CN>.cer in DER, with the blanks cut off, and openssl reads it', () => {
    const { status, stdout, stderr } = run(['token', 'export', '--out', 'sast/new']);
    const names = [first, second].map(({ commonName }) => `${commonName.trim()}.cer`).sort();
    expect(names[0]).toMatch(/^SAST-ADN[0-9a-f]{8}\.cer$/);
    expect(readdirSync(join(folder, 'sast/new')).sort()).toEqual(names);
    expect(stdout.trimEnd().split('\n').sort()).toEqual(names.map((name) => `sast/new/${name}`));
    expect(stderr).toMatch(/^next: upload each file to Phone-SAST-trust/);
    expect(status).toBe(0);
    for (const { commonName, certificate } of [first, second]) {
      const path = `sast/new/${commonName.trim()}.cer`;
      expect(readFileSync(join(folder, path)).equals(certificate.der)).toBe(true);
      const words = ['x509', '-inform', 'DER', '-in', path, '-noout', '-subject', '-nameopt', 'RFC2253', '-serial'];
      const serial = Buffer.from(certificate.serialNumber).toString('hex').toUpperCase();
      const printed = openssl(...words);
      expect(printed).toContain(`CN=${commonName.trim()}`);
      expect(printed).toContain(`serial=${serial}\n`);
    }
  });

  test('--format pem, and --json', () => {
    const outcome = run([
      'token',
      'export',
      '--out',
      'sast-pem',
      '--format',
      'pem',
      '--json',
      '--quiet',
      '--token',
      first.token.uri,
    ]);
    const { files } = jsonOf(outcome) as { files: { path: string; subject: string; token: string }[] };
    expect(files).toEqual([
      {
        path: `sast-pem/${first.commonName.trim()}.cer`,
        subject: `CN=${first.commonName}, OU=IPCBU, O=Cisco Systems, Inc.`,
        token: first.token.serialNumber,
      },
    ]);
    expect([outcome.status, outcome.stderr]).toEqual([0, '']);
    const der = openssl('x509', '-in', files[0]!.path, '-outform', 'PEM');
    expect(der).toBe(readFileSync(join(folder, files[0]!.path), 'utf8'));
  });

  test('again: what is the same is left as it is, without a backup', () => {
    const before = snapshot(join(folder, 'sast'));
    expect(run(['token', 'export', '--out', 'sast/new']).status).toBe(0);
    expect(snapshot(join(folder, 'sast'))).toEqual(before);
  });

  test('a name that is taken by a folder, or a folder by a file: 2, and nothing is written', () => {
    const last = second.commonName.trim();
    mkdirSync(join(folder, `sast-taken/${last}.cer`), { recursive: true });
    expectFailure(run(['token', 'export', '--out', 'sast-taken']), 2, `${last}.cer is no file`, 'give another --out');
    expect(readdirSync(join(folder, 'sast-taken'))).toEqual([`${last}.cer`]);
    writeFileSync(join(folder, 'a-file'), '');
    expectFailure(
      run(['token', 'export', '--out', 'a-file']),
      2,
      'the folder a-file cannot be made',
      'give another --out',
    );
  });
});

describe('a certificate that shows only after the login', () => {
  test('is not found without --login, which the note names, and is exported with it', async () => {
    const softHsm = await createSoftHsm(join(folder, 'hidden'));
    const words = { label: 'SAST hidden', pin: first.pin, soPin: 'so-pin-1234', bits: 1024 as const };
    const { commonName, certificate } = await createSastToken(softHsm, {
      ...words,
      authority: await createStandInAuthority(),
    });
    hideCertificate(softHsm.module, softHsm.environment);
    const env = softHsm.environment;

    const listed = run(['token', 'certificates'], { env });
    expect([listed.status, listed.stdout]).toEqual([1, '']);
    const nothing = run(['token', 'export', '--out', 'hidden-none'], { env });
    expect(nothing).toEqual({
      status: 1,
      stdout: '',
      stderr:
        'the tokens hold no SAST certificate: nothing was written; --login also finds what is hidden without the PIN\n',
    });
    expect(existsSync(join(folder, 'hidden-none'))).toBe(false);

    const path = join('sast-hidden', `${commonName.trim()}.cer`);
    const exported = ['token', 'export', '--out', 'sast-hidden'];
    expectFailure(run([...exported, '--login'], { env }), 2, 'PIN of token "SAST hidden"', '--pin-file');
    for (const [more, variables] of [
      [['--pin-file', first.pinFile], {}],
      [['--login'], { ETOKEN_BRIDGE_PIN: first.pin }],
    ] as const) {
      const { status, stdout } = run([...exported, ...more], { env: { ...env, ...variables } });
      expect([status, stdout]).toEqual([0, `${path}\n`]);
      expect(readFileSync(join(folder, path)).equals(certificate.der)).toBe(true);
      rmSync(join(folder, path));
    }
    const wrong = run([...exported, '--login', '--pin-file', tokens.wrongPinFile], { env });
    expectFailure(wrong, 3, 'CKR_PIN_INCORRECT');
    expect(existsSync(join(folder, path))).toBe(false);
  });

  test('one PIN from a file is not tried on two tokens', () => {
    const outcome = run(['token', 'export', '--out', 'nothing', '--login', '--pin-file', first.pinFile]);
    expectFailure(outcome, 3, 'there are 2 tokens to choose from', 'with --token, in quotes');
    expect(pinStates(tokens)).toEqual({ 'SAST first': 'ok', 'SAST second': 'ok' });
  });

  /** Puts a copy with CKA_PRIVATE in the place of the only certificate, in a process of its own. */
  function hideCertificate(path: string, env: Readonly<Record<string, string>>): void {
    const program = `
      const p = require(process.argv[1]); const l = new p.PKCS11(); l.load(process.argv[2]); l.C_Initialize();
      const slot = l.C_GetSlotList(true).find((s) => l.C_GetTokenInfo(s).label.trim() === 'SAST hidden');
      const s = l.C_OpenSession(slot, 6); l.C_Login(s, 1, process.env.PIN);
      l.C_FindObjectsInit(s, [{ type: p.CKA_CLASS, value: p.CKO_CERTIFICATE }]);
      const [found] = l.C_FindObjects(s, 1); l.C_FindObjectsFinal(s);
      const types = [p.CKA_CERTIFICATE_TYPE, p.CKA_VALUE, p.CKA_SUBJECT, p.CKA_ID, p.CKA_LABEL];
      l.C_CreateObject(s, [...l.C_GetAttributeValue(s, found, types.map((type) => ({ type }))),
        { type: p.CKA_CLASS, value: p.CKO_CERTIFICATE }, { type: p.CKA_TOKEN, value: true },
        { type: p.CKA_PRIVATE, value: true }]);
      l.C_DestroyObject(s, found); l.C_Finalize();`;
    const words = ['-e', program, createRequire(import.meta.url).resolve('pkcs11js'), path];
    const { status, stderr } = spawnSync(process.execPath, words, {
      encoding: 'utf8',
      env: { ...process.env, ...env, PIN: first.pin },
    });
    if (status !== 0) throw new Error(stderr);
  }
});

describe('a spy module', () => {
  const spy = join(folder, 'softhsm2-spy.so');
  symlinkSync(module, spy);
  const warning = 'warning: softhsm2-spy.so looks like a spy module, or PKCS11SPY is set: a spy writes the PIN';
  const label = ['--module', spy, '--token-label', first.token.label];
  const check = ['token', 'check', ...label];

  test.each([
    ['token check', ['check']],
    ['token certificates', ['certificates', '--login']],
    ['token export', ['export', '--out', 'sast-spied', '--login']],
  ])('%s warns of it once, before the PIN is read', (_name, words) => {
    const spied = ['token', ...words, ...label];
    const right = run([...spied, '--pin-file', first.pinFile]);
    expect(right.status).toBe(0);
    expect(right.stderr.split(warning)).toHaveLength(2);
    const missing = run([...spied, '--pin-file', 'no-such.pin']);
    expectFailure(missing, 2, 'the PIN file no-such.pin does not exist');
    expect(missing.stderr.startsWith(warning)).toBe(true);
  });

  test('a command that signs warns of it once', () => {
    const made = run([
      'ctl',
      'create',
      '--mode',
      'token',
      '--cluster',
      tokens.cluster,
      '--out',
      'spied.tlv',
      ...label,
      '--pin-file',
      first.pinFile,
    ]);
    expect(made.stderr.split(warning)).toHaveLength(2);
    expect(made.status).toBe(0);
  });

  test.skipIf(noTerminal !== undefined)(`on a terminal it stands before the prompt${withoutTerminal}`, async () => {
    const terminal = openTerminal(check, { cwd: folder, env: tokens.environment });
    await terminal.waitFor('PIN of token "SAST first"');
    const screen = terminal.screen();
    expect(screen).toContain('looks like a spy module');
    expect(screen.indexOf('looks like a spy module')).toBeLessThan(screen.indexOf('PIN of token'));
    terminal.type('\u0003');
    expect(await terminal.ended).toBe(130);
  });
});

describe('token check', () => {
  test('signs with each digest in both ways, and tells how long it took and the state of the PIN', () => {
    const { status, stdout, stderr } = run(['token', 'check', ...first.options]);
    const lines = stdout.trimEnd().split('\n');
    expect(lines[0]).toMatch(/^token "SAST first" \(serial [0-9a-f]+\), CN=SAST-ADN.*: opened in \d+ ms$/);
    const trials = lines.slice(2, -1).map((line) => line.split(/ {2,}/));
    expect(trials.map(([digest, mechanism, result]) => [digest, mechanism, result])).toEqual([
      ['sha1', 'CKM_RSA_PKCS', 'signed and verified'],
      ['sha1', 'CKM_SHA1_RSA_PKCS', 'signed and verified'],
      ['sha256', 'CKM_RSA_PKCS', 'signed and verified'],
      ['sha256', 'CKM_SHA256_RSA_PKCS', 'signed and verified'],
      ['sha512', 'CKM_RSA_PKCS', 'signed and verified'],
      ['sha512', 'CKM_SHA512_RSA_PKCS', 'signed and verified'],
    ]);
    for (const trial of trials) expect(trial[3]).toMatch(/^\d+\.\d ms$/);
    expect(lines.at(-1)).toBe('PIN: ok');
    expect([status, stderr]).toEqual([0, '']);
  });

  test('--json', () => {
    const outcome = run(['token', 'check', '--json', ...second.options]);
    const document = jsonOf(outcome) as { trials: Record<string, unknown>[] };
    expect(document).toMatchObject({
      token: { label: 'SAST second', serialNumber: second.token.serialNumber, uri: second.token.uri },
      ok: true,
      pin: { state: 'ok', words: 'ok' },
      warnings: [],
    });
    for (const trial of document.trials) {
      expect(Object.keys(trial)).toEqual(['digest', 'way', 'mechanism', 'ok', 'milliseconds', 'error']);
    }
    expect([outcome.status, outcome.stderr]).toEqual([0, '']);
  });

  test.skipIf(shimMissing !== undefined)(`of a mechanism that is refused gives no hint to check${withoutShim}`, () => {
    const place = join(folder, 'refuses');
    mkdirSync(place);
    const shim = buildFaultShim(place, module);
    const env = { ...shim.environment, ETOKEN_BRIDGE_MODULE: shim.module, ETOKEN_BRIDGE_PIN: first.pin };
    const words = ['token', 'check', '--token-label', first.token.label];
    shim.setRules('C_SignInit mechanism=0x6 rv=0x70');
    const plain = run(words, { env });
    expect([plain.status, plain.stderr]).toEqual([0, '']);
    expect(plain.stdout).toMatch(/^sha1 +CKM_SHA1_RSA_PKCS +failed .*CKR_MECHANISM_INVALID/m);
    expect(plain.stdout).not.toContain('hint');
    const { trials } = jsonOf(run([...words, '--json'], { env })) as { trials: { ok: boolean; error: object }[] };
    expect(trials.filter(({ ok }) => !ok)).toMatchObject([{ error: { code: 'mechanism-refused', hint: null } }]);
    // Others lead somewhere.
    shim.setRules('C_SignInit mechanism=0x6 rv=0x30');
    expect(run(words, { env }).stdout).toMatch(/^hint: /m);
  });

  test('two tokens and no choice: 3, with a URI each to paste', () => {
    const outcome = run(['token', 'check', '--pin-file', first.pinFile]);
    expectFailure(outcome, 3, 'there are 2 tokens to choose from', 'with --token, in quotes');
    for (const { token, pin } of [first, second]) {
      expect(outcome.stderr).toContain(`\n    ${token.uri}\n`);
      const uri = /^ {4}(pkcs11:\S+)$/gm;
      const pasted = [...outcome.stderr.matchAll(uri)].map(([, text]) => text!).find((text) => text === token.uri)!;
      expect(run(['token', 'check', '--token', pasted], { env: { ETOKEN_BRIDGE_PIN: pin } }).status).toBe(0);
    }
    expect(pinStates(tokens)).toEqual({ 'SAST first': 'ok', 'SAST second': 'ok' });
  });
});
