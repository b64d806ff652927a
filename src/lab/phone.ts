import {
  bootPhone,
  decideAsync,
  deleteTrustList,
  offerSignedFile,
  offerTrustList,
  offerUnsignedConfiguration,
  setTvsServers,
  type Boot,
  type BootEvent,
  type BootQuestion,
  type BootReply,
  type DecryptFile,
  type Deciding,
  type Decision,
  type Outcome,
  type PhoneState,
  type TvsQuestion,
  type TvsReply,
} from '../phone/index.js';
import { EtokenBridgeError, NetworkError } from '../errors.js';
import { decodeEncryptedFile, decryptFile } from '../signed-file/index.js';
import type { Certificate } from '../x509/index.js';
import { parseTvsServers } from './configuration.js';
import { ConsoleLog } from './console-log.js';
import type { PhoneIdentity } from './phone-certificate.js';
import type { PhoneTransport } from './transport.js';

/** A virtual phone: it really downloads and really asks, and decides by the rules of the phone room. */
export class LabPhone {
  #state: PhoneState;
  readonly #log: ConsoleLog;
  readonly #now: () => number;
  #identity: PhoneIdentity | undefined;

  /**
   * @param now seconds since 1970-01-01 UTC.
   * @param write told each line of its console log.
   */
  constructor(state: PhoneState, now: () => number, write?: (line: string) => void) {
    this.#state = state;
    this.#now = now;
    this.#log = new ConsoleLog(write);
  }

  get state(): PhoneState {
    return this.#state;
  }

  get deviceName(): string {
    return `SEP${this.#state.profile.mac}`;
  }

  /** Its own certificate, if it has one. */
  get certificate(): Certificate | undefined {
    return this.#identity?.certificate;
  }

  /** Gives it a certificate and private key of its own, in place of what it had. */
  install(identity: PhoneIdentity): void {
    this.#identity = identity;
  }

  /** Its console log from the beginning. */
  get log(): readonly string[] {
    return this.#log.lines;
  }

  /** Someone deletes a list at the phone's menu. */
  deleteTrustList(kind: 'ctl' | 'itl' | 'both'): void {
    this.#state = deleteTrustList(this.#state, kind);
  }

  /** Boots: CTL, ITL, configuration, each file as rule P1 says. Nothing is asked of TVS but what a decision needs. */
  async boot(transport: PhoneTransport): Promise<Boot> {
    const steps = bootPhone(this.#state, {
      now: this.#now(),
      readTvsServers: parseTvsServers,
      decrypt: this.#decryption(),
      onEvent: (event) => this.#follow(event),
    });
    let step = steps.next();
    while (step.done !== true) step = steps.next(await this.#answer(step.value, transport));
    const { decisions, registered } = step.value;
    return { decisions, registered };
  }

  async #answer(asked: BootQuestion, transport: PhoneTransport): Promise<BootReply> {
    if (asked.kind === 'file') return { kind: 'file', file: await this.#fetch(asked.name, transport) };
    return { kind: 'tvs', reply: await this.#ask(asked.question, asked.state, transport) };
  }

  /** How it decrypts; nothing for a phone without a key, of which only what it decides by its lists is wanted. */
  #decryption(): DecryptFile | undefined {
    const identity = this.#identity;
    if (identity === undefined) return undefined;
    return (file) => {
      try {
        return { content: decryptFile(decodeEncryptedFile(file), identity.key) };
      } catch (error) {
        if (error instanceof EtokenBridgeError) return { fault: `it does not decrypt: ${error.message}` };
        throw error;
      }
    };
  }

  /** What was accepted stays, also when the network fails later in the boot. */
  #follow(event: BootEvent): void {
    if (event.kind === 'offered') {
      this.#log.searchList(event.list);
      return;
    }
    this.#state = event.state;
    const { about, file, decision } = event;
    if (about !== 'ctl' && about !== 'itl') this.#log.configuration(file, decision);
    else if (decision.rule !== 'P2') this.#log.trustList(about, decision);
  }

  /** Is offered one list, as if it had downloaded it. */
  async offer(kind: 'ctl' | 'itl', list: Uint8Array, transport: Pick<PhoneTransport, 'ask'>): Promise<Decision> {
    this.#log.searchList(kind);
    const decision = this.#take(await this.#run(offerTrustList(this.#state, kind, list, this.#now()), transport));
    this.#log.trustList(kind, decision);
    return decision;
  }

  /** Is offered one signed file, such as its configuration. @param name the name that it would have asked for. */
  async offerConfiguration(name: string, file: Uint8Array, transport: Pick<PhoneTransport, 'ask'>): Promise<Decision> {
    const { decision, content } = await this.#openSigned(name, file, transport);
    this.#takeConfiguration(name, decision, content);
    return decision;
  }

  /** Is offered its configuration unsigned (P1, P6). */
  offerUnsigned(name: string, file: Uint8Array): Decision {
    const decision = this.#take(offerUnsignedConfiguration(this.#state));
    this.#takeConfiguration(name, decision, file);
    return decision;
  }

  #takeConfiguration(name: string, decision: Decision, content: Uint8Array | undefined): void {
    this.#log.configuration(name, decision);
    if (!decision.accepted || content === undefined) return;
    this.#state = setTvsServers(this.#state, parseTvsServers(content));
  }

  async #openSigned(
    name: string,
    file: Uint8Array,
    transport: Pick<PhoneTransport, 'ask'>,
  ): Promise<{ decision: Decision; content: Uint8Array | undefined }> {
    const outcome = await this.#run(
      offerSignedFile(this.#state, file, name, this.#now(), this.#decryption()),
      transport,
    );
    return { decision: this.#take(outcome), content: outcome.content };
  }

  async #fetch(name: string, transport: PhoneTransport): Promise<Uint8Array | undefined> {
    this.#log.requestFile(name);
    try {
      const file = await transport.fetch(name);
      if (file === undefined) this.#log.missingFile(name);
      return file;
    } catch (error) {
      // The server answered, but cannot give this file: the phone goes on as without it (P1).
      const answered = error instanceof NetworkError && ['tftp-error', 'access-denied'].includes(error.code);
      if (!answered) throw error;
      this.#log.failedFile(name, error.message);
      return undefined;
    }
  }

  /** Runs the steps of a decision; what it asks of TVS is asked of the servers. */
  #run<T>(steps: Deciding<T>, transport: Pick<PhoneTransport, 'ask'>): Promise<T> {
    const before = this.#state;
    return decideAsync(steps, (question) => this.#ask(question, before, transport));
  }

  async #ask(question: TvsQuestion, state: PhoneState, transport: Pick<PhoneTransport, 'ask'>): Promise<TvsReply> {
    this.#log.askTvs(question);
    const reply = await transport.ask(question, state);
    this.#log.answerOfTvs(question.server, reply);
    return reply;
  }

  #take({ decision, state }: Outcome): Decision {
    this.#state = state;
    return decision;
  }
}
