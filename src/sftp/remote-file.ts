import type { SFTPWrapper, Stats } from 'ssh2';
import type { SftpConnection } from './connect.js';
import { explainRequest } from './failure.js';

/** How much goes into one request: what every server takes. */
const chunk = 32_768;

/** The server does not know a request. */
export class Unsupported extends Error {}

type Callback<Answer extends readonly unknown[]> = (error: Error | null | undefined, ...answer: Answer) => void;

/** One request without an answer but that it was done. */
export function ask(
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
export class RemoteFile {
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
