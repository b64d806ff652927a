import { ForkedHost } from './forked-host.js';
import type { HostExchange, HostRequestKind } from './host-protocol.js';
import type { Environment } from './modules.js';
import type { Pin } from './pin.js';

/** How a token host is started. */
export interface TokenHostOptions {
  readonly modulePath: string;
  /** How long one PKCS#11 call may take, in milliseconds: 10,000 unless given. */
  readonly callTimeout?: number;
  /**
   * The same for calls that may wait for a person, C_Login, C_Sign and C_SetPIN: 60,000 unless given; three times as
   * long while a PIN is entered at the reader.
   */
  readonly interactionTimeout?: number;
  /** The environment of the module; that of this process unless given. Variables that hold PINs are left out. */
  readonly environment?: Environment;
  /** More variables that hold PINs. */
  readonly pinVariables?: readonly string[];
}

/**
 * A child process that holds one PKCS#11 module. It does one request after the other, whoever asks. It is killed when a
 * call outlives its limit; then, and when the library crashes, every request fails, and so does every later one.
 */
export interface TokenHost {
  readonly modulePath: string;
  /** The child's process id; `undefined` when it could not be started. */
  readonly processId: number | undefined;
  /**
   * @param subject words that a message of a failure begins with, such as the name of the token.
   * @throws DeviceError
   */
  request<Kind extends HostRequestKind>(
    kind: Kind,
    ask: HostExchange<Pin>[Kind]['ask'],
    subject?: string,
  ): Promise<HostExchange<Pin>[Kind]['answer']>;
  /** Ends the sessions, finalises the module and ends the process. It never fails: what matters was answered before. */
  close(): Promise<void>;
  /** Ends the process at once, in the middle of whatever it does: for a host that was only looked with. */
  kill(): void;
}

/** Starts a token host. It returns at once: what fails, also at the start, fails the first request. */
export function openTokenHost(options: TokenHostOptions): TokenHost {
  const host = prepared?.takes(options) === true ? prepared : undefined;
  if (host === undefined) return new ForkedHost(options);
  prepared = undefined;
  host.assign(options);
  return host;
}

/** A host that was started ahead and has no module yet. */
let prepared: ForkedHost | undefined;

/**
 * Starts a host before it is known for which module: Node.js takes its time to start, and the caller has files to read
 * meanwhile. The next host that is opened with this process's environment is this one. One that nobody opens ends with
 * this process.
 *
 * @param pinVariables variables that hold PINs, to be left out of its environment.
 */
export function prepareTokenHost(pinVariables: readonly string[] = []): void {
  prepared ??= new ForkedHost({ modulePath: 'a token host', pinVariables });
}
