// Apart from what uses ssh2: whoever uses this room needs none of its types.
import type { HostKeyTrust } from './host-key.js';

/** How a user logs in. */
export type SftpLogin =
  | {
      readonly kind: 'password';
      /** Asked for when the server has proved who it is, and not before. */
      readonly password: () => Promise<string>;
    }
  | {
      readonly kind: 'key';
      /** A private key file: OpenSSH's own form, or PEM. */
      readonly key: Uint8Array;
      readonly passphrase?: string;
    };

/** A server that files are fetched from or put to. */
export interface SftpServer {
  readonly host: string;
  /** 22 unless given. */
  readonly port?: number;
  readonly user: string;
  readonly login: SftpLogin;
  readonly hostKey: HostKeyTrust;
  /** How long the server may take for one answer, in milliseconds: 30,000 unless given. */
  readonly timeoutMs?: number;
}
