/** What a client of the server may use. */
export interface TvsLimits {
  /** How many connections there are at a time. Above it, the one that was idle longest is closed. */
  readonly connections: number;
  /** The largest body of a request, in bytes. */
  readonly largestBody: number;
  /** Milliseconds for the TLS handshake. */
  readonly handshakeTime: number;
  /** Milliseconds from the first byte of a message to its last, and for taking answers that wait. */
  readonly messageTime: number;
  /** Milliseconds without any message. */
  readonly idleTime: number;
}

/** Generous to a phone behind a slow line, and to a certificate with a long chain of names. */
export const usualLimits: TvsLimits = {
  connections: 1000,
  largestBody: 16 * 1024,
  handshakeTime: 10_000,
  messageTime: 10_000,
  idleTime: 60_000,
};
