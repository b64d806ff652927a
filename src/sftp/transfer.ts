import { randomBytes } from 'node:crypto';
import { equalBytes, printable } from '../bytes/index.js';
import { NetworkError } from '../errors.js';
import { withSftp, type SftpConnection } from './connect.js';
import { RemoteFile } from './remote-file.js';
import { replaceRemoteFile } from './replace.js';
import type { SftpServer } from './server.js';

/** A file to fetch. */
export interface SftpFetchRequest extends SftpServer {
  /** On the server; a relative one begins at the home folder of the user. */
  readonly path: string;
  /** How many bytes the file may have: 1 MiB unless given. */
  readonly largest?: number;
}

/** A file to put on a server. */
export interface SftpPutRequest extends SftpServer {
  /** The file, or a folder that is there. */
  readonly path: string;
  /** The name of the file where `path` is a folder. */
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Permissions of the file: 0o600 unless given. */
  readonly mode?: number;
}

/** Where a file is on a server now. */
export interface SftpPut {
  readonly path: string;
  /** The new name of the file that was there before; `undefined` where there was none. */
  readonly backup: string | undefined;
}

/**
 * Fetches a file over SFTP. The host key is checked before anything is sent, the password included.
 *
 * @throws NetworkError `host-key-unknown`, `host-key-changed`, `host-key-revoked`, `login-refused`; `unreachable`,
 *   `timeout`, `cut-off`, `malformed`, `not-accepted` when the server has no SFTP; `file-not-found`, `access-denied`,
 *   `too-large`, `sftp-error`. FormatError `bad-key`, `bad-password` for the key of the login; what `password` throws.
 */
export async function fetchOverSftp(request: SftpFetchRequest): Promise<Uint8Array> {
  const { path, largest = 1024 * 1024 } = request;
  return withSftp(request, async (connection) => {
    const file = new RemoteFile(connection, path);
    await file.open('r', 0);
    const { isFolder, size } = await file.examine();
    if (isFolder) throw isAFolder(connection.server, path);
    if (size > largest) throw tooLarge(connection.server, path, size, largest);
    // A size is what a server says; what it sends is counted.
    const bytes = await file.readAll(largest + 1);
    if (bytes.length > largest) throw tooLarge(connection.server, path, bytes.length, largest);
    await file.close();
    return bytes;
  });
}

/**
 * Puts a file on a server: written beside under another name, read back, and renamed to its place, so that at every
 * moment the old or the new one is there whole. A file that was there before is never deleted: it stays beside, with
 * the time of its last change and its SHA-1 behind its name. Where the server makes no second names for a file, the old
 * one is renamed first, and for that moment neither has the name.
 *
 * @throws as {@link fetchOverSftp}, and NetworkError `not-as-expected` when what the server kept is not what was sent.
 */
export async function putOverSftp(request: SftpPutRequest): Promise<SftpPut> {
  const { path: wanted, name, bytes, mode = 0o600 } = request;
  return withSftp(request, async (connection) => {
    const path = (await isRemoteFolder(connection, wanted)) ? `${wanted.replace(/\/+$/, '')}/${name}` : wanted;
    const beside = `${path}.${randomBytes(4).toString('hex')}.part`;
    const file = new RemoteFile(connection, beside);
    await file.open('xw+', mode);
    try {
      await file.writeAll(bytes);
      const kept = await file.readAll(bytes.length + 1);
      if (!equalBytes(kept, bytes)) {
        const what = `${printable(path)} on ${connection.server} is not what was sent`;
        throw new NetworkError('not-as-expected', what, { hint: 'nothing was replaced; is the disk full?' });
      }
      await file.close();
      return { path, backup: await replaceRemoteFile(connection, beside, path) };
    } catch (error) {
      const isRemoved = await file.remove().then(
        () => true,
        () => false,
      );
      // Where the connection is gone the part stays; its name says what it is.
      if (isRemoved || !(error instanceof NetworkError)) throw error;
      const left = `${printable(beside)} may be left on the server, and can be removed there`;
      throw new NetworkError(error.code, error.message, { hint: `run the command again; ${left}`, cause: error });
    }
  });
}

/** Whether there is a folder of this name. What else may be wrong with it shows when it is opened. */
async function isRemoteFolder(connection: SftpConnection, path: string): Promise<boolean> {
  if (path.endsWith('/')) return true;
  const { sftp, wait } = connection;
  return wait(
    new Promise<boolean>((resolve) => {
      sftp.stat(path, (error, stats) => resolve(error === undefined && stats.isDirectory()));
    }),
  );
}

function isAFolder(server: string, path: string): NetworkError {
  return new NetworkError('sftp-error', `${printable(path)} on ${server} is a folder`, {
    hint: 'give the path of the file in it',
  });
}

function tooLarge(server: string, path: string, size: number, largest: number): NetworkError {
  const what = `${printable(path)} on ${server} has ${String(size)} bytes or more, and ${String(largest)} are the most`;
  return new NetworkError('too-large', what, { hint: 'check that it is the right file' });
}
