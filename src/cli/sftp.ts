import { homedir } from 'node:os';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { printable } from '../bytes/index.js';
import { FormatError, InputError, NetworkError } from '../errors.js';
import {
  parseFingerprint,
  parseKnownHosts,
  sshPort,
  type HostKeyTrust,
  type SftpLogin,
  type SftpServer,
} from '../sftp/index.js';
import { parseWhole } from './endpoint.js';
import { readInput } from './files.js';
import { readPassword } from './password.js';
import { askSecret } from './prompts.js';
import type { SftpOptions } from './sftp-options.js';

/** Files of these options that a command reads: none of them may be overwritten. */
export function sftpInputs(options: SftpOptions): readonly string[] {
  const { sftpPasswordFile, identity, identityPasswordFile, knownHosts } = options;
  return [sftpPasswordFile, identity, identityPasswordFile, knownHosts].filter(
    (path) => path !== undefined && path !== '-',
  ) as string[];
}

/**
 * The server that options name. No password is asked for before it has proved who it is.
 *
 * @throws InputError `usage`, `file-missing`, `file-unreadable`
 */
export async function sftpServer(host: string, user: string, options: SftpOptions): Promise<SftpServer> {
  const { port, timeout } = options;
  return {
    host,
    user,
    port: port === undefined ? sshPort : parseWhole(port, 'the port', 1, 65_535),
    login: await loginOf(host, user, options),
    hostKey: await trustOf(options),
    ...(timeout === undefined ? {} : { timeoutMs: 1000 * parseWhole(timeout, '--timeout', 1, 3600) }),
  };
}

async function loginOf(host: string, user: string, options: SftpOptions): Promise<SftpLogin> {
  const { identity, identityPasswordFile, sftpPasswordFile } = options;
  if (identity !== undefined) {
    if (sftpPasswordFile !== undefined) {
      throw new InputError('usage', 'the login is either by --identity or by --sftp-password-file, not by both', {
        hint: 'the passphrase of the key is given with --identity-password-file',
      });
    }
    const key = await readInput(identity, 'private key');
    const passphrase = await readPassword(identityPasswordFile);
    return { kind: 'key', key, ...(passphrase === undefined ? {} : { passphrase }) };
  }
  const given = await readPassword(sftpPasswordFile);
  const otherwise = 'give --sftp-password-file FILE, or log in with --identity FILE';
  const question = `Enter Sftp password of ${user} on ${host}`;
  return {
    kind: 'password',
    password: () => (given === undefined ? askSecret(question, otherwise) : Promise.resolve(given)),
  };
}

async function trustOf({ hostKey, knownHosts }: SftpOptions): Promise<HostKeyTrust> {
  if (hostKey !== undefined) return { kind: 'fingerprint', fingerprint: parseFingerprint(hostKey) };
  const usual = [join(homedir(), '.ssh', 'known_hosts'), '/etc/ssh/ssh_known_hosts'];
  const files = knownHosts === undefined ? usual.filter((path) => existsSync(path)) : [knownHosts];
  const texts = await Promise.all(
    files.map(async (path) => [new TextDecoder().decode(await readInput(path, 'known_hosts file')), path] as const),
  );
  return { kind: 'known-hosts', entries: texts.flatMap(([text, path]) => parseKnownHosts(text, path)) };
}

/** Runs what uses SFTP; its failures come out in the words of the options. */
export async function inWordsOfOptions<Result>(options: SftpOptions, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof NetworkError && error.code === 'host-key-unknown') {
      throw new NetworkError(error.code, error.message, {
        hint: 'nothing was sent. Compare the fingerprint with the one that the administrator of the server reads off it (ssh-keygen -lf); when it is the same, give it as --host-key, or note the key in known_hosts',
        cause: error,
      });
    }
    if (error instanceof FormatError && options.identity !== undefined) {
      const hint =
        error.code === 'bad-password'
          ? 'give the file with its passphrase as --identity-password-file FILE'
          : error.hint;
      throw new InputError('file-unreadable', `${printable(options.identity)} cannot be used: ${error.message}`, {
        ...(hint === undefined ? {} : { hint }),
      });
    }
    throw error;
  }
}

/** A file on a server, as scp writes it. */
export interface RemotePlace {
  readonly user: string;
  readonly host: string;
  /** Empty for the home folder of the user. */
  readonly path: string;
}

/** `USER@HOST:PATH`; an IPv6 address stands in brackets. @throws InputError `usage` */
export function parseRemotePlace(text: string): RemotePlace {
  const [, user, bracketed, plain, path] = /^(.+?)@(?:\[([^\]]+)\]|([^@:\s[\]]+)):(.*)$/s.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (user !== undefined && host !== undefined && path !== undefined) return { user, host, path };
  throw new InputError('usage', `${printable(text)} is not USER@HOST:PATH`, {
    hint: 'write e.g. backup@10.48.47.200:/srv/backup/; an IPv6 address stands in brackets',
  });
}
