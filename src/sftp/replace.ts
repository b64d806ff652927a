import { createHash, randomBytes } from 'node:crypto';
import type { Stats } from 'ssh2';
import { formatHex } from '../bytes/index.js';
import { NetworkError } from '../errors.js';
import type { SftpConnection } from './connect.js';
import { explainRequest } from './failure.js';
import { ask, RemoteFile, Unsupported } from './remote-file.js';

/** An old file is read for its SHA-1 up to so many bytes. */
const largestOld = 1024 * 1024;

/** Gives a file its name, and keeps the one that has it. @returns the new name of that one */
export async function replaceRemoteFile(
  connection: SftpConnection,
  from: string,
  to: string,
): Promise<string | undefined> {
  const rename = (old: string, now: string): Promise<void> =>
    ask(connection, to, 'rename', (sftp, done) => sftp.rename(old, now, done));
  const old = await examineName(connection, to);
  if (old === undefined) {
    await rename(from, to);
    return undefined;
  }
  const backup = await nameForOld(connection, to, old);
  if (await hasSecondName(connection, to, backup)) {
    await moveOver(connection, from, to);
    return backup;
  }
  await rename(to, backup);
  try {
    await rename(from, to);
  } catch (error) {
    await rename(backup, to);
    throw error;
  }
  return backup;
}

/** What has a name, links not followed; `undefined` where nothing has it. */
async function examineName(connection: SftpConnection, path: string): Promise<Stats | undefined> {
  const { sftp, server, wait } = connection;
  return wait(
    new Promise<Stats | undefined>((resolve, reject) => {
      sftp.lstat(path, (error, stats) => {
        if (error === undefined) {
          resolve(stats);
          return;
        }
        const failure = explainRequest(error, server, path, 'look at');
        if (failure.code === 'file-not-found') resolve(undefined);
        else reject(failure);
      });
    }),
  );
}

/** A name that nothing has yet. */
async function nameForOld(connection: SftpConnection, path: string, old: Stats): Promise<string> {
  const time = new Date(old.mtime * 1000)
    .toISOString()
    .replaceAll(':', '-')
    .replace(/\.\d+Z$/, 'Z');
  const sha1 = old.isFile() && old.size <= largestOld ? await sha1Of(connection, path) : undefined;
  const name = `${path}.${time}${sha1 === undefined ? '' : `.${sha1}`}`;
  const isFree = (await examineName(connection, name)) === undefined;
  return isFree ? name : `${name}.${randomBytes(4).toString('hex')}`;
}

/** @returns `undefined` for a file that the user may not read. */
async function sha1Of(connection: SftpConnection, path: string): Promise<string | undefined> {
  const file = new RemoteFile(connection, path);
  try {
    await file.open('r', 0);
    const bytes = await file.readAll(largestOld);
    await file.close();
    return formatHex(createHash('sha1').update(bytes).digest());
  } catch (error) {
    if (error instanceof NetworkError && error.code === 'access-denied') return undefined;
    throw error;
  }
}

/** Whether the server gave a file a second name. Not every server can, nor for every file. */
function hasSecondName(connection: SftpConnection, path: string, second: string): Promise<boolean> {
  return ask(connection, path, 'link', (sftp, done) => sftp.ext_openssh_hardlink(path, second, done)).then(
    () => true,
    (error: unknown) => {
      if (error instanceof Unsupported) return false;
      if (error instanceof NetworkError && (error.code === 'sftp-error' || error.code === 'access-denied'))
        return false;
      throw error;
    },
  );
}

/**
 * Renames over what is there, which has a second name. Plain SFTP cannot: without the extension of OpenSSH the old file is set aside first, and
 * put back when the new one cannot take its place.
 */
async function moveOver(connection: SftpConnection, from: string, to: string): Promise<void> {
  const rename = (old: string, now: string): Promise<void> =>
    ask(connection, to, 'rename', (sftp, done) => sftp.rename(old, now, done));
  const isPosix = await ask(connection, to, 'rename', (sftp, done) => sftp.ext_openssh_rename(from, to, done)).then(
    () => true,
    (error: unknown) => {
      if (error instanceof Unsupported) return false;
      throw error;
    },
  );
  if (isPosix) return;
  const aside = `${from}.old`;
  await rename(to, aside);
  try {
    await rename(from, to);
  } catch (error) {
    await rename(aside, to);
    throw error;
  }
  await ask(connection, aside, 'remove', (sftp, done) => sftp.unlink(aside, done));
}
