import { NetworkError } from '../errors.js';
import { fetchFile, type TftpAddress } from '../tftp/index.js';
import { openTvsClient, type TvsClient } from '../tvs/index.js';
import { acceptsTvsServer, type PhoneState, type TvsQuestion, type TvsReply } from '../phone/index.js';

/** How a phone reaches its servers. */
export interface PhoneTransport {
  /** A file of the TFTP server, or `undefined` when it has none of this name. */
  fetch(name: string): Promise<Uint8Array | undefined>;
  /** Asks one TVS server. It is not asked when its certificate is not the one that the phone's lists name (P9). */
  ask(question: TvsQuestion, state: PhoneState): Promise<TvsReply>;
  close(): Promise<void>;
}

const defaultTvsPort = 2445;
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
    try {
      const { client, presented } = await this.#connect(server, state);
      const decision = acceptsTvsServer(state, presented);
      if (!decision.accepted) return { status: 'unreachable', reason: decision.reason };
      if (question.kind === 'query') return await client.query(question);
      const { certificate } = question;
      const answer = await client.verify(certificate);
      return answer.status === 'success' ? { ...answer, certificate } : answer;
    } catch (error) {
      // Gone, whatever it was: the next question connects again.
      await this.#forget(server);
      return { status: 'unreachable', reason: error instanceof Error ? error.message : String(error) };
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#open.keys()].map((server) => this.#forget(server)));
  }

  #connect(server: string, state: PhoneState): Promise<Connection> {
    const known = this.#open.get(server);
    if (known !== undefined) return known;
    const connecting = connect(server, state);
    this.#open.set(server, connecting);
    return connecting;
  }

  async #forget(server: string): Promise<void> {
    const known = this.#open.get(server);
    this.#open.delete(server);
    await known?.then(({ client }) => client.close()).catch(() => undefined);
  }
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
      return acceptsTvsServer(state, certificate).accepted;
    },
  });
  return { client, presented };
}

function splitServer(server: string): { host: string; port: number } {
  const match = /^(.*?):(\d+)$/.exec(server);
  if (match === null || (server.includes('::') && !server.startsWith('[')))
    return { host: server, port: defaultTvsPort };
  return { host: (match[1] ?? '').replace(/^\[|\]$/g, ''), port: Number(match[2]) };
}
