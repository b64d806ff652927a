import type { TLSSocket } from 'node:tls';
import { FormatError } from '../errors.js';
import { TvsMessageReader } from './framing.js';
import type { TvsKnowledge } from './knowledge.js';
import type { TvsLimits } from './limits.js';
import { decodeTvsMessage, encodeTvsMessage, type TvsMessage, type TvsRequest } from './message.js';
import { logMessage } from './message-log.js';

/** So many bytes of answers are written at once; then the client must take them. */
const answersAtOnce = 64 * 1024;

/** What a connection works with. */
export interface ConnectionContext {
  readonly knowledge: TvsKnowledge;
  readonly limits: TvsLimits;
  /** Nothing is written down when it is left out. */
  readonly log: ((line: string) => void) | undefined;
  /** Told when the client did something useful. */
  readonly onMessage: () => void;
}

/**
 * Answers the requests of one client until it goes, breaks the protocol or lets a time limit pass. Reading stops while
 * the client does not take its answers, so that nobody can make the server hold more than a few of them.
 */
export function serveConnection(socket: TLSSocket, context: ConnectionContext): void {
  const connection = new Connection(socket, context);
  socket.on('data', (chunk: Uint8Array) => connection.take(chunk));
  socket.on('drain', () => connection.drained());
  socket.on('error', (error: Error) => connection.end(error.message));
  socket.on('close', () => connection.closed());
}

class Connection {
  readonly #socket: TLSSocket;
  readonly #context: ConnectionContext;
  readonly #reader: TvsMessageReader;
  #timer: NodeJS.Timeout | undefined;
  #timerKind: 'idle' | 'message' | undefined;
  /** The client has to take its answers first. */
  #blocked = false;

  constructor(socket: TLSSocket, context: ConnectionContext) {
    this.#socket = socket;
    this.#context = context;
    this.#reader = new TvsMessageReader(context.limits.largestBody);
    this.#await('idle', true);
  }

  take(chunk: Uint8Array): void {
    this.#reader.push(chunk);
    this.#serve();
  }

  drained(): void {
    if (!this.#blocked) return;
    this.#blocked = false;
    this.#serve();
    if (!this.#isBlocked()) this.#socket.resume();
  }

  end(reason: string): void {
    this.#context.log?.(`TVS CORE: connection closed: ${reason}`);
    this.#socket.destroy();
  }

  closed(): void {
    clearTimeout(this.#timer);
  }

  /** Of its own, because `#serve` changes it unseen by the compiler. */
  #isBlocked(): boolean {
    return this.#blocked;
  }

  #serve(): void {
    let answered = false;
    while (!this.#blocked) {
      const { answers, broken } = this.#nextAnswers();
      if (answers.length > 0) {
        answered = true;
        this.#context.onMessage();
        this.#joinWrites();
        this.#blocked = !this.#socket.write(Buffer.concat(answers));
      }
      if (broken !== undefined) {
        this.#breakOff(broken);
        return;
      }
      if (answers.length === 0) break;
    }
    if (this.#blocked) this.#socket.pause();
    // A message that has begun must be complete in time; that more bytes of it arrive does not give it more time.
    const waits = this.#blocked || this.#reader.pending > 0;
    this.#await(waits ? 'message' : 'idle', answered);
  }

  /** What is written until the next turn goes out as one: a TLS record for each answer would cost more than the answer. */
  #joinWrites(): void {
    if (this.#socket.writableCorked > 0) return;
    this.#socket.cork();
    process.nextTick(() => this.#socket.uncork());
  }

  #nextAnswers(): { answers: Uint8Array[]; broken?: FormatError } {
    const answers: Uint8Array[] = [];
    let length = 0;
    try {
      while (length < answersAtOnce) {
        const bytes = this.#reader.next();
        if (bytes === undefined) break;
        const answer = this.#answer(bytes);
        answers.push(answer);
        length += answer.length;
      }
      return { answers };
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      return { answers, broken: error };
    }
  }

  #answer(bytes: Uint8Array): Uint8Array {
    const { log } = this.#context;
    const message = decodeTvsMessage(bytes);
    if (log !== undefined) logMessage('received', message, bytes, log);
    const reply = this.#replyTo(requireRequest(message));
    const encoded = encodeTvsMessage(reply);
    if (log !== undefined) logMessage('sent', reply, encoded, log);
    return encoded;
  }

  #replyTo(request: TvsRequest): TvsMessage {
    const { sessionId } = request;
    const { knowledge } = this.#context;
    if (request.kind === 'query-request') {
      return { kind: 'query-answer', sessionId, ...knowledge.query(request) };
    }
    return { kind: 'verify-answer', sessionId, ...knowledge.verify(request.certificate) };
  }

  /** Answers to what came before still go out; what comes after cannot be understood. */
  #breakOff(error: FormatError): void {
    this.#context.log?.(`ERROR:tvsPhoneDecodeMsg - ${error.message}: closing the connection`);
    this.#socket.pause();
    this.#socket.removeAllListeners('data');
    this.#blocked = false;
    this.#await('message', true);
    this.#socket.destroySoon();
  }

  #await(kind: 'idle' | 'message', afresh: boolean): void {
    if (kind === this.#timerKind && !afresh) return;
    if (kind === this.#timerKind && this.#timer !== undefined) {
      this.#timer.refresh();
      return;
    }
    clearTimeout(this.#timer);
    const { idleTime, messageTime } = this.#context.limits;
    this.#timerKind = kind;
    this.#timer = setTimeout(() => this.end(this.#lateness()), kind === 'idle' ? idleTime : messageTime);
  }

  #lateness(): string {
    if (this.#timerKind === 'idle') return 'nothing was asked in time';
    return this.#blocked ? 'the answers were not taken in time' : 'the message was not complete in time';
  }
}

function requireRequest(message: TvsMessage): TvsRequest {
  if (message.kind === 'query-request' || message.kind === 'verify-request') return message;
  throw new FormatError('bad-value', `a request expected, a ${message.kind} found`, { offset: 2, element: 'command' });
}
