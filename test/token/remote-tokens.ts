import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  createSastToken,
  createSoftHsm,
  createStandInAuthority,
  type SastIdentity,
  type SoftHsm,
} from 'softhsm-config';
import type { Environment } from '../../src/token/index.js';
import { canMount } from '../cli/etoken-bridge.js';
import { libraryPath, startDaemon, waitFor, whatIsMissing, type Daemon } from '../modules/programs.js';
import type { ModuleAccess } from '../modules/running-module.js';
import { sshdMissing, type Sshd } from '../sftp/sshd.js';
import { notMissingInCi } from '../skip-reason.js';
import { rightPin } from './soft-tokens.js';

export const proxy: string = libraryPath('p11-kit-proxy.so');
export const client: string = libraryPath('pkcs11/p11-kit-client.so');

/** Why no token can be put behind p11-kit here; `undefined` when it can. */
export const remotingMissing: string | undefined = whatIsMissing([
  { what: 'p11-kit', package: 'p11-kit' },
  { what: proxy, package: 'p11-kit-modules' },
  { what: client, package: 'p11-kit-modules' },
]);

/** The same for one that is reached over ssh. */
export const sshMissing: string | undefined =
  remotingMissing ?? (sshdMissing === '' ? whatIsMissing([{ what: 'ssh', package: 'openssh-client' }]) : sshdMissing);

/** A soft eToken in a folder of its own, which stands for that of another machine. */
export interface FarToken extends SastIdentity {
  readonly softHsm: SoftHsm;
  /**
   * What serves the token on standard input and output: with its process id in a file, and standard error closed off,
   * which a module that is loaded by Node.js does not pass on.
   */
  readonly serve: string;
  /** The process of the serving command that was started last. */
  readonly servingProcess: () => number;
  /** Forgets the commands that were started until now. */
  readonly forget: () => void;
}

export async function makeFarToken(folder: string): Promise<FarToken> {
  mkdirSync(folder, { recursive: true });
  const softHsm = await createSoftHsm(join(folder, 'softhsm'));
  const authority = await createStandInAuthority();
  const request = { label: 'far token', bits: 1024, pin: rightPin, soPin: '12345678', authority } as const;
  const identity = await createSastToken(softHsm, request);
  const script = join(folder, 'serve');
  const processFile = join(folder, 'serving.pid');
  const lines = [
    '#!/bin/sh',
    `echo $$ > '${processFile}'`,
    `export SOFTHSM2_CONF='${softHsm.configuration}'`,
    `exec p11-kit remote '${softHsm.module}' 2>> '${join(folder, 'serve.log')}'`,
  ];
  writeFileSync(script, `${lines.join('\n')}\n`, { mode: 0o755 });
  return {
    ...identity,
    softHsm,
    serve: script,
    servingProcess: () => (existsSync(processFile) ? Number(readFileSync(processFile, 'utf8')) : 0),
    forget: () => rmSync(processFile, { force: true }),
  };
}

/** Gives a folder to the user that logs in there. */
export function giveTo(user: string, folder: string): void {
  if (process.getuid?.() !== 0) return;
  const { status, stderr } = spawnSync('chown', ['-R', user, folder], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
}

/**
 * p11-kit's proxy with one module, by a module file that runs a command. p11-kit does not read the files of root's home:
 * root gets the file in place of the system's, in a mount namespace that lasts as long as the command.
 */
export function proxyWithModuleFile(home: string, command: string): ModuleAccess {
  const configuration = join(home, '.config/pkcs11');
  const modules = join(configuration, 'modules');
  mkdirSync(modules, { recursive: true });
  writeFileSync(join(configuration, 'pkcs11.conf'), 'user-config: only\n');
  writeFileSync(join(modules, 'far.module'), `remote: |${command}\n`);
  const mount = 'mount --bind "$0" /usr/share/p11-kit/modules; exec "$@"';
  return {
    modulePath: proxy,
    environment: { HOME: home, XDG_CONFIG_HOME: join(home, '.config') },
    inside: process.getuid?.() === 0 ? ['unshare', '-m', 'sh', '-eu', '-c', mount, modules] : [],
  };
}

/** Why no module file can be put in place for one command; `undefined` when it can, as always in CI. */
export const moduleFileMissing: string | undefined = notMissingInCi(
  'a module file of p11-kit',
  remotingMissing ?? (process.getuid?.() !== 0 || canMount ? undefined : 'root may not mount here'),
);

/** An environment in which p11-kit's client reaches a socket, or runs a command. */
export function withAddress(address: string): Environment {
  return { ...process.env, P11_KIT_SERVER_ADDRESS: address };
}

/** `ssh` to a server of the tests, without questions and without the configuration of whoever runs them. */
export function sshWords(sshd: Sshd, keyFile: string, knownHosts: string): string[] {
  return [
    ...['ssh', '-F', 'none', '-i', keyFile, '-p', String(sshd.port)],
    ...['BatchMode=yes', 'IdentitiesOnly=yes', 'StrictHostKeyChecking=yes', `UserKnownHostsFile=${knownHosts}`].flatMap(
      (option) => ['-o', option],
    ),
    `${sshd.user}@127.0.0.1`,
  ];
}

/** A server on the far side, and its socket forwarded to this one: both end with one ssh. */
export async function forwardToken(
  far: FarToken,
  ssh: readonly string[],
  { near, socket, log }: { readonly near: string; readonly socket: string; readonly log: string },
): Promise<Daemon> {
  for (const path of [near, socket]) rmSync(path, { force: true });
  const [program = '', ...words] = ssh;
  // With a terminal of its own the server is hung up on when ssh ends.
  const forward = ['-tt', '-L', `${near}:${socket}`, '-o', 'ExitOnForwardFailure=yes'];
  const server = `exec p11-kit server --foreground --provider '${far.softHsm.module}' --name '${socket}' pkcs11:`;
  const environment = `SOFTHSM2_CONF='${far.softHsm.configuration}'`;
  const daemon = startDaemon([program, ...forward, ...words, `export ${environment}; ${server}`], log);
  try {
    await waitFor('the socket of the far server', () => existsSync(socket) && existsSync(near), daemon);
  } catch (error) {
    await daemon.end();
    throw new Error(`${error instanceof Error ? error.message : ''}: ${readFileSync(log, 'utf8')}`, { cause: error });
  }
  return daemon;
}
