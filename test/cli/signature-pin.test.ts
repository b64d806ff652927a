import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createSoftHsm, createSoftToken, createStandInAuthority, issueSastCertificate } from 'softhsm-config';
import { describe, expect, test } from 'vitest';
import { formatCertificatePem } from '../../src/x509/index.js';
import { shimMissing } from '../fault-shim/build.js';
import { skipReason } from '../skip-reason.js';
import { buildOddModule, makeStrictKey, type OddModule } from '../token/odd-token.js';
import {
  expectFailure,
  initOneNode,
  jsonOf,
  run as runCommand,
  temporaryFolder,
  type Outcome,
} from './etoken-bridge.js';
import { noTerminal, openTerminal } from './terminal.js';

const folder = temporaryFolder();
const pins = { user: 'Kv7rJ2-user-pin', signature: 'Zp4wL8-second', wrong: 'Qx9mT4-pin-bad' } as const;
for (const [name, pin] of Object.entries(pins)) writeFileSync(join(folder, `${name}.pin`), pin, { mode: 0o600 });

describe.skipIf(shimMissing !== undefined)(
  `a key with a PIN of its own for signatures${skipReason(shimMissing)}`,
  async () => {
    const softHsm = await createSoftHsm(join(folder, 'softhsm'));
    const { serialNumber } = await createSoftToken(softHsm, { label: 'strict', pin: pins.user, soPin: 'so-pin-1234' });
    const publicKey = makeStrictKey(softHsm, serialNumber, pins.user);
    const authority = await createStandInAuthority();
    const certificate = await issueSastCertificate({ commonName: 'SAST-STRICT', authority, publicKey });
    writeFileSync(join(folder, 'strict.pem'), formatCertificatePem(certificate));
    let places = 0;

    interface Place {
      readonly odd: OddModule;
      readonly environment: Readonly<Record<string, string>>;
      readonly run: (words: readonly string[], env?: Readonly<Record<string, string>>) => Outcome;
    }

    /** A module whose token is none of those that are known to have one PIN for both. */
    function makePlace(): Place {
      const place = join(folder, String((places += 1)));
      mkdirSync(place);
      const odd = buildOddModule(place, softHsm.module);
      const environment = {
        ...softHsm.environment,
        ...odd.environment,
        ETOKEN_BRIDGE_MODULE: odd.module,
        ODD_TOKEN_MANUFACTURER: 'SafeNet, Inc.',
        ODD_TOKEN_USER_PIN: pins.user,
        ODD_TOKEN_SIGNATURE_PIN: pins.signature,
      };
      const run: Place['run'] = (words, env = {}) => {
        const outcome = runCommand(words, { cwd: folder, env: { ...environment, ...env } });
        for (const pin of Object.values(pins)) expect(outcome.stdout + outcome.stderr).not.toContain(pin);
        return outcome;
      };
      return { odd, environment, run };
    }

    const check = ['token', 'check', '--certificate', 'strict.pem', '--pin-file', 'user.pin'];

    test.each([
      ['--signature-pin-file', ['--signature-pin-file', 'signature.pin'], {}],
      ['ETOKEN_BRIDGE_SIGNATURE_PIN_FILE', [], { ETOKEN_BRIDGE_SIGNATURE_PIN_FILE: 'signature.pin' }],
      ['ETOKEN_BRIDGE_SIGNATURE_PIN', [], { ETOKEN_BRIDGE_SIGNATURE_PIN: pins.signature }],
      [
        'the option before the environment',
        ['--signature-pin-file', 'signature.pin'],
        { ETOKEN_BRIDGE_SIGNATURE_PIN_FILE: 'wrong.pin', ETOKEN_BRIDGE_SIGNATURE_PIN: pins.wrong },
      ],
    ])('from %s', (_how, more, env) => {
      const { run } = makePlace();
      expect(run([...check, ...more], env)).toMatchObject({ status: 0, stderr: '' });
    });

    test('signs a list too', () => {
      const { run } = makePlace();
      expect(runCommand(initOneNode('cluster'), { cwd: folder }).status).toBe(0);
      const create = ['ctl', 'create', '--mode', 'token', '--cluster', 'cluster/cluster.yaml', '--out', 'strict.tlv'];
      const words = [...create, '--certificate', 'strict.pem', '--accept', 'A5', '--pin-file', 'user.pin'];
      expect(run([...words, '--signature-pin-file', 'signature.pin'])).toMatchObject({ status: 0 });
      expect(run(['ctl', 'verify', 'strict.tlv'])).toMatchObject({ status: 0 });
    });

    test('not given: 3, it says which is missing, and the user PIN is not tried for it', () => {
      const { run, odd } = makePlace();
      expectFailure(run(check), 3, 'wants a PIN for each signature, and none was given', '--signature-pin-file FILE');
      expect(odd.triedPins()).toEqual(['C_Login']);
    });

    test('a wrong one: one try, however many signatures are wanted', () => {
      const { run, odd } = makePlace();
      const outcome = run([...check, '--signature-pin-file', 'wrong.pin']);
      expect(outcome.stdout).toContain('the PIN for signatures is wrong (C_Login: CKR_PIN_INCORRECT)');
      // What the token tells is the state of the other PIN.
      expect(outcome.stdout).toMatch(/\nhint: check the PIN for signatures; [^\n]*\nPIN of the user: ok\n$/);
      expect(outcome.status).toBe(3);
      expect(odd.triedPins()).toEqual(['C_Login', 'C_Login for a signature']);
    });

    test('that the token does not tell of: said in words, and given it works', () => {
      const { run, odd } = makePlace();
      const env = { ODD_TOKEN_SILENT: '1' };
      const outcome = run(['ctl', 'sign', 'strict.tlv', '--certificate', 'strict.pem', '--pin-file', 'user.pin'], env);
      expectFailure(
        outcome,
        3,
        /wants another login before it signs \(C_Sign(Init)?: CKR_USER_NOT_LOGGED_IN\)/,
        'second PIN',
      );
      expect(odd.triedPins()).toEqual(['C_Login']);
      const checked = run(check, env);
      expect([checked.status, checked.stderr]).toEqual([3, '']);
      expect(checked.stdout.match(/^hint: .*--signature-pin-file FILE.*$/gm)).toHaveLength(1);
      const document = jsonOf(run([...check, '--json'], env)) as { trials: { error: object }[] };
      expect(document.trials).toHaveLength(6);
      for (const { error } of document.trials) {
        expect(error).toMatchObject({
          hint: expect.stringContaining('--signature-pin-file FILE') as string,
          function: expect.stringMatching(/^C_Sign(Init)?$/) as string,
          returnValue: 'CKR_USER_NOT_LOGGED_IN',
        });
      }
      expect(run([...check, '--signature-pin-file', 'signature.pin'], env)).toMatchObject({ status: 0 });
    });

    test.skipIf(noTerminal !== undefined)(
      `is asked for on a terminal, by its name, once${skipReason(noTerminal)}`,
      async () => {
        const { environment } = makePlace();
        const terminal = openTerminal(check, { cwd: folder, env: environment });
        await terminal.waitFor(`PIN for signatures of token "strict" (serial ${serialNumber})`);
        terminal.type(`${pins.signature}\r`);
        expect(await terminal.ended).toBe(0);
        expect(terminal.screen()).toContain('signed and verified');
        expect(terminal.screen()).not.toContain(pins.signature);
      },
    );
  },
);
