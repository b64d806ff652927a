import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { listTokens, openTokenHost, Pin, type TokenHost, type TokenHostOptions } from '../../src/token/index.js';
import { buildFaultShim, shimMissing, type FaultShim } from '../fault-shim/build.js';
import { skipReason } from '../skip-reason.js';
import { isRunning, makeSoftTokens, rightPin, temporaryFolder, waitUntil, type SoftTokens } from './soft-tokens.js';

const folder = temporaryFolder();
const root = fileURLToPath(new URL('../..', import.meta.url));
let soft: SoftTokens;

beforeAll(async () => {
  soft = await makeSoftTokens(folder, [{ label: 'CTL', bits: 1024 }]);
});

function open(more: Partial<TokenHostOptions> = {}): TokenHost {
  return openTokenHost({ modulePath: soft.softHsm.module, environment: soft.environment, ...more });
}

async function firstSlot(host: TokenHost): Promise<number> {
  const { tokens } = await host.request('tokens', { modulePath: host.modulePath });
  return tokens.find(({ label }) => label === 'CTL')!.slotId;
}

describe('a token host', () => {
  test('answers requests in their order, and is gone when it is closed', async () => {
    const host = open();
    const asked = [1, 2, 3].map(() => host.request('tokens', { modulePath: host.modulePath }));
    const answers = await Promise.all(asked);
    expect(answers.map(({ tokens }) => tokens.length)).toEqual([2, 2, 2]);
    const processId = host.processId!;
    expect(isRunning(processId)).toBe(true);
    await host.close();
    expect(isRunning(processId)).toBe(false);
    await expect(host.request('token', { slotId: 1 })).rejects.toMatchObject({ name: 'DeviceError' });
  });

  test('is closed at once also when it was never asked anything', async () => {
    const host = open();
    await host.close();
    expect(isRunning(host.processId!)).toBe(false);
  });

  test('that is killed from outside fails what is outstanding, and everything later', async () => {
    const host = open();
    const slotId = await firstSlot(host);
    const outstanding = host.request('unlock', { slotId, pin: new Pin(rightPin) }, 'token "CTL"');
    process.kill(host.processId!, 'SIGKILL');
    const error = { code: 'host-crashed', message: expect.stringContaining('SIGKILL') as string };
    await expect(outstanding).rejects.toMatchObject(error);
    await expect(host.request('token', { slotId })).rejects.toMatchObject(error);
    await host.close();
  });

  test('lets Ctrl-C to the command', async () => {
    const host = open();
    const slotId = await firstSlot(host);
    process.kill(host.processId!, 'SIGINT');
    expect(await host.request('token', { slotId })).toMatchObject({ label: 'CTL' });
    await host.close();
  });

  test('needs no folder for temporary files', async () => {
    const { TMPDIR } = process.env;
    process.env['TMPDIR'] = join(folder, 'no-such-folder');
    const host = open();
    if (TMPDIR === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = TMPDIR;
    const slotId = await firstSlot(host);
    // What fails is told all the same; a crash or hang would only not name its function.
    await expect(host.request('unlock', { slotId, pin: new Pin('wrong pin') })).rejects.toMatchObject({
      code: 'pin-incorrect',
      functionName: 'C_Login',
    });
    process.kill(host.processId!, 'SIGSEGV');
    await expect(host.request('token', { slotId })).rejects.toMatchObject({
      code: 'host-crashed',
      functionName: undefined,
    });
    await host.close();
  });

  test('that cannot be started is an error of the first request', async () => {
    const { execPath } = process;
    process.execPath = join(folder, 'no-node-here');
    const host = open();
    process.execPath = execPath;
    await expect(host.request('tokens', { modulePath: host.modulePath })).rejects.toMatchObject({
      code: 'host-crashed',
      message: expect.stringContaining('cannot be started') as string,
    });
    await host.close();
  });
});

describe('a command that ends', () => {
  /** Runs a program with the built library; it prints the process id of its host when it has come so far. */
  async function runProgram(body: string, environment: object): Promise<{ child: ChildProcess; host: number }> {
    const program = `
      import { openTokenHost, Pin } from ${JSON.stringify(new URL('../../dist/token/index.js', import.meta.url).href)};
      const modulePath = process.env.MODULE;
      const host = openTokenHost({ modulePath });
      const { tokens } = await host.request('tokens', { modulePath });
      const { slotId } = tokens.find(({ label }) => label === 'CTL');
      const ready = () => process.stdout.write(host.processId + '\\n');
      ${body}`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      env: { ...(soft.environment as NodeJS.ProcessEnv), ...environment },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    return { child, host: Number(line.toString().trim()) };
  }

  test.each([
    ['forgets to close it', 'ready();', undefined],
    ['calls process.exit', 'ready(); process.exit(3);', undefined],
    ['fails with an error that nobody handles', 'ready(); throw new Error();', undefined],
    ['is killed', 'ready(); setInterval(() => {}, 1000);', 'SIGKILL'],
    ['is interrupted', 'ready(); setInterval(() => {}, 1000);', 'SIGINT'],
  ] as const)('and %s leaves no host behind', async (_, body, signal) => {
    const { child, host } = await runProgram(body, { MODULE: soft.softHsm.module });
    const exited = once(child, 'exit');
    if (signal !== undefined) child.kill(signal);
    await exited;
    expect(host).toBeGreaterThan(0);
    expect(await waitUntil(() => !isRunning(host))).toBe(true);
  });

  describe.skipIf(shimMissing !== undefined)(`while a call hangs${skipReason(shimMissing)}`, () => {
    let shim: FaultShim;
    beforeAll(() => {
      shim = buildFaultShim(join(folder, 'shim'), soft.softHsm.module);
    });

    const sign = `
      const { keys } = await host.request('unlock', { slotId, pin: new Pin('${rightPin}') });
      const inputs = [new Uint8Array(35)];
      host.request('sign', { key: keys[0].handle, mechanisms: [1], inputs, signatureLength: 128, sessions: 1 });`;
    const login = `host.request('unlock', { slotId, pin: new Pin('${rightPin}') });`;

    test.each([
      ['C_Sign', `${sign} ready();`],
      ['C_Login', `await new Promise((resolve) => setTimeout(resolve, 500)); ${login} ready();`],
    ])('%s leaves no host behind when it is killed', async (functionName, body) => {
      shim.setRules(`${functionName} hang`);
      const { child, host } = await runProgram(body, { ...shim.environment, MODULE: shim.module });
      expect(await waitUntil(() => shim.takeCalls().includes(functionName))).toBe(true);
      child.kill('SIGKILL');
      await once(child, 'exit');
      expect(await waitUntil(() => !isRunning(host))).toBe(true);
    });
  });
});

describe.skipIf(shimMissing !== undefined)(`what a library writes${skipReason(shimMissing)}`, () => {
  test('is repeated when it crashes, without the PIN', async () => {
    const own = join(folder, 'talker');
    mkdirSync(own);
    const shim = buildFaultShim(own, soft.softHsm.module);
    const environment = { ...soft.environment, ...shim.environment };
    const host = openTokenHost({ modulePath: shim.module, environment });
    const slotId = await firstSlot(host);
    shim.setRules('C_Login abort');
    // The shim writes the name of the function; as the PIN, that name must not be seen in what it wrote.
    const crashed = host.request('unlock', { slotId, pin: new Pin('aborts') });
    await expect(crashed).rejects.toMatchObject({
      code: 'host-crashed',
      functionName: 'C_Login',
      message: expect.stringContaining('it wrote: fault-shim: C_Login [PIN]') as string,
    });
    await host.close();
  });
});

describe('without the packages for PKCS#11', () => {
  /** The built library, copied to where no package can be found but those that are put beside it. */
  function copyLibrary(name: string): string {
    const copy = join(folder, name);
    for (const part of ['bytes', 'x509', 'signer', 'token', 'errors.js']) {
      cpSync(join(root, 'dist', part), join(copy, 'dist', part), { recursive: true });
    }
    writeFileSync(join(copy, 'package.json'), '{ "type": "module" }');
    mkdirSync(join(copy, 'node_modules'));
    return copy;
  }

  function run(copy: string, body: string): unknown {
    const library = pathToFileURL(join(copy, 'dist/token/index.js')).href;
    const program = `
      const token = await import(${JSON.stringify(library)});
      const result = await (async () => { ${body} })().catch(({ code, message, hint }) => ({ code, message, hint }));
      console.log(JSON.stringify(result));`;
    const words = ['--input-type=module', '-e', program];
    const result = spawnSync(process.execPath, words, { encoding: 'utf8', env: soft.environment });
    if (result.status !== 0) throw new Error(result.stderr);
    return JSON.parse(result.stdout);
  }

  const missing = {
    code: 'binding-missing',
    message: expect.stringContaining('pkcs11js') as string,
    hint: expect.stringContaining('npm install') as string,
  };

  test('every use of a token says what to install', () => {
    const copy = copyLibrary('nothing');
    expect(run(copy, 'return token.listTokens()')).toMatchObject(missing);
    expect(run(copy, 'return token.openTokenSigner({ pin: async () => new token.Pin("x") })')).toMatchObject(missing);
  });

  test('so it does when pkcs11js was installed and not built', () => {
    const copy = copyLibrary('unbuilt');
    const target = join(copy, 'node_modules/pkcs11js');
    cpSync(join(root, 'node_modules/pkcs11js'), target, {
      recursive: true,
      filter: (path) => !path.startsWith(join(root, 'node_modules/pkcs11js/build')),
    });
    expect(run(copy, 'return token.listTokens()')).toMatchObject(missing);
  });

  test('with pkcs11js alone a token signs, and a list says that graphene-pk11 is missing', () => {
    const copy = copyLibrary('half');
    symlinkSync(join(root, 'node_modules/pkcs11js'), join(copy, 'node_modules/pkcs11js'), 'dir');
    expect(run(copy, 'return token.listTokens()')).toMatchObject({
      code: 'binding-missing',
      message: expect.stringContaining('graphene-pk11') as string,
    });
    const sign = `
      const pin = async () => new token.Pin('${rightPin}');
      const signer = await token.openTokenSigner({ pin });
      const signature = await signer.sign({ digestAlgorithm: 'sha1', digest: new Uint8Array(20) });
      await signer.close();
      return { length: signature.length };`;
    expect(run(copy, sign)).toEqual({ length: 128 });
  });

  test('what needs no token works', () => {
    const copy = copyLibrary('plain');
    const body = `return { uri: token.formatTokenUri({ token: 'a b' }), found: token.findModules().length }`;
    expect(run(copy, body)).toEqual({ uri: 'pkcs11:token=a%20b', found: 1 });
  });
});

test('a module that is there and cannot be read is no crash', async () => {
  const path = join(folder, 'unreadable.so');
  writeFileSync(path, 'x', { mode: 0o000 });
  const expected = process.getuid?.() === 0 ? 'module-not-a-library' : 'module-failed';
  await expect(listTokens({ modulePath: path })).rejects.toMatchObject({ code: expected });
});
