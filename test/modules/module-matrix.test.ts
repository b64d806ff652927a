import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { createStandInAuthority } from 'softhsm-config';
import { decodeTrustList } from '../../src/trust-list/index.js';
import { expectFailure, jsonOf, run, type Outcome } from '../cli/etoken-bridge.js';
import { expectOpensslVerifies } from '../itl/openssl.js';
import { isRunning } from '../token/soft-tokens.js';
import { nss } from './nss.js';
import { opencryptoki } from './opencryptoki.js';
import { waitFor } from './programs.js';
import {
  nameOf,
  runWith,
  temporaryFolder,
  userPin,
  wrongPin,
  type RunningModule,
  type TestedModule,
} from './running-module.js';
import { p11Kit, softHsm2 } from './soft-modules.js';
import { tpm, tpmWithCertificate } from './tpm.js';

const folder = temporaryFolder();
const authority = await createStandInAuthority();
const cluster = join(folder, 'cluster/cluster.yaml');
const pinFile = join(folder, 'pin');

/** Which mechanisms a module has that hash by themselves; the way over a DigestInfo works with all of them. */
interface Expected {
  readonly hashes: Readonly<Record<'sha1' | 'sha256' | 'sha512', boolean>>;
  readonly keyBits: number;
}

const all = { sha1: true, sha256: true, sha512: true };
const modules: readonly (readonly [TestedModule, Expected])[] = [
  [softHsm2, { hashes: all, keyBits: 1024 }],
  [nss, { hashes: all, keyBits: 1024 }],
  [opencryptoki, { hashes: { ...all, sha256: false, sha512: false }, keyBits: 1024 }],
  [tpm, { hashes: { ...all, sha1: false }, keyBits: 2048 }],
  [tpmWithCertificate, { hashes: { ...all, sha1: false }, keyBits: 2048 }],
  [p11Kit, { hashes: all, keyBits: 1024 }],
];

beforeAll(() => {
  writeFileSync(pinFile, userPin, { mode: 0o600 });
  const nodes = ['--node', 'cucm-pub,10.48.47.153', '--node', 'cucm-sub1,10.48.47.154'];
  const made = run(['cluster', 'init', 'cluster', '--lab', '--key-bits', '1024', '--release', '11.5.1', ...nodes], {
    cwd: folder,
  });
  expect([made.status, made.stderr]).toEqual([0, expect.stringContaining('for practice')]);
});

for (const [module, expected] of modules) {
  describe(nameOf(module), () => {
    const here = join(folder, module.name.replaceAll(/\W/g, '-'));
    let running: RunningModule;
    const inHere = (words: readonly string[]): Outcome => runWith(running, words, { cwd: here });
    const theToken = (): string[] => ['--token-label', running.label];
    const signing = (): string[] => [...theToken(), '--pin-file', pinFile, ...certificateOption()];
    const certificateOption = (): string[] =>
      running.holdsCertificate ? [] : ['--certificate', join(here, 'given.cer')];

    beforeAll(async () => {
      if (module.missing !== undefined) return undefined;
      running = await module.start(here, authority);
      writeFileSync(join(here, 'given.cer'), running.certificate.der);
      // Only what was started is ended.
      return async () => {
        await running.close();
        // Zombies are their parent's, which in a container is not always one that reaps.
        for (const processId of running.processes) await waitFor('the end of a daemon', () => !isRunning(processId));
      };
    });

    const given = test.skipIf(module.missing !== undefined);

    given('token list: the token, its key, and a URI that names it', () => {
      const outcome = inHere(['token', 'list', '--json', ...theToken()]);
      const { tokens } = jsonOf(outcome) as { tokens: { uri: string }[] };
      expect(tokens).toMatchObject([
        {
          label: running.label,
          modulePath: running.modulePath,
          pin: { state: 'ok', words: 'ok' },
          loginRequired: true,
          initialised: true,
        },
      ]);
      expect(outcome.status).toBe(0);
      const [listed] = tokens;
      const pasted = inHere(['token', 'list', '--token', listed?.uri ?? '']);
      expect([pasted.status, pasted.stdout]).toEqual([0, expect.stringContaining(running.label)]);
    });

    given('token export: the certificate as a file, byte for byte; without one nothing is written', () => {
      const outcome = inHere(['token', 'export', '--out', 'exported', ...theToken(), '--login', '--pin-file', pinFile]);
      if (!running.holdsCertificate) {
        expect([outcome.status, outcome.stderr]).toEqual([1, expect.stringContaining('no SAST certificate')]);
        expect(readdirSync(here)).not.toContain('exported');
        return;
      }
      expect(outcome.status).toBe(0);
      const [name = '', ...others] = readdirSync(join(here, 'exported'));
      expect(others).toEqual([]);
      expect(name).toMatch(/^SAST-ADN[0-9a-f]{8}\.cer$/);
      expect(new Uint8Array(readFileSync(join(here, 'exported', name)))).toEqual(running.certificate.der);
    });

    given('token check: which ways work', () => {
      const outcome = inHere(['token', 'check', '--json', ...signing()]);
      const check = jsonOf(outcome) as {
        ok: boolean;
        trials: { digest: 'sha1' | 'sha256' | 'sha512'; way: string; ok: boolean; error: { code: string } | null }[];
      };
      for (const { digest, way, ok, error } of check.trials) {
        const works = way === 'digest-info' || expected.hashes[digest];
        expect([digest, way, ok, error?.code]).toEqual([digest, way, works, works ? undefined : 'mechanism-refused']);
      }
      expect(check.trials).toHaveLength(6);
      expect([check.ok, outcome.status]).toEqual([true, 0]);
    });

    for (const digest of ['sha1', 'sha512'] as const) {
      given(`ctl create --digest ${digest}: our verification and openssl agree`, () => {
        const file = `${digest}.tlv`;
        // One token in the list is let through: the module has no other.
        const words = ['ctl', 'create', '--mode', 'token', '--cluster', cluster, '--out', file, '--accept', 'A5'];
        const outcome = inHere([...words, '--digest', digest, ...signing()]);
        expect([outcome.stderr, outcome.status]).toEqual([expect.stringContaining('next: '), 0]);
        expect(inHere(['ctl', 'verify', file]).status).toBe(0);
        const list = decodeTrustList(new Uint8Array(readFileSync(join(here, file))));
        expect(list.header.digestAlgorithm).toBe(digest);
        expect(list.header.signature).toHaveLength(expected.keyBits / 8);
        expectOpensslVerifies(list, running.certificate);
        expect(outcome.stdout + outcome.stderr).not.toContain(userPin);
      });
    }

    given('a wrong PIN: tried once, exit code 3, and nothing is written', () => {
      const wrong = join(here, 'wrong');
      writeFileSync(wrong, wrongPin, { mode: 0o600 });
      const words = ['ctl', 'create', '--mode', 'token', '--cluster', cluster, '--out', 'wrong.tlv', '--accept', 'A5'];
      const options = [...theToken(), '--pin-file', wrong, ...certificateOption()];
      const outcome = inHere([...words, ...options]);
      expectFailure(outcome, 3, /C_Login: CKR_PIN_INCORRECT/, 'it was tried once');
      expect(outcome.stderr).not.toContain(wrongPin);
      expect(readdirSync(here)).not.toContain('wrong.tlv');
      expect(inHere(['token', 'check', '--json', ...signing()]).status).toBe(0);
    });
  });
}
