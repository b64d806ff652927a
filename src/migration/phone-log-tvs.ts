import type { TvsLogQuestion } from './phone-log.js';

/** A question while its lines are read. */
interface OpenQuestion {
  readonly line: number;
  readonly question: TvsLogQuestion['question'];
  subjectName?: string | undefined;
  issuerName?: string | undefined;
  serialNumber?: string | undefined;
  known: boolean;
  refused: boolean;
  roles: number[];
}

/** The key of a look-up: the serial in hex, and the issuer after it without a blank. */
const lookUp =
  /Unique MAP ID : ([0-9A-F]+?)((?:CN|OU|O|C|L|ST|S|DC|E|T|SN|emailAddress|serialNumber)=.*?)(?:, len : \d+)?$/i;

/**
 * Collects what a TVS server logs about each question: who was asked for, what the stores said, which roles were found.
 * The database is looked at first, then the CTL: one that has it is enough.
 */
export class TvsLogQuestions {
  readonly #questions: OpenQuestion[] = [];

  /** @returns whether the line is one of a TVS server. */
  read(line: number, text: string): boolean {
    const said = /tvsHandleQueryCertReq ?: ?(Subject Name|Issuer Name|Serial Number) is: ?(.*)$/.exec(text);
    if (said !== null) {
      this.#name(line, said[1] ?? '', (said[2] ?? '').trim());
      return true;
    }
    const issuer = /tvsGetIssuerNameFromX509 - issuerName : (.*?)(?: and Length: ?\d+)?$/.exec(text);
    if (issuer !== null) {
      this.#open(line, 'verify').issuerName = issuer[1];
      return true;
    }
    const serial = /tvsGetSerialNumberFromX509 - serialNumber : ([0-9A-F]+)/i.exec(text);
    if (serial !== null) {
      this.#current(line, 'verify').serialNumber = serial[1]?.toUpperCase();
      return true;
    }
    return this.#readLookUp(line, text) || this.#readOutcome(text);
  }

  end(): readonly TvsLogQuestion[] {
    return this.#questions.map(({ line, question, subjectName, issuerName, serialNumber, ...rest }) => {
      const asked = { kind: 'tvs-question', line, question, subjectName, issuerName, serialNumber } as const;
      const outcome = rest.known ? 'known' : rest.refused ? 'not-known' : 'unknown';
      return { ...asked, outcome, roles: rest.roles };
    });
  }

  #name(line: number, what: string, value: string): void {
    if (what === 'Subject Name') this.#open(line, 'query').subjectName = value;
    else if (what === 'Issuer Name') this.#current(line, 'query').issuerName = value;
    else this.#current(line, 'query').serialNumber = value.toUpperCase();
  }

  #readLookUp(line: number, text: string): boolean {
    const key = lookUp.exec(text);
    if (key === null) return false;
    const serialNumber = (key[1] ?? '').toUpperCase();
    const last = this.#questions.at(-1);
    // Logs are cut: a look-up may stand there without the question that it answers.
    if (last?.serialNumber !== serialNumber) {
      Object.assign(this.#open(line, 'look-up'), { serialNumber, issuerName: key[2] });
    }
    return true;
  }

  #readOutcome(text: string): boolean {
    const question = this.#questions.at(-1);
    if (question === undefined) return false;
    const role = /\{role : (\d{1,3})\}/.exec(text);
    if (role !== null) question.roles.push(Number(role[1]));
    else if (/Found entry|Certificate found and equal|Certificate compare return ?=0/.test(text)) question.known = true;
    else if (/Cannot find the certificate|certificate not found/i.test(text)) question.refused = true;
    else return false;
    return true;
  }

  #open(line: number, question: TvsLogQuestion['question']): OpenQuestion {
    const opened: OpenQuestion = { line, question, known: false, refused: false, roles: [] };
    this.#questions.push(opened);
    return opened;
  }

  #current(line: number, question: TvsLogQuestion['question']): OpenQuestion {
    const last = this.#questions.at(-1);
    return last?.question === question ? last : this.#open(line, question);
  }
}
