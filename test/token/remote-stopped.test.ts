import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { plainEnvironment, program, type Outcome } from '../cli/etoken-bridge.js';
import { makeSoftTokens, pins, type SoftTokens } from '../cli/soft-tokens.js';
import { childrenOf } from '../cli/terminal.js';
import { buildFaultShim, shimMissing, type FaultShim } from '../fault-shim/build.js';
import { startDaemon, waitFor, type Daemon } from '../modules/programs.js';
import { isRunning, waitUntil } from './soft-tokens.js';

const client = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib64', '/usr/lib']
  .map((folder) => `${folder}/pkcs11/p11-kit-client.so`)
  .find((path) => existsSync(path));

/** Why this cannot be tried here; `undefined` when it can. */
const missing =
  spawnSync('p11-kit', ['--help']).error !== undefined || client === undefined
    ? 'p11-kit and p11-kit-modules are not installed'
    : existsSync('/proc/self/task')
      ? shimMissing
      : 'processes are looked up in /proc';

if (process.env['CI'] === 'true' && missing !== undefined) throw new Error(`p11-kit-remote: ${missing}`);

describe.skipIf(missing !== undefined)(
  `p11-kit-remote in the middle of a signature${missing === undefined ? '' : ` (${missing})`}`,
  () => {
    let tokens: SoftTokens;
    let shim: FaultShim;
    let server: Daemon;
    /** For commands that use the token through p11-kit. */
    let environment: Readonly<Record<string, string>>;

    beforeAll(async () => {
      tokens = await makeSoftTokens();
      tokens.makeTokenList('CTLFile.tlv');
      shim = buildFaultShim(join(tokens.folder, 'shim'), tokens.module);
      const socket = join(tokens.folder, 'p11-kit.socket');
      // The shim stands behind p11-kit-remote, only to make a signature last until the signal comes. A remote that is
      // stopped ends with its server, and the server with this process.
      const words = ['p11-kit', 'server', '--foreground', '--provider', shim.module, '--name', socket, 'pkcs11:'];
      server = startDaemon(words, join(tokens.folder, 'server.log'), {
        environment: { ...tokens.environment, ...shim.environment, FAULT_SHIM_PARENT: 'yes' },
      });
      const end = async (): Promise<void> => {
        for (const one of remotes()) process.kill(one, 'SIGKILL');
        await server.end();
      };
      try {
        await waitFor('the socket of p11-kit server', () => existsSync(socket), server);
      } catch (error) {
        await end();
        throw error;
      }
      environment = { P11_KIT_SERVER_ADDRESS: `unix:path=${socket}`, ETOKEN_BRIDGE_MODULE: client ?? '' };
      return end;
    });

    /** The processes of p11-kit that hold the token, one for each command that uses it. */
    function remotes(): readonly number[] {
      return isRunning(server.processId) ? childrenOf(server.processId).filter((one) => isRunning(one)) : [];
    }

    /** The only one of them. */
    function theRemote(): number {
      const [remote, ...others] = remotes();
      if (remote === undefined) throw new Error('no p11-kit-remote runs');
      expect(others).toEqual([]);
      return remote;
    }

    function start(words: readonly string[], more: Readonly<Record<string, string>> = {}): Promise<Outcome> {
      const child = spawn(process.execPath, words, {
        cwd: tokens.folder,
        env: plainEnvironment({ ...environment, ...more }),
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let [stdout, stderr] = ['', ''];
      child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
      child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
      return once(child, 'close').then(([status]) => ({ status: status as number | null, stdout, stderr }));
    }

    /** Processes that were started with the address of the server: commands and their hosts. */
    function clients(): readonly string[] {
      return readdirSync('/proc').filter((name) => {
        try {
          return readFileSync(`/proc/${name}/environ`, 'latin1').includes(environment['P11_KIT_SERVER_ADDRESS'] ?? '');
        } catch {
          return false;
        }
      });
    }

    const name = (): string => `token "SAST first" (serial ${tokens.first.token.serialNumber})`;
    const sign = (): string[] => {
      const { first } = tokens;
      return ['ctl', 'sign', 'CTLFile.tlv', '--out', 'signed.tlv', '--token-serial', first.token.serialNumber];
    };

    test.each([
      ['SIGSTOP', 'no answer within 2 s; the process that holds the token was ended (C_Sign)', 'plug it in again'],
      ['SIGKILL', 'was removed (C_Sign: CKR_DEVICE_ERROR)', 'plug the token in again'],
    ] as const)(
      '%s: exit code 3, named, nothing written, nobody left; the next run works',
      async (signal, says, hint) => {
        shim.setRules('C_Sign hang');
        shim.takeCalls();
        const limit: Record<string, string> = signal === 'SIGSTOP' ? { ETOKEN_BRIDGE_TOKEN_TIMEOUT: '2' } : {};
        const command = [program, ...sign(), '--pin-file', tokens.first.pinFile];
        const ended = start(command, limit);
        expect(await waitUntil(() => shim.calls().includes('C_Sign'))).toBe(true);
        const remote = theRemote();
        process.kill(remote, signal);
        const { status, stdout, stderr } = await ended;
        expect([status, stdout]).toEqual([3, '']);
        expect(stderr).toContain(`error: ${name()}: `);
        expect(stderr).toContain(says);
        expect(stderr).toMatch(new RegExp(`\nhint: .*${hint}`));
        expect(stderr).not.toContain(pins.first);
        expect(existsSync(join(tokens.folder, 'signed.tlv'))).toBe(false);
        expect(readdirSync(tokens.folder).filter((file) => file.endsWith('.part'))).toEqual([]);
        expect(await waitUntil(() => clients().length === 0)).toBe(true);

        shim.setRules();
        // The one that was stopped is still stopped: the next command gets another.
        const next = await start(command);
        expect([next.status, next.stderr]).toEqual([0, expect.stringMatching(/^next: [^\n]*\n$/)]);
        rmSync(join(tokens.folder, 'signed.tlv'));
        if (signal === 'SIGSTOP') process.kill(remote, 'SIGKILL');
        expect(await waitUntil(() => remotes().length === 0)).toBe(true);
      },
    );

    /** Signs without end through the library, a line for each batch, until it fails; then the failure. */
    const signWithoutEnd = `
      import { openTokenSigner, Pin } from ${JSON.stringify(new URL('../../dist/token/index.js', import.meta.url).href)};
      const { SERIAL: tokenSerial, PIN } = process.env;
      const limits = { callTimeout: 2000, interactionTimeout: 2000 };
      const signer = await openTokenSigner({ tokenSerial, pin: async () => new Pin(PIN), ...limits });
      const requests = Array.from({ length: 32 }, () => ({ digestAlgorithm: 'sha1', digest: new Uint8Array(20) }));
      try {
        for (let batch = 1; ; batch += 1) {
          await signer.signBatch(requests);
          console.log(batch);
        }
      } catch ({ name, code, functionName, returnValue }) {
        console.log(JSON.stringify({ name, code, functionName, returnValue }));
        await signer.close();
      }`;

    // No rule of the shim has a hand in this: it is at some moment of thousands of signatures.
    test.each([
      ['SIGSTOP', { code: 'timeout', functionName: expect.stringMatching(/^C_Sign(Init)?$/) as string }],
      [
        'SIGKILL',
        {
          code: 'token-removed',
          functionName: expect.stringMatching(/^C_Sign(Init)?$/) as string,
          returnValue: 'CKR_DEVICE_ERROR',
        },
      ],
    ] as const)('%s at any moment of a batch is told the same way', async (signal, failure) => {
      shim.setRules();
      shim.takeCalls();
      const secret = { SERIAL: tokens.first.token.serialNumber, PIN: pins.first };
      const ended = start(['--input-type=module', '-e', signWithoutEnd], secret);
      const signatures = (): number => shim.calls().filter((name) => name === 'C_Sign').length;
      expect(await waitUntil(() => signatures() > 100)).toBe(true);
      const remote = theRemote();
      process.kill(remote, signal);
      const { status, stdout, stderr } = await ended;
      expect([status, stderr]).toEqual([0, '']);
      expect(JSON.parse(stdout.trim().split('\n').at(-1) ?? '')).toEqual({ name: 'DeviceError', ...failure });
      expect(await waitUntil(() => clients().length === 0)).toBe(true);
      if (signal === 'SIGSTOP') process.kill(remote, 'SIGKILL');
      expect(await waitUntil(() => remotes().length === 0)).toBe(true);
    });
  },
);
