import { connect, type TLSSocket } from 'node:tls';
import { printable } from '../bytes/index.js';
import { FormatError, NetworkError } from '../errors.js';
import { TvsMessageReader } from './framing.js';
import {
  decodeTvsMessage,
  encodeTvsMessage,
  type SignerNames,
  type TvsAnswer,
  type TvsMessage,
  type TvsQueryAnswer,
  type TvsRequest,
  type TvsVerifyAnswer,
} from './message.js';
import { clientTls } from './secure-context.js';
import { tvsPort } from './server.js';

/** Milliseconds for the connection, and for each answer. */
const usualTimeout = 5000;

/** Phones number their requests from 1001 on. */
const firstSession = 1001;

/** Which server is asked, by whom, and whether it is the right one. */
export interface TvsClientRequest {
  readonly host: string;
  /** 2445 unless told. */
  readonly port?: number;
  /** Who asks: `CP-<model>-SEP<MAC>`. */
  readonly device: string;
  /**
   * Decides about the certificate (DER) that the server shows, before anything is sent: phones compare its hash with
   * their record of function 21, and check no chain.
   */
  readonly acceptServer: (certificate: Uint8Array) => boolean;
  /** Milliseconds for the connection with its handshake, and for each answer: 5,000 unless told. */
  readonly timeout?: number;
  /** Whether TLS 1.0 and 1.1 are allowed too. */
  readonly legacyTls?: boolean;
}

/** A connection to a TVS server. Requests may be made without waiting for the answers of earlier ones. */
export interface TvsClient {
  /**
   * Asks for the certificate of a signer.
   *
   * @throws NetworkError `timeout`, `unreachable` when the connection is lost, `malformed`; FormatError for names that
   *   do not fit a message. After a NetworkError the connection is closed.
   */
  query(names: SignerNames): Promise<TvsQueryAnswer>;
  /** Asks whether a certificate (DER) is known. @throws the same */
  verify(certificate: Uint8Array): Promise<TvsVerifyAnswer>;
  /** Closes the connection. Requests without an answer fail. */
  close(): Promise<void>;
}

/**
 * Connects to a TVS server.
 *
 * @throws NetworkError `unreachable`, `timeout`, `not-accepted` when `acceptServer` says no, `malformed` when the other
 *   side speaks no TLS that is understood.
 */
export async function openTvsClient(request: TvsClientRequest): Promise<TvsClient> {
  const { device, timeout = usualTimeout } = request;
  return new Connection(await connectTo(request), nameOf(request), device, timeout);
}

function nameOf({ host, port = tvsPort }: TvsClientRequest): string {
  return `the TVS server ${printable(host)}, port ${port},`;
}

function connectTo(request: TvsClientRequest): Promise<TLSSocket> {
  const { host, port = tvsPort, timeout = usualTimeout, legacyTls = false, acceptServer } = request;
  const name = nameOf(request);
  return new Promise((resolve, reject) => {
    // Who the server is, is decided below by the bytes of its certificate, not by a chain.
    const socket = connect({ ...clientTls(legacyTls), host, port, rejectUnauthorized: false });
    const fail = (error: NetworkError): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(error);
    };
    const timer = setTimeout(() => fail(lateness(name, 'let nobody connect', timeout)), timeout);
    socket.on('error', (error: NodeJS.ErrnoException) => fail(explainConnect(error, name)));
    socket.on('close', () => fail(lost(name)));
    socket.once('secureConnect', () => {
      const certificate = socket.getPeerX509Certificate()?.raw;
      if (certificate === undefined || !acceptServer(new Uint8Array(certificate))) {
        fail(
          new NetworkError('not-accepted', `${name} shows a certificate that is not the expected one`, {
            hint: 'compare it with the TVS record of the CTL or ITL: the certificate may have been renewed',
          }),
        );
        return;
      }
      clearTimeout(timer);
      socket.removeAllListeners('error');
      socket.removeAllListeners('close');
      socket.setNoDelay(true);
      resolve(socket);
    });
  });
}

function lateness(name: string, what: string, timeout: number): NetworkError {
  return new NetworkError('timeout', `${name} ${what} within ${timeout} ms`, {
    hint: 'check that the server runs and is not overloaded, or allow more time',
  });
}

function lost(name: string): NetworkError {
  return new NetworkError('unreachable', `${name} closed the connection`, {
    hint: 'the log of the server says why',
  });
}

function explainConnect(error: NodeJS.ErrnoException, name: string): NetworkError {
  const { code = '' } = error;
  if (code.startsWith('ERR_SSL') || code === 'EPROTO') {
    return new NetworkError('malformed', `${name} and this client have no TLS in common: ${error.message.trim()}`, {
      cause: error,
      hint: 'check that TVS listens there (2445); an old server may need TLS 1.0 (--legacy-tls)',
    });
  }
  return new NetworkError('unreachable', `${name} cannot be reached: ${code || error.message}`, {
    cause: error,
    hint: 'check the address and port (2445), and that the server runs',
  });
}

interface Waiting {
  readonly kind: TvsAnswer['kind'];
  readonly timer: NodeJS.Timeout;
  readonly resolve: (answer: TvsAnswer) => void;
  readonly reject: (error: Error) => void;
}

class Connection implements TvsClient {
  readonly #socket: TLSSocket;
  readonly #name: string;
  readonly #device: string;
  readonly #timeout: number;
  readonly #reader = new TvsMessageReader();
  readonly #waiting = new Map<number, Waiting>();
  #session = firstSession - 1;
  #failure: NetworkError | undefined;

  constructor(socket: TLSSocket, name: string, device: string, timeout: number) {
    this.#socket = socket;
    this.#name = name;
    this.#device = device;
    this.#timeout = timeout;
    socket.on('data', (chunk: Uint8Array) => this.#take(chunk));
    socket.on('error', (error: NodeJS.ErrnoException) => this.#fail(explainConnect(error, name)));
    socket.on('close', () => this.#fail(lost(name)));
  }

  async query({ subjectName, issuerName, serialNumber }: SignerNames): Promise<TvsQueryAnswer> {
    const names = { device: this.#device, subjectName, issuerName, serialNumber };
    const answer = await this.#ask({ kind: 'query-request', sessionId: this.#nextSession(), ...names });
    // `#take` gives no answer of the other kind.
    return answer as TvsQueryAnswer;
  }

  async verify(certificate: Uint8Array): Promise<TvsVerifyAnswer> {
    const sessionId = this.#nextSession();
    const answer = await this.#ask({ kind: 'verify-request', sessionId, device: this.#device, certificate });
    return answer as TvsVerifyAnswer;
  }

  close(): Promise<void> {
    this.#failure ??= new NetworkError('unreachable', `the connection to ${this.#name} was closed here`);
    if (this.#socket.destroyed) return Promise.resolve();
    return new Promise((resolve) => {
      this.#socket.once('close', () => resolve());
      this.#socket.destroySoon();
    });
  }

  #nextSession(): number {
    do this.#session = (this.#session + 1) >>> 0;
    while (this.#waiting.has(this.#session));
    return this.#session;
  }

  #ask(request: TvsRequest): Promise<TvsAnswer> {
    const bytes = encodeTvsMessage(request);
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) {
        reject(this.#failure);
        return;
      }
      const kind = request.kind === 'query-request' ? 'query-answer' : 'verify-answer';
      const fail = (): void => this.#fail(lateness(this.#name, 'gave no answer', this.#timeout));
      const timer = setTimeout(fail, this.#timeout);
      this.#waiting.set(request.sessionId, { kind, timer, resolve, reject });
      this.#write(bytes);
    });
  }

  /** Requests that are made in one turn go out as one: each write would be a TLS record and a packet of its own. */
  #write(bytes: Uint8Array): void {
    if (this.#socket.writableCorked === 0) {
      this.#socket.cork();
      process.nextTick(() => this.#socket.uncork());
    }
    this.#socket.write(bytes);
  }

  #take(chunk: Uint8Array): void {
    try {
      this.#reader.push(chunk);
      for (let bytes = this.#reader.next(); bytes !== undefined; bytes = this.#reader.next()) {
        this.#settle(decodeTvsMessage(bytes));
      }
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      const message = `${this.#name} answered what is no TVS message: ${error.message}`;
      const hint = 'check that TVS listens there (2445), not another service';
      this.#fail(new NetworkError('malformed', message, { cause: error, hint }));
    }
  }

  #settle(message: TvsMessage): void {
    const waiting = this.#waiting.get(message.sessionId);
    if (waiting?.kind !== message.kind) {
      const what = `a ${message.kind} for session ${message.sessionId}, for which nothing like it was asked`;
      throw new FormatError('bad-value', what, { offset: 2, element: 'command' });
    }
    this.#waiting.delete(message.sessionId);
    clearTimeout(waiting.timer);
    waiting.resolve(message);
  }

  /** Everything that waits has failed: after this, no answer can be told from another's. */
  #fail(error: NetworkError): void {
    this.#failure ??= error;
    for (const { timer, reject } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(this.#failure);
    }
    this.#waiting.clear();
    this.#socket.destroy();
  }
}
