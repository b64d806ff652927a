import { isIPv6 } from 'node:net';
import { NetworkError } from '../errors.js';
import { fetchFile, type TftpAddress } from '../tftp/index.js';
import { openTvsClient, tvsPort, type TvsClient } from '../tvs/index.js';
import { acceptsTvsServer, type PhoneState, type TvsQuestion, type TvsReply } from '../phone/index.js';

/** How a phone reaches its servers. */
export interface PhoneTransport {
  /** A file of the TFTP server, or `undefined` when it has none of this name. */
  fetch(name: string): Promise<Uint8Array | undefined>;
  /** Asks one TVS server. It is not asked when its certificate is not the one that the phone's lists name (P9). */
  ask(question: TvsQuestion, state: PhoneState): Promise<TvsReply>;
  close(): Promise<void>;
}

/** How long one answer of TVS is waited for, in milliseconds. */
const tvsTimeout = 5_000;

/** Sockets of a phone's own: one TFTP transfer after the other, one TLS connection for each TVS server it asks. */
export function socketTransport(tftp: TftpAddress): PhoneTransport {
  const connections = new TvsConnections();
  return {
    fetch: (name) => fetchOptional(tftp, name),
    ask: (question, state) => connections.ask(question, state),
    close: () => connections.close(),
  };
}

/**
 * Sockets that many phones share: each file is fetched once, and each TVS server gets one connection for all. What the
 * phones decide is theirs alone. Files are read again after {@link SharedTransport.forget}.
 */
export class SharedTransport implements PhoneTransport {
  readonly #tftp: TftpAddress;
  readonly #files = new Map<string, Promise<Uint8Array | undefined>>();
  readonly #connections = new TvsConnections();

  constructor(tftp: TftpAddress) {
    this.#tftp = tftp;
  }

  fetch(name: string): Promise<Uint8Array | undefined> {
    const known = this.#files.get(name);
    if (known !== undefined) return known;
    const file = fetchOptional(this.#tftp, name);
    this.#files.set(name, file);
    // A failure is of this moment only.
    file.catch(() => this.#files.delete(name));
    return file;
  }

  ask(question: TvsQuestion, state: PhoneState): Promise<TvsReply> {
    return this.#connections.ask(question, state);
  }

  /** Forgets the files: the servers have others now. */
  forget(): void {
    this.#files.clear();
  }

  close(): Promise<void> {
    return this.#connections.close();
  }
}

async function fetchOptional({ host, port }: TftpAddress, name: string): Promise<Uint8Array | undefined> {
  try {
    return await fetchFile({ host, port, name });
  } catch (error) {
    if (error instanceof NetworkError && error.code === 'file-not-found') return undefined;
    throw error;
  }
}

interface Connection {
  readonly client: TvsClient;
  /** DER of the certificate that the server presented. */
  readonly presented: Uint8Array;
}

/** One connection for each server, opened when it is first asked; one that broke is opened anew. */
class TvsConnections {
  readonly #open = new Map<string, Promise<Connection>>();

  async ask(question: TvsQuestion, state: PhoneState): Promise<TvsReply> {
    const { server } = question;
    const known = this.#open.get(server);
    try {
      if (known !== undefined) return await askOn(await known, question, state);
    } catch {
      // The server was restarted, perhaps with another certificate: it is asked on a new connection.
      await this.#forget(server, known);
    }
    const connecting = this.#open.get(server) ?? connect(server, state);
    this.#open.set(server, connecting);
    try {
      return await askOn(await connecting, question, state);
    } catch (error) {
      await this.#forget(server, connecting);
      return { status: 'unreachable', reason: error instanceof Error ? error.message : String(error) };
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#open].map(([server, connection]) => this.#forget(server, connection)));
  }

  /** Closes a connection; one that has taken its place meanwhile stays. */
  async #forget(server: string, connection: Promise<Connection> | undefined): Promise<void> {
    if (this.#open.get(server) === connection) this.#open.delete(server);
    await connection?.then(({ client }) => client.close()).catch(() => undefined);
  }
}

/** Nothing is asked of a server whose certificate this phone does not know (P9), whoever opened the connection. */
async function askOn({ client, presented }: Connection, question: TvsQuestion, state: PhoneState): Promise<TvsReply> {
  const decision = acceptsTvsServer(state, presented);
  if (!decision.accepted) return { status: 'unreachable', reason: decision.reason };
  if (question.kind === 'query') return client.query(question);
  const { certificate } = question;
  const answer = await client.verify(certificate);
  return answer.status === 'success' ? { ...answer, certificate } : answer;
}

async function connect(server: string, state: PhoneState): Promise<Connection> {
  const { host, port } = splitServer(server);
  let presented = new Uint8Array();
  const client = await openTvsClient({
    host,
    port,
    device: `${state.profile.model}-SEP${state.profile.mac}`,
    timeout: tvsTimeout,
    acceptServer: (certificate) => {
      presented = Uint8Array.from(certificate);
      // Other phones may ask on this connection: each judges the certificate by its own lists, before it asks.
      return true;
    },
  });
  return { client, presented };
}

function splitServer(server: string): { host: string; port: number } {
  const match = isIPv6(server) ? null : /^(.*?)(?::(\d+))?$/.exec(server);
  const host = match?.[1] ?? server;
  return { host: host.replace(/^\[|\]$/g, ''), port: Number(match?.[2] ?? tvsPort) };
}
