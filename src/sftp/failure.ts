import { printable } from '../bytes/index.js';
import { NetworkError } from '../errors.js';

/** What an error of the ssh2 package may say besides its message. */
interface SshError extends Error {
  /** Where it comes from: the socket, the handshake, the login, the protocol. */
  readonly level?: string;
  /** A code of the system, or a status of SFTP. */
  readonly code?: string | number;
}

/** Why no connection comes about, by the code of the system. */
const unreachable: Readonly<Record<string, string>> = {
  ENOTFOUND: 'its name is not known',
  EAI_AGAIN: 'its name could not be looked up',
  ECONNREFUSED: 'nothing listens there',
  EHOSTUNREACH: 'no way leads there',
  ENETUNREACH: 'no way leads there',
  ETIMEDOUT: 'it does not answer',
  EACCES: 'this machine does not let it be reached',
};

/** How far a connection has come: no answer yet, an answer, a host key. */
export type Stage = 'connecting' | 'connected' | 'agreed';

/** The failure of a connection, in words. @param server host and port, ready to print */
export function explainConnection(error: SshError, server: string, stage: Stage): NetworkError {
  const { level = '', code } = error;
  const reason = unreachable[String(code)];
  if (reason !== undefined && stage === 'connecting') {
    return new NetworkError('unreachable', `${server} cannot be reached: ${reason}`, {
      hint: 'check the host, the port and the network in between',
      cause: error,
    });
  }
  if (level === 'client-socket' || level === 'client-timeout') return cutOff(server, error);
  const said = printable(error.message.slice(0, 200));
  if (level === 'handshake' || level === 'protocol' || stage === 'connected') {
    return new NetworkError('malformed', `${server} and this command cannot agree on SSH: ${said}`, {
      hint: 'check that this is the port of an SSH server, and no older one than ten years',
      cause: error,
    });
  }
  return new NetworkError('sftp-error', `${server} ended the connection: ${said}`, { cause: error });
}

/** A connection that ended before the work was done. */
export function cutOff(server: string, cause?: unknown): NetworkError {
  return new NetworkError('cut-off', `the connection to ${server} was cut off before the work was done`, {
    hint: 'run the command again; look at the network and at the log of the server',
    cause,
  });
}

/** The statuses of SFTP that say what is wrong with a file (draft-ietf-secsh-filexfer-02, 7). */
const status = { noSuchFile: 2, permissionDenied: 3, unsupported: 8 } as const;

/** The failure of one request about a file, in words. @param doing what was tried, e.g. `read` */
export function explainRequest(error: SshError, server: string, path: string, doing: string): NetworkError {
  const file = `${printable(path)} on ${server}`;
  const { code } = error;
  if (code === status.noSuchFile) {
    return new NetworkError('file-not-found', `there is no ${file}`, {
      hint: 'check the path: a relative one begins at the home folder of the user',
      cause: error,
    });
  }
  if (code === status.permissionDenied) {
    return new NetworkError('access-denied', `the user may not ${doing} ${file}`, {
      hint: 'check the permissions of the file and its folder, and the user',
      cause: error,
    });
  }
  // Without a status the request was never answered.
  if (typeof code !== 'number') return cutOff(server, error);
  const said = printable(error.message.slice(0, 200));
  return new NetworkError('sftp-error', `the server did not ${doing} ${file}: ${said} (status ${String(code)})`, {
    hint: 'look at the log of the server: the folder may be missing or full, or the path a folder',
    cause: error,
  });
}
