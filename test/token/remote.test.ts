import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DeviceError } from '../../src/errors.js';
import { verifyDigest } from '../../src/signer/index.js';
import {
  exportSastCertificates,
  listTokens,
  openTokenSigner,
  type Environment,
  type TokenAccess,
  type TokenSigner,
} from '../../src/token/index.js';
import { jsonOf } from '../cli/etoken-bridge.js';
import type { Daemon } from '../modules/programs.js';
import { runBeside, temporaryFolder, type ModuleAccess } from '../modules/running-module.js';
import { startSshd, type Sshd } from '../sftp/sshd.js';
import {
  client,
  forwardToken,
  giveTo,
  makeFarToken,
  moduleFileMissing,
  proxyWithModuleFile,
  remotingMissing,
  sshMissing,
  sshWords,
  withAddress,
  type FarToken,
} from './remote-tokens.js';
import { isRunning, pinSource, requestFor, rightPin, waitUntil } from './soft-tokens.js';

const moduleFile = reason(moduleFileMissing);

const folder = temporaryFolder();
const message = new Uint8Array(1000).fill(7);
/** Long enough for a busy machine, where nothing hangs. */
const patient = { callTimeout: 60_000, interactionTimeout: 60_000 };

/** The token is listed, its certificate exported, and it signs; then nothing serves it any more. */
async function expectWorks(far: FarToken, modulePath: string, environment: Environment): Promise<void> {
  const access = { modulePath, environment, ...patient };
  const tokens = await listTokens(access);
  expect(tokens).toMatchObject([{ label: 'far token', serialNumber: far.token.serialNumber, pin: { state: 'ok' } }]);
  const [exported] = await exportSastCertificates(access);
  expect(exported?.bytes).toEqual(far.certificate.der);
  const signer = await openTokenSigner({ ...access, pin: pinSource().ask });
  for (const digest of ['sha1', 'sha512'] as const) {
    const request = requestFor(digest, message);
    expect(verifyDigest(far.certificate, request, await signer.sign(request))).toBe(true);
  }
  await signer.close();
}

/** The same by the command. */
async function expectCommandWorks(far: FarToken, module: ModuleAccess): Promise<void> {
  writeFileSync(join(folder, 'pin'), rightPin, { mode: 0o600 });
  const listed = await runBeside(module, ['token', 'list', '--json']);
  expect(jsonOf(listed)).toMatchObject({ tokens: [{ label: 'far token', serialNumber: far.token.serialNumber }] });
  const out = join(module.environment['HOME'] ?? folder, 'exported');
  expect((await runBeside(module, ['token', 'export', '--out', out])).stderr).toContain('next: ');
  const exported = readFileSync(join(out, `${far.commonName.trim()}.cer`));
  expect(new Uint8Array(exported)).toEqual(far.certificate.der);
  const checked = await runBeside(module, ['token', 'check', '--json', '--pin-file', join(folder, 'pin')]);
  expect(jsonOf(checked)).toMatchObject({ ok: true });
  expect([listed.status, checked.status]).toEqual([0, 0]);
  expect(checked.stdout + checked.stderr).not.toContain(rightPin);
}

/** The command at the other end was run, and has ended. */
async function expectServed(far: FarToken): Promise<void> {
  const served = far.servingProcess();
  expect(served).toBeGreaterThan(0);
  expect(await waitUntil(() => !isRunning(served))).toBe(true);
}

/** What a failure is, and how long it took, in milliseconds. */
async function failureOf(work: Promise<unknown>): Promise<{ readonly error: DeviceError; readonly took: number }> {
  const started = performance.now();
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof DeviceError)) throw new Error(`no DeviceError: ${String(error)}`);
  expect(error.message).not.toContain(rightPin);
  return { error, took: performance.now() - started };
}

describe.skipIf(remotingMissing !== undefined)(`a token behind p11-kit, over a pipe${reason(remotingMissing)}`, () => {
  let far: FarToken;
  beforeAll(async () => {
    far = await makeFarToken(join(folder, 'pipe'));
  });

  test('P11_KIT_SERVER_ADDRESS with a command, and the client', async () => {
    far.forget();
    await expectWorks(far, client, withAddress(`|${far.serve}`));
    await expectServed(far);
  });

  test.skipIf(moduleFileMissing !== undefined)(`a module file with "remote:", and the proxy${moduleFile}`, async () => {
    far.forget();
    await expectCommandWorks(far, proxyWithModuleFile(join(folder, 'home'), far.serve));
    await expectServed(far);
  });

  // The first would end when nobody listens any more, as ssh does; the second does not even look.
  test.each([
    ['says nothing', 'cat > /dev/null'],
    ['does not even read', 'sleep 100000'],
  ])('a command that %s (%s): given up at the limit and ended, and the next run works', async (_what, does) => {
    const script = join(folder, 'silent');
    const processFile = join(folder, 'silent.pid');
    writeFileSync(script, `#!/bin/sh\necho $$ > '${processFile}'\nexec ${does}\n`, { mode: 0o755 });
    const access = { modulePath: client, environment: withAddress(`|${script}`), callTimeout: 1_500 };
    const { error, took } = await failureOf(listTokens(access));
    expect(error).toMatchObject({ code: 'timeout', functionName: 'C_Initialize' });
    expect(error.message).toContain('no answer within 1.5 s; the process that holds the token was ended');
    expect(took).toBeGreaterThan(1_400);
    const silent = Number(readFileSync(processFile, 'utf8'));
    expect(silent).toBeGreaterThan(1);
    expect(await waitUntil(() => !isRunning(silent))).toBe(true);
    await expectWorks(far, client, withAddress(`|${far.serve}`));
  });

  /** Starts a program that asks the client for tokens, and lives until it is killed; `ready` is printed after that. */
  function startAsking(address: string): ReturnType<typeof spawn> {
    const program = `
      import { openTokenHost } from ${JSON.stringify(new URL('../../dist/token/index.js', import.meta.url).href)};
      const modulePath = ${JSON.stringify(client)};
      const host = openTokenHost({ modulePath, callTimeout: 600_000 });
      await host.request('tokens', { modulePath });
      console.log('ready');
      setInterval(() => {}, 1000);`;
    const words = ['--input-type=module', '-e', program];
    return spawn(process.execPath, words, { env: withAddress(address), stdio: ['ignore', 'pipe', 'ignore'] });
  }

  // The calls that pass through it wait without end, from the first one on: no message of the program gets through.
  test('a command that says nothing, and the program is killed: nothing is left of it', async () => {
    const script = join(folder, 'mute');
    const processFile = join(folder, 'mute.pid');
    writeFileSync(script, `#!/bin/sh\necho $$ $PPID > '${processFile}'\nexec sleep 100000\n`, { mode: 0o755 });
    const asking = startAsking(`|${script}`);
    const started = (): string => (existsSync(processFile) ? readFileSync(processFile, 'utf8') : '');
    expect(await waitUntil(() => started().endsWith('\n'))).toBe(true);
    asking.kill('SIGKILL');
    const [mute = 0, host = 0] = started().split(' ').map(Number);
    expect(Math.min(mute, host)).toBeGreaterThan(1);
    expect(await waitUntil(() => !isRunning(host) && !isRunning(mute))).toBe(true);
  });

  test('a command that is stopped while nothing is asked, and the program is killed: nothing is left of it', async () => {
    far.forget();
    const asking = startAsking(`|${far.serve}`);
    await once(asking.stdout!, 'data');
    const served = far.servingProcess();
    process.kill(served, 'SIGSTOP');
    asking.kill('SIGKILL');
    expect(await waitUntil(() => !isRunning(served))).toBe(true);
  });

  test.each([
    ['a command that is not there', '|/nonexistent/p11-kit remote x.so'],
    ['a command that ends at once', '|true'],
    ['a module that is not there', '|p11-kit remote /nonexistent/module.so'],
  ])('%s: the module cannot start', async (_what, address) => {
    const access = { modulePath: client, environment: withAddress(address), ...patient };
    const { error } = await failureOf(listTokens(access));
    expect(error).toMatchObject({ code: 'module-failed', functionName: 'C_Initialize' });
    expect(error.hint).toContain('check what p11-kit-client.so needs');
  });

  test('a socket that nobody serves: no token', async () => {
    const access = { modulePath: client, environment: withAddress(`unix:path=${join(folder, 'nobody')}`), ...patient };
    expect(await listTokens(access)).toEqual([]);
    const { error } = await failureOf(openTokenSigner({ ...access, pin: pinSource().ask }));
    expect(error.code).toBe('no-token');
  });
});

describe.skipIf(sshMissing !== undefined)(`a token behind a real sshd${reason(sshMissing)}`, () => {
  let sshd: Sshd;
  let far: FarToken;
  let ssh: readonly string[];
  const knownHosts = join(folder, 'known_hosts');
  const near = join(folder, 'near.sock');

  beforeAll(async () => {
    sshd = await startSshd();
    far = await makeFarToken(join(sshd.home, 'far'));
    giveTo(sshd.user, sshd.home);
    writeFileSync(knownHosts, `${sshd.knownHosts.join('\n')}\n`);
    ssh = sshWords(sshd, sshd.keyFile, knownHosts);
  });
  // Where it did not start, that is what is to be told.
  afterAll(() => (sshd as Sshd | undefined)?.close());

  const forward = (): Promise<Daemon> =>
    forwardToken(far, ssh, { near, socket: join(sshd.home, 'far.sock'), log: join(folder, 'forward.log') });

  test('over a pipe: ssh runs p11-kit at the other end', async () => {
    far.forget();
    await expectWorks(far, client, withAddress(`|${[...ssh, far.serve].join(' ')}`));
    await expectServed(far);
  });

  test.skipIf(moduleFileMissing !== undefined)(
    `over a pipe: the same by a module file and the proxy${moduleFile}`,
    async () => {
      far.forget();
      await expectCommandWorks(far, proxyWithModuleFile(join(folder, 'ssh-home'), [...ssh, far.serve].join(' ')));
      await expectServed(far);
    },
  );

  test('over a pipe, with a key that is not let in: the module cannot start, and nothing was asked', async () => {
    const address = `|${[...sshWords(sshd, sshd.strangeKeyFile, knownHosts), far.serve].join(' ')}`;
    const { error } = await failureOf(
      listTokens({ modulePath: client, environment: withAddress(address), ...patient }),
    );
    expect(error).toMatchObject({ code: 'module-failed', functionName: 'C_Initialize' });
  });

  test('over a pipe, to a machine that takes the connection and says nothing: given up at the limit', async () => {
    const sockets = new Set<{ destroy(): unknown }>();
    const mute = createServer((socket) => sockets.add(socket));
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
    const bound = mute.address();
    const port = typeof bound === 'object' && bound !== null ? bound.port : 0;
    const words = `ssh -F none -o BatchMode=yes -p ${String(port)} nobody@127.0.0.1`;
    try {
      const access: TokenAccess = {
        modulePath: client,
        environment: withAddress(`|${words} ${far.serve}`),
        callTimeout: 1_500,
      };
      const { error } = await failureOf(listTokens(access));
      expect(error).toMatchObject({ code: 'timeout', functionName: 'C_Initialize' });
      expect(sockets.size).toBeGreaterThan(0);
    } finally {
      for (const socket of sockets) socket.destroy();
      mute.close();
    }
    // It waited for the other end, and not for this one.
    expect(await waitUntil(() => processesWith(words).length === 0)).toBe(true);
  });

  describe('over a forwarded socket', () => {
    const environment = withAddress(`unix:path=${near}`);
    let forwarding: Daemon;
    beforeAll(async () => {
      forwarding = await forward();
    });
    afterAll(() => (forwarding as Daemon | undefined)?.end());
    const open = (access: Partial<TokenAccess> = {}): Promise<TokenSigner> =>
      openTokenSigner({ modulePath: client, environment, ...patient, ...access, pin: pinSource().ask });

    test('it is listed, exported and signs', () => expectWorks(far, client, environment));

    test('ssh stopped before a signature: given up at the limit and named; it goes on, and the next run works', async () => {
      const signer = await open({ callTimeout: 4_000, interactionTimeout: 4_000 });
      await signer.sign(requestFor('sha1', message));
      process.kill(forwarding.processId, 'SIGSTOP');
      try {
        const { error, took } = await failureOf(signer.sign(requestFor('sha512', message)));
        expect(error).toMatchObject({ code: 'timeout', functionName: expect.stringMatching(/^C_Sign/) as string });
        expect(error.message).toMatch(/^token "far token" \(serial .*\): no answer within 4 s/);
        expect(took).toBeGreaterThan(3_900);
      } finally {
        process.kill(forwarding.processId, 'SIGCONT');
      }
      await signer.close();
      await expectWorks(far, client, environment);
    });

    test('ssh killed between two signatures: the token is gone, no PIN is asked for again, and a new ssh is enough', async () => {
      const pin = pinSource();
      const signer = await openTokenSigner({ modulePath: client, environment, ...patient, pin: pin.ask });
      await signer.sign(requestFor('sha1', message));
      process.kill(forwarding.processId, 'SIGKILL');
      const { error } = await failureOf(signer.sign(requestFor('sha512', message)));
      expect(error).toMatchObject({ code: 'token-removed', returnValue: 'CKR_DEVICE_ERROR' });
      expect(pin.asked()).toBe(1);
      await signer.close();
      expect(await listTokens({ modulePath: client, environment, ...patient })).toEqual([]);
      await forwarding.end();
      forwarding = await forward();
      await expectWorks(far, client, environment);
    });
  });
});

/** The processes that were started with these words; they stand one after the other in a list of words. */
function processesWith(words: string): readonly string[] {
  return readdirSync('/proc').filter((name) => {
    try {
      return readFileSync(`/proc/${name}/cmdline`, 'latin1').replaceAll('\0', ' ').startsWith(`${words} `);
    } catch {
      // It ended meanwhile, or is no process.
      return false;
    }
  });
}

function reason(missing: string | undefined): string {
  return missing === undefined ? '' : ` (skipped: ${missing})`;
}
