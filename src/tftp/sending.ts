import type { Socket } from 'node:dgram';
import { FormatError } from '../errors.js';
import { bindSocket, closeSocket, openSocket, receiveDatagrams, sendDatagram, type TftpAddress } from './datagram.js';
import type { TransferTerms } from './options.js';
import { decodePacket, encodePacket, tftpErrorCode } from './packet.js';
import type { ServedFile } from './served-file.js';

/** How the sending of a file ended. */
export type SendingEnd =
  | { readonly kind: 'sent' }
  /** Nothing came for all the retransmissions. `complete`: only the last acknowledgement is missing. */
  | { readonly kind: 'timeout'; readonly complete: boolean }
  | { readonly kind: 'client-error'; readonly code: number; readonly message: string }
  | { readonly kind: 'failed'; readonly reason: string }
  /** The server was closed, the client began again from the same port, or room was needed for others. */
  | { readonly kind: 'ended' };

/** What a transfer did, for the log. */
export interface SendingCount {
  /** Datagrams with data, those sent again included. */
  readonly packets: number;
  /** Datagrams with data that were sent again. */
  readonly resent: number;
}

/** What one transfer needs to know. */
export interface SendingRequest {
  readonly client: TftpAddress;
  readonly file: ServedFile;
  readonly terms: TransferTerms;
  /** Milliseconds without an acknowledgement until everything that waits for one is sent again. */
  readonly retransmitAfter: number;
  /**
   * How often in a row, until the client is given up. Until its first acknowledgement the client's own wish for the
   * time does not count: a request from a forged address would keep the socket for that long.
   */
  readonly retries: number;
}

/**
 * Sends one file to one client from a socket of its own (RFC 1350, section 4, and RFC 7440).
 *
 * Only time makes it send again what is lost: an acknowledgement that it had already never does, which is what made
 * the Sorcerer's Apprentice of RFC 1123, section 4.2.3.1. An acknowledgement inside a window moves the window there.
 */
export class Sending {
  readonly done: Promise<SendingEnd>;
  readonly #request: SendingRequest;
  readonly #socket: Socket;
  readonly #blocks: number;
  /** Blocks that were acknowledged, and that were sent at least once; counted from the start, not modulo 65,536. */
  #acknowledged = 0;
  #sent = 0;
  #highest = 0;
  #packets = 0;
  #resent = 0;
  #attempts = 0;
  #waitsForOptions: boolean;
  #isAcknowledged = false;
  #timer: NodeJS.Timeout | undefined;
  #finish: (end: SendingEnd) => void = () => undefined;
  #isOver = false;

  constructor(request: SendingRequest, address: string) {
    this.#request = request;
    this.#socket = openSocket(address);
    // A file of whole blocks ends with an empty one (RFC 1350, section 6).
    this.#blocks = Math.floor(request.file.size / request.terms.blockSize) + 1;
    this.#waitsForOptions = request.terms.acknowledged.length > 0;
    this.done = new Promise((resolve) => {
      this.#finish = resolve;
    });
    void this.#start(address);
  }

  /** What was sent so far. */
  get count(): SendingCount {
    return { packets: this.#packets, resent: this.#resent };
  }

  /** Whether every block was sent: a new request from the same port then is a new one, not a repeated one. */
  get isComplete(): boolean {
    return this.#highest === this.#blocks;
  }

  /** Whether the client ever acknowledged anything, which shows that it is there. */
  get isAcknowledged(): boolean {
    return this.#isAcknowledged;
  }

  /** Gives the transfer up, and tells the client so unless it has everything. */
  end(message?: string): void {
    if (message !== undefined && !this.#isOver) this.#sendError(tftpErrorCode.other, message);
    this.#close({ kind: 'ended' });
  }

  async #start(address: string): Promise<void> {
    const { terms, retransmitAfter } = this.#request;
    try {
      await bindSocket(this.#socket, address, 0);
    } catch (error) {
      this.#close({ kind: 'failed', reason: (error as Error).message });
      return;
    }
    if (this.#isOver) return;
    this.#socket.on('error', (error) => this.#close({ kind: 'failed', reason: error.message }));
    receiveDatagrams(this.#socket, (bytes, from) => this.#receive(bytes, from));
    this.#startTimer(Math.min(terms.retransmitAfter ?? retransmitAfter, retransmitAfter));
    this.#sendWaiting();
  }

  #receive(bytes: Buffer, from: TftpAddress): void {
    const { client } = this.#request;
    if (this.#isOver) return;
    if (from.port !== client.port || from.host !== client.host) {
      // Somebody else's packet; an error is never answered by an error (RFC 1350, section 4).
      if (bytes[1] !== 5) this.#sendError(tftpErrorCode.unknownTransfer, 'unknown transfer', from);
      return;
    }
    // opcode 4 | block: the one packet that comes for every window, read without a decoder's objects
    if (bytes.length === 4 && bytes[0] === 0 && bytes[1] === 4) {
      this.#acknowledge(bytes.readUInt16BE(2));
      return;
    }
    try {
      const packet = decodePacket(bytes);
      if (packet.kind === 'error') {
        this.#close({ kind: 'client-error', code: packet.code, message: packet.message });
      }
    } catch (error) {
      // What cannot be read is as good as lost.
      if (!(error instanceof FormatError)) throw error;
    }
  }

  #acknowledge(block: number): void {
    if (this.#waitsForOptions) {
      if (block !== 0) return;
      this.#waitsForOptions = false;
    } else {
      const forward = (block - this.#acknowledged) & 0xffff;
      // A duplicate, or one from before: nothing is sent for it.
      if (forward === 0 || forward > this.#highest - this.#acknowledged) return;
      this.#acknowledged += forward;
      if (this.#acknowledged === this.#blocks) {
        this.#close({ kind: 'sent' });
        return;
      }
      // The client wants what follows here, also when more was sent already: that is lost (RFC 7440, section 4).
      this.#sent = this.#acknowledged;
    }
    this.#attempts = 0;
    if (this.#isAcknowledged) this.#timer?.refresh();
    else this.#startTimer(this.#request.terms.retransmitAfter ?? this.#request.retransmitAfter);
    this.#isAcknowledged = true;
    this.#sendWaiting();
  }

  #startTimer(milliseconds: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#resend(), milliseconds);
  }

  #resend(): void {
    if (this.#isOver) return;
    if (this.#attempts >= this.#request.retries) {
      const complete = this.isComplete;
      if (!complete) this.#sendError(tftpErrorCode.other, 'no acknowledgement came');
      this.#close({ kind: 'timeout', complete });
      return;
    }
    this.#attempts += 1;
    this.#timer?.refresh();
    this.#sent = this.#acknowledged;
    this.#sendWaiting();
  }

  /** The acknowledgement of options, or the rest of the window, without waiting for one datagram to be gone. */
  #sendWaiting(): void {
    const { terms, file } = this.#request;
    if (this.#waitsForOptions) {
      this.#send(encodePacket({ kind: 'option-acknowledgement', options: terms.acknowledged }));
      return;
    }
    const last = Math.min(this.#blocks, this.#acknowledged + terms.windowSize);
    while (this.#sent < last) {
      const start = this.#sent * terms.blockSize;
      const data = file.read(start, Math.min(start + terms.blockSize, file.size));
      if (data === undefined) {
        this.#sendError(tftpErrorCode.other, 'the file was changed while it was sent');
        this.#close({ kind: 'failed', reason: 'the file was changed while it was sent' });
        return;
      }
      this.#sent += 1;
      this.#packets += 1;
      if (this.#sent <= this.#highest) this.#resent += 1;
      else this.#highest = this.#sent;
      // opcode 3 | block modulo 65,536 | data
      this.#send([Buffer.from([0, 3, (this.#sent >> 8) & 0xff, this.#sent & 0xff]), data]);
    }
  }

  #send(bytes: Uint8Array | readonly Uint8Array[]): void {
    sendDatagram(this.#socket, bytes, this.#request.client);
  }

  /** What does not arrive is no failure of the transfer: it ends anyway, or `to` is a stranger. */
  #sendError(code: number, message: string, to: TftpAddress = this.#request.client): void {
    sendDatagram(this.#socket, encodePacket({ kind: 'error', code, message }), to, () => undefined);
  }

  #close(end: SendingEnd): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#request.file.close();
    void closeSocket(this.#socket).then(() => this.#finish(end));
  }
}
