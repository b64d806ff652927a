import type { Socket } from 'node:dgram';
import type { Writable } from 'node:stream';
import { FormatError, InputError, NetworkError, type NetworkErrorCode } from '../errors.js';
import {
  bindSocket,
  closeSocket,
  openSocket,
  receiveDatagrams,
  resolveHost,
  sendDatagram,
  tftpPort,
  type TftpAddress,
} from './datagram.js';
import { largestBlockSize, plainBlockSize, readGranted, requestOptions, type OptionWishes } from './options.js';
import { decodePacket, encodePacket, tftpErrorCode, type TftpPacket } from './packet.js';

/** A file to fetch, and how. */
export interface FetchRequest {
  /** A name or an IP address. */
  readonly host: string;
  /** UDP port; 69 unless given. */
  readonly port?: number;
  /** The file's name on the server. */
  readonly name: string;
  /** Bytes to ask for in a block, 8 to 65,464; 1428 unless given, which fits an Ethernet frame. */
  readonly blockSize?: number;
  /** Blocks to ask for before each acknowledgement, 1 to 65,535; 1 unless given. */
  readonly windowSize?: number;
  /** Milliseconds without a packet until the last one is sent again; 1000 unless given. */
  readonly timeout?: number;
  /** How often in a row; 5 unless given. */
  readonly retries?: number;
  /** The longest file that is taken, in bytes; 256 MiB unless given. */
  readonly maxLength?: number;
  /** Ends the transfer early. */
  readonly signal?: AbortSignal;
}

/** What a fetch into a stream did. */
export interface FetchedLength {
  /** Bytes. */
  readonly length: number;
}

const defaults = {
  port: tftpPort,
  blockSize: 1428,
  windowSize: 1,
  timeout: 1000,
  retries: 5,
  maxLength: 256 * 1024 * 1024,
};

type Settled = FetchRequest & typeof defaults;

/**
 * Fetches a file into memory, in octet mode. With a block size of 512 and a window of 1 the request has no options
 * (RFC 1350), for servers that know none.
 *
 * @throws NetworkError `file-not-found`, `access-denied`, `timeout`, `too-large`, `unreachable`, `tftp-error`
 * @throws InputError `usage` for a name, block or window size that cannot be sent
 */
export async function fetchFile(request: FetchRequest): Promise<Uint8Array> {
  let bytes = new Uint8Array(64 * 1024);
  let length = 0;
  await receive(request, {
    take: (data) => {
      if (length + data.length > bytes.length) {
        const grown = new Uint8Array(Math.max(length + data.length, bytes.length * 2));
        grown.set(bytes.subarray(0, length));
        bytes = grown;
      }
      bytes.set(data, length);
      length += data.length;
      return true;
    },
    whenReady: () => undefined,
  });
  return bytes.slice(0, length);
}

/**
 * Fetches a file into a stream with constant memory: a window is acknowledged when the stream has taken it. The
 * stream is not ended.
 *
 * @throws as {@link fetchFile}, and what the stream's `error` event says
 */
export async function fetchInto(request: FetchRequest, stream: Writable): Promise<FetchedLength> {
  const failure = new AbortController();
  const fail = (error: unknown): void => failure.abort(error);
  stream.on('error', fail);
  try {
    const signal = request.signal === undefined ? failure.signal : AbortSignal.any([failure.signal, request.signal]);
    return await receive(
      { ...request, signal },
      {
        take: (data) => stream.write(Uint8Array.from(data)),
        whenReady: (go) => void stream.once('drain', go),
      },
    );
  } finally {
    stream.removeListener('error', fail);
  }
}

/** Where the blocks go. */
interface Sink {
  /** Takes bytes that are only valid during the call. @returns false: wait before asking for more. */
  readonly take: (data: Uint8Array) => boolean;
  readonly whenReady: (go: () => void) => void;
}

async function receive(request: FetchRequest, sink: Sink): Promise<FetchedLength> {
  const given = Object.fromEntries(Object.entries(request).filter(([, value]) => value !== undefined));
  const settled = { ...defaults, ...given } as Settled;
  checkRequest(settled);
  const address = await resolveHost(settled.host);
  settled.signal?.throwIfAborted();
  const socket = openSocket(address);
  try {
    await bindSocket(socket, address.includes(':') ? '::' : '0.0.0.0', 0);
  } catch (cause) {
    await closeSocket(socket);
    throw new NetworkError('unreachable', `no UDP socket can be opened: ${(cause as Error).message}`, {
      hint: 'check the limit of open files and the network',
      cause,
    });
  }
  return new Receiving(settled, address, socket, sink).done;
}

function checkRequest({ name, blockSize, windowSize, port }: Settled): void {
  const isWhole = (value: number, least: number, most: number): boolean =>
    Number.isInteger(value) && value >= least && value <= most;
  const problem =
    name === '' || name.includes('\0')
      ? 'a file name must not be empty or contain a zero character'
      : !isWhole(blockSize, 8, largestBlockSize)
        ? `a block has 8 to ${String(largestBlockSize)} bytes`
        : !isWhole(windowSize, 1, 65_535)
          ? 'a window has 1 to 65535 blocks'
          : !isWhole(port, 1, 65_535)
            ? 'a port is 1 to 65535'
            : undefined;
  if (problem !== undefined) throw new InputError('usage', problem, { hint: 'give another value' });
}

/** What the codes of RFC 1350 mean here. */
const refusals: Readonly<Partial<Record<number, readonly [NetworkErrorCode, string]>>> = {
  [tftpErrorCode.fileNotFound]: ['file-not-found', 'check the name: most servers tell upper from lower case'],
  [tftpErrorCode.accessViolation]: ['access-denied', "check the file's permissions on the server, and its name"],
  [tftpErrorCode.optionRefused]: ['tftp-error', 'ask without options: block size 512 and window size 1'],
};

/** One file that is being received. */
class Receiving {
  readonly done: Promise<FetchedLength>;
  readonly #request: Settled;
  readonly #address: string;
  readonly #socket: Socket;
  readonly #sink: Sink;
  readonly #wishes: OptionWishes;
  readonly #timer: NodeJS.Timeout;
  /** The server's port, which its first answer tells. */
  #port: number | undefined;
  #blockSize = plainBlockSize;
  #windowSize = 1;
  /** Blocks that were received in order, counted from the start, not modulo 65,536. */
  #received = 0;
  #acknowledged = 0;
  #length = 0;
  #gapTold = false;
  #sinkIsFull = false;
  #lastSent: Uint8Array;
  #attempts = 0;
  #state: 'receiving' | 'dallying' | 'over' = 'receiving';
  #settle: { resolve: (length: FetchedLength) => void; reject: (error: Error) => void } | undefined;
  readonly #abort = (): void => this.#cancel(this.#request.signal?.reason);

  constructor(request: Settled, address: string, socket: Socket, sink: Sink) {
    this.#request = request;
    this.#address = address;
    this.#socket = socket;
    this.#sink = sink;
    const { blockSize, windowSize, timeout } = request;
    const seconds = timeout % 1000 === 0 && timeout >= 2000 && timeout <= 255_000 ? timeout / 1000 : undefined;
    this.#wishes = { blockSize, windowSize, ...(seconds === undefined ? {} : { timeout: seconds }) };
    this.#lastSent = encodePacket({
      kind: 'read-request',
      name: request.name,
      mode: 'octet',
      options: requestOptions(this.#wishes),
    });
    this.done = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    socket.on('error', (cause) =>
      this.#fail('unreachable', `cannot be reached: ${cause.message}`, 'check the network'),
    );
    receiveDatagrams(socket, (bytes, from) => this.#receive(bytes, from));
    request.signal?.addEventListener('abort', this.#abort, { once: true });
    this.#timer = setTimeout(() => this.#repeat(), timeout);
    this.#send(this.#lastSent);
  }

  #receive(bytes: Buffer, from: TftpAddress): void {
    if (this.#state === 'over') return;
    const isOther = from.host !== this.#address || (this.#port !== undefined && from.port !== this.#port);
    if (isOther) {
      if (bytes[1] !== 5) this.#sendError(tftpErrorCode.unknownTransfer, 'unknown transfer', from);
      return;
    }
    let packet: TftpPacket;
    try {
      packet = decodePacket(bytes);
    } catch (error) {
      // What cannot be read is as good as lost.
      if (error instanceof FormatError) return;
      throw error;
    }
    if (packet.kind === 'data') this.#takeData(packet.block, packet.data, from.port);
    else if (this.#state === 'receiving' && packet.kind === 'error') this.#refused(packet.code, packet.message);
    else if (this.#state === 'receiving' && packet.kind === 'option-acknowledgement')
      this.#takeOptions(packet, from.port);
  }

  #takeOptions(packet: TftpPacket & { kind: 'option-acknowledgement' }, port: number): void {
    if (this.#port !== undefined) {
      // Our answer to it was lost.
      if (this.#received === 0) this.#send(this.#lastSent);
      return;
    }
    const granted = readGranted(packet.options, this.#wishes);
    this.#port = port;
    if ('problem' in granted) {
      this.#sendError(tftpErrorCode.optionRefused, granted.problem);
      this.#fail('tftp-error', `answers wrongly: ${granted.problem}`, 'ask without options: block size 512');
      return;
    }
    this.#blockSize = granted.blockSize;
    this.#windowSize = granted.windowSize;
    if ((granted.size ?? 0) > this.#request.maxLength) {
      this.#tooLarge();
      return;
    }
    this.#progress();
    this.#acknowledge();
  }

  #takeData(block: number, data: Uint8Array, port: number): void {
    const forward = (block - this.#received) & 0xffff;
    if (forward !== 1) {
      this.#takeOutOfOrder(forward);
      return;
    }
    if (this.#state !== 'receiving' || this.#sinkIsFull) return;
    this.#port ??= port;
    if (data.length > this.#blockSize) {
      this.#sendError(tftpErrorCode.illegalOperation, 'the block is larger than agreed');
      this.#fail('tftp-error', 'sends larger blocks than agreed', 'use another server program');
      return;
    }
    this.#received += 1;
    this.#length += data.length;
    if (this.#length > this.#request.maxLength) {
      this.#tooLarge();
      return;
    }
    this.#gapTold = false;
    this.#progress();
    const isReady = this.#sink.take(data);
    const isLast = data.length < this.#blockSize;
    if (isLast) {
      this.#complete();
      return;
    }
    if (!isReady) {
      this.#sinkIsFull = true;
      clearTimeout(this.#timer);
      this.#sink.whenReady(() => this.#resume());
    } else if (this.#received - this.#acknowledged >= this.#windowSize) this.#acknowledge();
  }

  /** A block that came again, or one behind a lost one. */
  #takeOutOfOrder(forward: number): void {
    if (this.#received === 0 && this.#port === undefined) return;
    if (forward === 0) {
      // The last block again, and it was acknowledged: that acknowledgement was lost.
      if (this.#received > 0 && this.#acknowledged === this.#received) this.#send(this.#lastSent);
    } else if (this.#state === 'receiving' && forward <= this.#windowSize && !this.#gapTold && !this.#sinkIsFull) {
      // RFC 7440, section 4: what follows the last block in order is wanted. Told once for each gap.
      this.#gapTold = true;
      this.#acknowledge();
    }
  }

  #resume(): void {
    if (this.#state !== 'receiving') return;
    this.#sinkIsFull = false;
    this.#progress();
    this.#acknowledge();
  }

  #acknowledge(): void {
    this.#acknowledged = this.#received;
    // opcode 4 | block modulo 65,536
    this.#lastSent = Buffer.from([0, 4, (this.#received >> 8) & 0xff, this.#received & 0xff]);
    this.#send(this.#lastSent);
  }

  #progress(): void {
    this.#attempts = 0;
    this.#timer.refresh();
  }

  #repeat(): void {
    if (this.#state === 'dallying') {
      this.#close();
      return;
    }
    const { retries } = this.#request;
    if (this.#attempts >= retries) {
      this.#sendError(tftpErrorCode.other, 'no answer came');
      const silent = this.#port === undefined ? 'does not answer' : 'stopped answering';
      this.#fail('timeout', silent, 'check the address, the port, and that UDP is let through');
      return;
    }
    this.#attempts += 1;
    this.#timer.refresh();
    if (this.#received > this.#acknowledged) this.#acknowledge();
    else this.#send(this.#lastSent);
  }

  /** The file is there; a server that misses the last acknowledgement asks for it a moment longer (RFC 1350, 6). */
  #complete(): void {
    this.#acknowledge();
    this.#state = 'dallying';
    this.#request.signal?.removeEventListener('abort', this.#abort);
    this.#socket.unref();
    this.#timer.refresh().unref();
    this.#settle?.resolve({ length: this.#length });
  }

  #refused(code: number, message: string): void {
    const [kind, hint] = refusals[code] ?? ['tftp-error', "look into the server's log"];
    const words = message === '' ? '' : `: ${message}`;
    this.#fail(kind, `refuses the file ${this.#request.name} (error ${String(code)}${words})`, hint);
  }

  #tooLarge(): void {
    this.#sendError(tftpErrorCode.allocationExceeded, 'the file is too large');
    const most = String(this.#request.maxLength);
    this.#fail('too-large', `has a file ${this.#request.name} of more than ${most} bytes`, 'allow a larger one');
  }

  #cancel(reason: unknown): void {
    if (this.#state !== 'receiving') return;
    this.#sendError(tftpErrorCode.other, 'the transfer was ended');
    this.#close();
    this.#settle?.reject(reason instanceof Error ? reason : new Error(String(reason)));
  }

  #fail(code: NetworkErrorCode, what: string, hint: string): void {
    if (this.#state === 'dallying') {
      this.#close();
      return;
    }
    if (this.#state === 'over') return;
    this.#close();
    const { host, port } = this.#request;
    this.#settle?.reject(new NetworkError(code, `the TFTP server ${host} port ${String(port)} ${what}`, { hint }));
  }

  #close(): void {
    this.#state = 'over';
    clearTimeout(this.#timer);
    this.#request.signal?.removeEventListener('abort', this.#abort);
    void closeSocket(this.#socket);
  }

  #send(bytes: Uint8Array): void {
    sendDatagram(this.#socket, bytes, { host: this.#address, port: this.#port ?? this.#request.port });
  }

  #sendError(code: number, message: string, to?: TftpAddress): void {
    // Before the first answer there is no transfer that could be ended.
    if (to === undefined && this.#port === undefined) return;
    const bytes = encodePacket({ kind: 'error', code, message });
    if (to === undefined) this.#send(bytes);
    // What a stranger does not get is no failure of this transfer.
    else sendDatagram(this.#socket, bytes, to, () => undefined);
  }
}
