import { afterEach } from 'vitest';
import { startTftpServer, type TftpServer, type TftpServerOptions } from '../../src/tftp/index.js';
import { makeTemporaryFolder } from '../temporary-folders.js';
import { seededRandom } from './relay.js';

/** A folder that is gone when the tests of the file are done. */
export function temporaryFolder(): string {
  return makeTemporaryFolder('etoken-bridge-tftp-');
}

/** Bytes that are the same in every run, and no two blocks of them alike. */
export function contentOf(length: number): Buffer {
  const random = seededRandom(length + 1);
  const bytes = Buffer.alloc(length + 4);
  for (let offset = 0; offset < length; offset += 4) bytes.writeUInt32LE(Math.floor(random() * 2 ** 32), offset);
  return bytes.subarray(0, length);
}

const running: TftpServer[] = [];

/** Starts a server on a free port; it is closed after the test. */
export async function serve(options: TftpServerOptions): Promise<TftpServer> {
  const server = await startTftpServer({ port: 0, ...options });
  running.push(server);
  return server;
}

/** To be called once in each file of tests that serves. */
export function closeServersAfterEach(): void {
  afterEach(async () => {
    await Promise.all(running.splice(0).map((server) => server.close()));
  });
}
