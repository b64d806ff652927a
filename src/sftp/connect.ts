import type {
  Client,
  default as Ssh2,
  KeyboardInteractiveAuthMethod,
  ParsedKey,
  ServerHostKeyAlgorithm,
  SFTPWrapper,
} from 'ssh2';
import { printable } from '../bytes/index.js';
import { NetworkError } from '../errors.js';
import { hostKeyType } from './fingerprint.js';
import { cutOff, explainConnection } from './failure.js';
import { hostKeyAlgorithms, hostKeyFamilies, refuseHostKey } from './host-key.js';
import { sshPort } from './known-hosts.js';
import { readLoginKey } from './login.js';
import type { SftpLogin, SftpServer } from './server.js';

/** A connection that is logged in. */
export interface SftpConnection {
  readonly sftp: SFTPWrapper;
  /** Host and port, ready to print. */
  readonly server: string;
  /** Waits for one answer: no longer than the time limit, and not after the connection is gone. */
  readonly wait: <Answer>(answer: Promise<Answer>) => Promise<Answer>;
}

/** ssh2, loaded when it is first needed: most commands have no use for it. */
async function loadSsh2(): Promise<typeof Ssh2> {
  const loaded = await import('ssh2');
  return loaded.default;
}

/**
 * Connects, checks the host key, logs in, does the work, and closes the connection.
 *
 * @throws NetworkError `unreachable`, `timeout`, `cut-off`, `malformed`, `host-key-unknown`, `host-key-changed`,
 *   `host-key-revoked`, `login-refused`, `not-accepted` when the server has no SFTP; FormatError as
 *   {@link readLoginKey}; what `password` and the work throw.
 */
export async function withSftp<Result>(
  server: SftpServer,
  work: (connection: SftpConnection) => Promise<Result>,
): Promise<Result> {
  const ssh2 = await loadSsh2();
  const { login } = server;
  const key = login.kind === 'key' ? readLoginKey(ssh2, login.key, login.passphrase) : undefined;
  const presented: string[] = [];
  let refusal: NetworkError | undefined;
  // A server has a key of each type, and a fingerprint does not say of which it is.
  while (presented.length < hostKeyFamilies.length) {
    const attempt = new Attempt(ssh2, server, key, presented);
    try {
      return await attempt.run(work);
    } catch (error) {
      // With the last ones left out, the server has none to offer.
      if (refusal !== undefined && attempt.keyType === undefined) throw refusal;
      const isOther = server.hostKey.kind === 'fingerprint' && attempt.refusal !== undefined;
      if (!isOther || attempt.keyType === undefined) throw error;
      refusal ??= attempt.refusal;
      presented.push(attempt.keyType);
    } finally {
      attempt.end();
    }
  }
  throw refusal ?? new Error('no host key was presented');
}

/** One connection, from its first packet to its end. */
class Attempt {
  /** The type of the host key that was presented. */
  keyType: string | undefined;
  /** Why it is not trusted. */
  refusal: NetworkError | undefined;
  readonly #client: Client;
  readonly #server: SftpServer;
  readonly #key: ParsedKey | undefined;
  readonly #without: readonly string[];
  readonly #name: string;
  /** Never resolves; rejects with the first thing that goes wrong. */
  readonly #failed: Promise<never>;
  #fail: (error: unknown) => void = () => undefined;
  #connected = false;
  #timer: NodeJS.Timeout | undefined;
  #offered: readonly string[] = [];

  constructor(ssh2: typeof Ssh2, server: SftpServer, key: ParsedKey | undefined, without: readonly string[]) {
    this.#client = new ssh2.Client();
    this.#server = server;
    this.#key = key;
    this.#without = [...without];
    const { host, port = sshPort } = server;
    this.#name = port === sshPort ? printable(host) : `${printable(host)}, port ${String(port)}`;
    this.#failed = new Promise<never>((_resolve, reject) => {
      this.#fail = reject;
    });
    // It may fail while nobody waits, and is then thrown by the next wait.
    this.#failed.catch(() => undefined);
  }

  async run<Result>(work: (connection: SftpConnection) => Promise<Result>): Promise<Result> {
    await this.#connect();
    const wait = <Answer>(answer: Promise<Answer>): Promise<Answer> => this.#wait(answer);
    const opening = new Promise<SFTPWrapper>((resolve, reject) => {
      this.#client.sftp((error, opened) => {
        if (error === undefined) resolve(opened);
        else reject(noSftp(this.#name, error));
      });
    });
    const sftp = await wait(opening);
    sftp.on('error', (error: Error) => this.#fail(this.#explain(error)));
    return work({ sftp, server: this.#name, wait });
  }

  end(): void {
    clearTimeout(this.#timer);
    // What comes after the end concerns nobody.
    this.#client.removeAllListeners('close');
    this.#client.end();
    this.#client.destroy();
  }

  async #connect(): Promise<void> {
    const { host, port = sshPort, user, hostKey } = this.#server;
    const client = this.#client;
    client.on('error', (error) => this.#fail(this.#explain(error)));
    client.on('close', () => this.#fail(cutOff(this.#name)));
    client.on('connect', () => {
      this.#connected = true;
      // Each request waits for the answer to the one before it.
      client.setNoDelay(true);
    });
    const ready = new Promise<void>((resolve) => client.once('ready', resolve));
    client.connect({
      host,
      port,
      username: user,
      // The limit is kept here: that of ssh2 would run while a person types the password.
      readyTimeout: 0,
      algorithms: {
        serverHostKey: hostKeyAlgorithms(hostKey, host, port, this.#without) as ServerHostKeyAlgorithm[],
      },
      hostVerifier: (presented: Buffer) => this.#checkHostKey(new Uint8Array(presented)),
      authHandler: (left, _partial, next) => this.#logIn(left, next as (method: unknown) => void),
    });
    await this.#wait(ready);
  }

  #checkHostKey(presented: Uint8Array): boolean {
    const { host, port = sshPort, hostKey } = this.#server;
    this.keyType = hostKeyType(presented);
    this.refusal = refuseHostKey(hostKey, host, port, presented);
    if (this.refusal === undefined) return true;
    this.#fail(this.refusal);
    return false;
  }

  /**
   * Names the next way to log in. Each is tried once: a second wrong password could lock the user out.
   *
   * @param left what the server takes; null before it was asked.
   */
  #logIn(left: readonly string[] | null, next: (method: unknown) => void): void {
    const { user, login } = this.#server;
    if (left === null) {
      next('none');
      return;
    }
    const wanted = login.kind === 'key' ? ['publickey'] : ['password', 'keyboard-interactive'];
    const method = this.#offered.length > 0 ? undefined : wanted.find((one) => left.includes(one));
    if (method === undefined || login.kind === 'key') {
      const isTried = this.#offered.length > 0;
      this.#offered = [...this.#offered, 'publickey'];
      if (method === undefined) this.#fail(loginRefused(this.#name, user, login, isTried, left));
      next(method === undefined ? false : { type: 'publickey', username: user, key: this.#key });
      return;
    }
    this.#offered = [method];
    this.#askPassword(login.password, (password) =>
      next(
        method === 'password'
          ? { type: 'password', username: user, password }
          : { type: 'keyboard-interactive', username: user, prompt: answerPrompts(password) },
      ),
    );
  }

  /** A person may take longer than a server. */
  #askPassword(ask: () => Promise<string>, then: (password: string) => void): void {
    clearTimeout(this.#timer);
    ask().then(
      (password) => {
        this.#watch();
        then(password);
      },
      (error: unknown) => this.#fail(error),
    );
  }

  async #wait<Answer>(answer: Promise<Answer>): Promise<Answer> {
    this.#watch();
    try {
      return await Promise.race([answer, this.#failed]);
    } finally {
      clearTimeout(this.#timer);
    }
  }

  #watch(): void {
    const { timeoutMs = 30_000 } = this.#server;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const seconds = `${String(timeoutMs / 1000)} s`;
      this.#fail(
        new NetworkError('timeout', `${this.#name} did not answer within ${seconds}`, {
          hint: 'check the host and the port, or allow more time',
        }),
      );
    }, timeoutMs);
  }

  #explain(error: Error): NetworkError {
    const stage = this.keyType !== undefined ? 'agreed' : this.#connected ? 'connected' : 'connecting';
    return explainConnection(error, this.#name, stage);
  }
}

/** One password for every question that is not to be seen: servers with PAM ask so. */
function answerPrompts(password: string): KeyboardInteractiveAuthMethod['prompt'] {
  return (_name, _instructions, _language, prompts, finish) =>
    finish(prompts.map(({ echo }) => (echo === true ? '' : password)));
}

function loginRefused(
  server: string,
  user: string,
  login: SftpLogin,
  isTried: boolean,
  left: readonly string[],
): NetworkError {
  const what = login.kind === 'key' ? 'key' : 'password';
  const ways = left.map(printable).join(', ');
  if (!isTried) {
    return new NetworkError('login-refused', `${server} takes no ${what} from ${printable(user)}: it wants ${ways}`, {
      hint: 'log in by one of these, or let the administrator of the server allow it',
    });
  }
  return new NetworkError('login-refused', `${server} does not let ${printable(user)} in with this ${what}`, {
    hint: `check the user and the ${what}; it was tried once`,
  });
}

function noSftp(server: string, cause: Error): NetworkError {
  return new NetworkError('not-accepted', `${server} let the user in, and has no SFTP for it`, {
    hint: 'let the administrator of the server turn the subsystem sftp on',
    cause,
  });
}
