import { printable } from '../bytes/index.js';
import type { Decision, TvsQuestion, TvsReply } from '../phone/index.js';

/**
 * What a phone writes to its console log, in the words of real ones (transcripts tvs-wire-query-cert-213407 and
 * tvs-server-log). The numbers and times before each line are left to whoever prints them.
 */
export class ConsoleLog {
  readonly #lines: string[] = [];
  readonly #write: ((line: string) => void) | undefined;

  constructor(write?: (line: string) => void) {
    this.#write = write;
  }

  get lines(): readonly string[] {
    return this.#lines;
  }

  requestFile(name: string): void {
    this.#add(`dgetfile-GETXXTP [src=${name}]`);
  }

  missingFile(name: string): void {
    this.#add(`dgetfile-File not found [src=${name}]`);
  }

  failedFile(name: string, reason: string): void {
    this.#add(`dgetfile-TFTP error [src=${name}] ${printable(reason)}`);
  }

  searchList(kind: 'ctl' | 'itl'): void {
    this.#add(`SECUREAPP-Searching TL from ${kind.toUpperCase()} file`);
  }

  askTvs({ kind, server }: TvsQuestion): void {
    this.#add(`SECUREAPP-Attempting connect to TVS server addr [${server}]`);
    this.#add(
      kind === 'query'
        ? 'SECUREAPP-TVS process request - processing TVS Query Certificate request.'
        : 'SECUREAPP-TVS Certificate Authentication request',
    );
  }

  answerOfTvs(server: string, reply: TvsReply): void {
    switch (reply.status) {
      case 'success':
        this.#add('SECUREAPP-Authentication Response received, status : 0');
        this.#add(
          `SECUREAPP-TVS added cert to TVS cache - expires in ${String(Math.round(reply.timeToLive / 3600))} hours`,
        );
        return;
      case 'not-trusted':
        this.#add('SECUREAPP-Authentication Response received, status : 1');
        return;
      case 'unreachable':
        this.#add(`SECUREAPP-TVS server [${server}] not reachable: ${printable(reply.reason)}`);
    }
  }

  trustList(kind: 'ctl' | 'itl', { accepted, rule, reason }: Decision): void {
    const words = `${kind.toUpperCase()} (${rule}: ${printable(reason)})`;
    if (accepted) {
      this.#add(`SECUREAPP-TL file verified successfully. ${words}`);
      this.#add('SECUREAPP-TL file updated.');
    } else {
      this.#add(`SECUREAPP-Trust List update failed. ${words}`);
    }
  }

  configuration(name: string, { accepted, rule, reason }: Decision): void {
    const outcome = accepted ? 'Hashes match... authentication successful.' : 'Auth failed.';
    this.#add(`SECUREAPP-${outcome} ${name} (${rule}: ${printable(reason)})`);
  }

  #add(line: string): void {
    this.#lines.push(line);
    this.#write?.(line);
  }
}
