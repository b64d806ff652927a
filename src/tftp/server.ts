import type { Socket } from 'node:dgram';
import { statSync } from 'node:fs';
import { FormatError, InputError, NetworkError } from '../errors.js';
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
import { Fallback } from './fallback.js';
import { grantOptions, largestBlockSize, type OptionLimits } from './options.js';
import { decodePacket, encodePacket, tftpErrorCode, type TftpOption, type TftpPacket } from './packet.js';
import { isConfinedName, ServedFolder, type FileRefusal, type ServedFile } from './served-file.js';
import { Sending, type SendingEnd } from './sending.js';
import { TransferTable, type Running } from './transfer-table.js';

/** What a server does, as it happens. Names come from the network: print them with care. */
export type TftpEvent =
  | {
      readonly kind: 'request';
      readonly client: TftpAddress;
      readonly name: string;
      readonly options: readonly TftpOption[];
    }
  | {
      readonly kind: 'refused';
      readonly client: TftpAddress;
      readonly name?: string;
      /** The error code that the client got. */
      readonly code: number;
      readonly reason: string;
    }
  /** As many transfers, or as much in memory, as is allowed: the request is dropped, and the client asks again. */
  | { readonly kind: 'busy'; readonly client: TftpAddress; readonly name: string }
  | { readonly kind: 'fallback'; readonly name: string; readonly server: TftpAddress; readonly failure?: string }
  | {
      readonly kind: 'transfer';
      readonly client: TftpAddress;
      readonly name: string;
      readonly end: SendingEnd;
      /** Size of the file in bytes. */
      readonly size: number;
      /** Datagrams with data, and how many of them were sent again. */
      readonly packets: number;
      readonly resent: number;
      readonly milliseconds: number;
    };

/** What a server serves, where, and within which limits. */
export interface TftpServerOptions {
  /** The folder whose files are served. Nothing outside it is, and nothing is written. */
  readonly root: string;
  /** The address to listen on; 127.0.0.1 unless given. */
  readonly host?: string;
  /** UDP port; 69 unless given, 0 for any. */
  readonly port?: number;
  /** Servers that are asked, in this order, for files that are not in the folder (central TFTP). */
  readonly fallback?: readonly TftpAddress[];
  readonly log?: (event: TftpEvent) => void;
  /** Milliseconds until unacknowledged blocks are sent again; 1000 unless given or asked for by the client. */
  readonly retransmitAfter?: number;
  /** How often in a row, until a client is given up; 5 unless given. */
  readonly retries?: number;
  /** Transfers at once, each with a socket of its own; 512 unless given. */
  readonly maxTransfers?: number;
  /** Transfers at once to one IP address; a quarter of all unless given. */
  readonly maxTransfersPerHost?: number;
  /** Bytes; 65,464 unless given. */
  readonly maxBlockSize?: number;
  /** Blocks; 64 unless given. */
  readonly maxWindowSize?: number;
}

/** A server that runs. */
export interface TftpServer {
  /** The IP address it listens on. */
  readonly host: string;
  readonly port: number;
  /** Ends all transfers, and resolves when every socket is closed. */
  readonly close: () => Promise<void>;
}

/**
 * Starts a TFTP server that only reads: RFC 1350 in octet mode, with the options of RFC 2347, 2348, 2349 and 7440.
 *
 * @throws InputError `file-missing` when the folder is not there or no folder
 * @throws NetworkError `cannot-listen`, `unreachable` for a host without an address
 */
export async function startTftpServer(options: TftpServerOptions): Promise<TftpServer> {
  const { root, host = '127.0.0.1', port = tftpPort } = options;
  const folder = openFolder(root);
  const address = await resolveHost(host);
  const socket = openSocket(address);
  try {
    await bindSocket(socket, address, port);
  } catch (cause) {
    await closeSocket(socket);
    throw explainListening(cause as NodeJS.ErrnoException, host, port);
  }
  return new Listening(options, folder, socket, address);
}

function openFolder(root: string): ServedFolder {
  const hint = 'check the path';
  let isFolder: boolean;
  try {
    isFolder = statSync(root).isDirectory();
    if (isFolder) return new ServedFolder(root);
  } catch (cause) {
    throw new InputError('file-missing', `there is no folder ${root} to serve`, { hint, cause });
  }
  throw new InputError('file-missing', `${root} is a file, and only a folder can be served`, { hint });
}

function explainListening(cause: NodeJS.ErrnoException, host: string, port: number): NetworkError {
  const [reason, hint] = {
    EADDRINUSE: ['the port is in use', 'stop the other TFTP server, or give another port'],
    EACCES: ['no permission', 'ports below 1024 need root or CAP_NET_BIND_SERVICE: give another port'],
    EADDRNOTAVAIL: ['this machine does not have the address', 'give one of its own addresses, or 0.0.0.0 for all'],
  }[cause.code ?? ''] ?? [cause.message, 'give another address or port'];
  return new NetworkError('cannot-listen', `cannot listen on ${host} port ${String(port)}: ${reason ?? ''}`, {
    hint: hint ?? '',
    cause,
  });
}

/** What a client is told when a file is not served. */
const refusals: Readonly<Record<FileRefusal, readonly [number, string]>> = {
  'not-found': [tftpErrorCode.fileNotFound, 'file not found'],
  outside: [tftpErrorCode.accessViolation, 'the name is not one of a file in the folder'],
  'no-file': [tftpErrorCode.accessViolation, 'not a regular file'],
  unreadable: [tftpErrorCode.accessViolation, 'the file cannot be read'],
};

type Request = TftpPacket & { readonly kind: 'read-request' };

class Listening implements TftpServer {
  readonly host: string;
  readonly port: number;
  readonly #options: TftpServerOptions;
  readonly #limits: OptionLimits;
  readonly #folder: ServedFolder;
  readonly #socket: Socket;
  readonly #address: string;
  readonly #fallback: Fallback;
  readonly #running: TransferTable;
  readonly #ends = new Set<Promise<void>>();
  #isClosed = false;

  constructor(options: TftpServerOptions, folder: ServedFolder, socket: Socket, address: string) {
    const { maxBlockSize = largestBlockSize, maxWindowSize = 64, fallback = [] } = options;
    const { maxTransfers = 512, retransmitAfter = 1000 } = options;
    const { maxTransfersPerHost = Math.max(1, Math.floor(maxTransfers / 4)) } = options;
    this.#options = options;
    this.#limits = { maxBlockSize, maxWindowSize };
    this.#folder = folder;
    this.#socket = socket;
    this.#address = address;
    this.#fallback = new Fallback(fallback);
    this.#running = new TransferTable({
      most: maxTransfers,
      mostPerHost: maxTransfersPerHost,
      patience: retransmitAfter,
    });
    ({ address: this.host, port: this.port } = socket.address());
    // A datagram that cannot be sent concerns one client only.
    socket.on('error', () => undefined);
    receiveDatagrams(socket, (bytes, from) => this.#receive(bytes, from));
  }

  async close(): Promise<void> {
    if (!this.#isClosed) {
      this.#isClosed = true;
      this.#fallback.close();
      for (const { sending } of this.#running.all()) sending?.end('the server is closed');
      await closeSocket(this.#socket);
    }
    await Promise.all(this.#ends);
  }

  #receive(bytes: Buffer, client: TftpAddress): void {
    let packet: TftpPacket;
    try {
      packet = decodePacket(bytes);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      // opcode 1 or 2: a request that cannot be read. The rest may be anything, and is not answered.
      if (bytes[0] === 0 && (bytes[1] === 1 || bytes[1] === 2)) {
        this.#refuse(client, undefined, tftpErrorCode.illegalOperation, `malformed request: ${error.message}`);
      }
      return;
    }
    if (packet.kind === 'write-request') {
      this.#refuse(client, packet.name, tftpErrorCode.accessViolation, 'files are only read here, not written');
    } else if (packet.kind === 'read-request') this.#request({ ...packet, kind: 'read-request' }, client);
  }

  #request(request: Request, client: TftpAddress): void {
    const { name, mode, options } = request;
    const running = this.#running.get(client);
    if (running !== undefined) {
      // The same request again: its transfer repeats by itself what is lost.
      if (running.name === name && running.sending?.isComplete !== true) return;
      running.sending?.end();
      this.#running.delete(running);
    }
    this.#log({ kind: 'request', client, name, options });
    if (mode.toLowerCase() !== 'octet') {
      // Line ends would be rewritten, and signatures would fail: better no file than a changed one.
      this.#refuse(client, name, tftpErrorCode.illegalOperation, 'only the mode octet (binary) is served');
    } else if (!this.#running.makeRoom(client.host)) {
      this.#log({ kind: 'busy', client, name });
    } else this.#answer(request, client);
  }

  #answer(request: Request, client: TftpAddress): void {
    const { name } = request;
    const file = this.#folder.open(name);
    if (typeof file !== 'string') {
      this.#send(request, client, file);
      return;
    }
    if (file !== 'not-found' || (this.#options.fallback ?? []).length === 0 || !isConfinedName(name)) {
      this.#refuse(client, name, ...refusals[file]);
      return;
    }
    if (this.#fallback.isAskedBack(name, client, request.options)) {
      this.#refuse(client, name, ...refusals['not-found']);
      return;
    }
    const waiting: Running = { client, name, sending: undefined, since: performance.now() };
    this.#running.set(waiting);
    const passing = this.#passOn(request, waiting).finally(() => this.#ends.delete(passing));
    this.#ends.add(passing);
  }

  /** Asks the other servers, and passes the file on. */
  async #passOn(request: Request, waiting: Running): Promise<void> {
    const { client, name } = waiting;
    const answer = await this.#fallback.fetch(name);
    // The client began something else from its port meanwhile.
    if (!this.#running.delete(waiting) || this.#isClosed) {
      if (answer.kind === 'file') answer.file.close();
      return;
    }
    if (answer.kind === 'busy') {
      this.#log({ kind: 'busy', client, name });
      return;
    }
    if (answer.kind === 'file') {
      this.#log({ kind: 'fallback', name, server: answer.from });
      this.#send(request, client, answer.file);
      return;
    }
    for (const { server, reason } of answer.unsure) this.#log({ kind: 'fallback', name, server, failure: reason });
    // A phone must not take a server that is down for a file that is not there.
    if (answer.unsure.length === 0) this.#refuse(client, name, ...refusals['not-found']);
    else this.#refuse(client, name, tftpErrorCode.other, 'file not found here, and another server did not answer');
  }

  #send(request: Request, client: TftpAddress, file: ServedFile): void {
    const { name, options } = request;
    const { retransmitAfter = 1000, retries = 5 } = this.#options;
    const terms = grantOptions(options, file.size, this.#limits);
    const since = performance.now();
    const sending = new Sending({ client, file, terms, retransmitAfter, retries }, this.#address);
    const running: Running = { client, name, sending, since };
    this.#running.set(running);
    const finished = sending.done.then((end) => {
      this.#running.delete(running);
      this.#ends.delete(finished);
      const milliseconds = performance.now() - since;
      this.#log({ kind: 'transfer', client, name, end, size: file.size, ...sending.count, milliseconds });
    });
    this.#ends.add(finished);
  }

  #refuse(client: TftpAddress, name: string | undefined, code: number, reason: string): void {
    this.#log({ kind: 'refused', client, ...(name === undefined ? {} : { name }), code, reason });
    if (!this.#isClosed) sendDatagram(this.#socket, encodePacket({ kind: 'error', code, message: reason }), client);
  }

  #log(event: TftpEvent): void {
    this.#options.log?.(event);
  }
}
