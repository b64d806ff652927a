import { randomBytes } from 'node:crypto';
import type { SFTPWrapper, Stats } from 'ssh2';
import { equalBytes, printable } from '../bytes/index.js';
import { NetworkError } from '../errors.js';
import { withSftp, type SftpConnection } from './connect.js';
import type { SftpServer } from './server.js';
import { explainRequest } from './failure.js';

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

/** How much goes into one request: what every server takes. */
const chunk = 32_768;

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
 * moment the old or the new one is there whole.
 *
 * @returns the path of the file on the server.
 * @throws as {@link fetchOverSftp}, and NetworkError `not-as-expected` when what the server kept is not what was sent.
 */
export async function putOverSftp(request: SftpPutRequest): Promise<string> {
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
      await moveOver(connection, beside, path);
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
    return path;
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

/**
 * Renames over what is there. Plain SFTP cannot: without the extension of OpenSSH the old file is set aside first, and
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
  const wasThere = await rename(to, aside).then(
    () => true,
    (error: unknown) => {
      if (error instanceof NetworkError && error.code === 'file-not-found') return false;
      throw error;
    },
  );
  try {
    await rename(from, to);
  } catch (error) {
    if (wasThere) await rename(aside, to);
    throw error;
  }
  if (wasThere) await ask(connection, aside, 'remove', (sftp, done) => sftp.unlink(aside, done));
}

/** The server does not know a request. */
class Unsupported extends Error {}

type Callback<Answer extends readonly unknown[]> = (error: Error | null | undefined, ...answer: Answer) => void;

/** One request without an answer but that it was done. */
function ask(
  { server, sftp, wait }: SftpConnection,
  path: string,
  doing: string,
  send: (sftp: SFTPWrapper, done: Callback<[]>) => void,
): Promise<void> {
  return wait(
    new Promise((resolve, reject) => {
      const done: Callback<[]> = (error) => {
        if (error === null || error === undefined) resolve();
        else reject(explainRequest(error, server, path, doing));
      };
      try {
        send(sftp, done);
      } catch (error) {
        // ssh2 throws at once where the server did not announce an extension.
        reject(new Unsupported('not announced', { cause: error }));
      }
    }),
  );
}

/** A file on the server that is open. */
class RemoteFile {
  readonly #connection: SftpConnection;
  readonly #path: string;
  #handle: Buffer | undefined;

  constructor(connection: SftpConnection, path: string) {
    this.#connection = connection;
    this.#path = path;
  }

  async open(flags: 'r' | 'xw+', mode: number): Promise<void> {
    const doing = flags === 'r' ? 'read' : 'write';
    this.#handle = await this.#request<Buffer>(doing, (sftp, done) => {
      sftp.open(this.#path, flags, { mode }, done);
    });
  }

  async examine(): Promise<{ readonly isFolder: boolean; readonly size: number }> {
    const stats = await this.#request<Stats>('read', (sftp, done) => sftp.fstat(this.#open, done));
    return { isFolder: stats.isDirectory(), size: stats.size };
  }

  /** Reads to the end, or so many bytes. */
  async readAll(most: number): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    let length = 0;
    while (length < most) {
      const wanted = Math.min(chunk, most - length);
      const position = length;
      const part = await this.#request<Uint8Array>('read', (sftp, done) => {
        sftp.read(this.#open, Buffer.alloc(wanted), 0, wanted, position, (error, count, buffer) =>
          done(error, error === undefined ? new Uint8Array(buffer.subarray(0, count)) : new Uint8Array()),
        );
      });
      if (part.length === 0) break;
      parts.push(part);
      length += part.length;
    }
    return new Uint8Array(Buffer.concat(parts));
  }

  async writeAll(bytes: Uint8Array): Promise<void> {
    for (let start = 0; start < bytes.length; start += chunk) {
      const part = Buffer.from(bytes.subarray(start, start + chunk));
      await this.#request<undefined>('write', (sftp, done) =>
        sftp.write(this.#open, part, 0, part.length, start, (error) => done(error, undefined)),
      );
    }
  }

  async close(): Promise<void> {
    const handle = this.#open;
    this.#handle = undefined;
    await ask(this.#connection, this.#path, 'close', (sftp, done) => sftp.close(handle, done));
  }

  /** Closes it where it is open, and removes it. */
  async remove(): Promise<void> {
    if (this.#handle !== undefined) await this.close();
    await ask(this.#connection, this.#path, 'remove', (sftp, done) => sftp.unlink(this.#path, done));
  }

  get #open(): Buffer {
    if (this.#handle === undefined) throw new Error('the file is not open');
    return this.#handle;
  }

  #request<Answer>(doing: string, send: (sftp: SFTPWrapper, done: Callback<[Answer]>) => void): Promise<Answer> {
    const { server, sftp, wait } = this.#connection;
    return wait(
      new Promise<Answer>((resolve, reject) => {
        send(sftp, (error, answer) => {
          if (error === null || error === undefined) resolve(answer);
          else reject(explainRequest(error, server, this.#path, doing));
        });
      }),
    );
  }
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
