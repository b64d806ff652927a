import type { Rule } from '../phone/index.js';
import { readAlarms } from './phone-log-alarms.js';
import { fileKind, phoneLogPatterns, type Said } from './phone-log-patterns.js';
import { TvsLogQuestions } from './phone-log-tvs.js';

/** What a decision in a log is about; `unknown` where the log does not tell. */
export type LoggedFile = 'ctl' | 'itl' | 'configuration' | 'unknown';

/** A list as an alarm of a phone names it: its checksum in lower-case hex, `none` when not installed. */
export type LoggedDigest = string;

/** Something that a log says. `line` counts from 1. */
export type PhoneLogEvent =
  | { readonly kind: 'requested' | 'missing'; readonly line: number; readonly file: string }
  | { readonly kind: 'download-failed'; readonly line: number; readonly file: string; readonly reason: string }
  | {
      readonly kind: 'accepted' | 'rejected';
      readonly line: number;
      readonly what: LoggedFile;
      /** The name of the file, where the log has it. */
      readonly file: string | undefined;
      /** Only phones of the lab name the rule and the reason. */
      readonly rule: Rule | undefined;
      readonly reason: string | undefined;
    }
  | {
      readonly kind: 'tvs-asked';
      readonly line: number;
      readonly server: string | undefined;
    }
  | {
      readonly kind: 'tvs-answered';
      readonly line: number;
      readonly server: string | undefined;
      readonly trusted: boolean;
    }
  | {
      readonly kind: 'tvs-failed';
      readonly line: number;
      readonly server: string | undefined;
      readonly reason: string;
    }
  | TvsLogQuestion
  | {
      readonly kind: 'alarm';
      readonly line: number;
      readonly device: string;
      readonly ctl: LoggedDigest;
      readonly itl: LoggedDigest;
    };

/** What a TVS server wrote about one question. */
export interface TvsLogQuestion {
  readonly kind: 'tvs-question';
  readonly line: number;
  readonly question: 'query' | 'verify' | 'look-up';
  readonly subjectName: string | undefined;
  readonly issuerName: string | undefined;
  /** Upper-case hex. */
  readonly serialNumber: string | undefined;
  readonly outcome: 'known' | 'not-known' | 'unknown';
  /** What it vouches for, numbered as FUNCTION. */
  readonly roles: readonly number[];
}

/** A log of a phone, of a TVS server, or both in one file, as far as it is understood. */
export interface PhoneLog {
  /** Where it is from, e.g. the name of the file. */
  readonly source: string;
  readonly lines: number;
  /** In the order of the log; alarms last. */
  readonly events: readonly PhoneLogEvent[];
}

/** A line, with those that it was continued on. */
interface Entry {
  readonly line: number;
  text: string;
}

/** So many characters of one entry are looked at; what comes after is no log line. */
const longestEntry = 4000;

/** How entries begin: with a number or time, or with what phones and servers write of themselves. */
const entryStart =
  /^\s*(?:\d+:? (?:NOT|INF|DEB|WRN|ERR|CRT|ALT|EMR)\b|\d{4}-\d\d-\d\d|\d{1,2}:\d\d(?::\d\d)?(?:\.\d+)?[ap]?m?\b|SECUREAPP|SECD|dgetfile|tvs[A-Z]|Certificate(?:DB|CTL)C|ERROR:|\/\/|#|<)|trust list update|file auth/i;

/**
 * Reads a log of a phone (console log, status messages, DeviceTLInfo alarms) or of a TVS server. Anything is a log: what
 * is not understood is passed over.
 *
 * @param source where it is from, for messages.
 */
export function readPhoneLog(text: string, source: string): PhoneLog {
  const lines = text.split(/\r\n|\r|\n/);
  const reader = new Reader();
  for (const entry of entriesOf(lines)) reader.read(entry);
  return { source, lines: lines.length, events: [...reader.end(), ...readAlarms(lines)] };
}

/** Copies out of documents break lines: what begins like no entry goes on with the one before. */
function* entriesOf(lines: readonly string[]): Generator<Entry> {
  let entry: Entry | undefined;
  for (const [index, line] of lines.entries()) {
    if (line.trim() === '') continue;
    const text = line.trim().slice(0, longestEntry);
    if (entry !== undefined && !entryStart.test(text)) {
      if (entry.text.length < longestEntry) entry.text += ` ${text}`;
      continue;
    }
    if (entry !== undefined) yield entry;
    entry = { line: index + 1, text };
  }
  if (entry !== undefined) yield entry;
}

/** Goes through a log from its beginning, and remembers which file and which server it speaks of. */
class Reader {
  readonly #events: PhoneLogEvent[] = [];
  readonly #questions = new TvsLogQuestions();
  #what: LoggedFile = 'unknown';
  #file: string | undefined;
  #server: string | undefined;

  read({ line, text }: Entry): void {
    if (this.#questions.read(line, text)) return;
    for (const { pattern, read } of phoneLogPatterns) {
      const match = pattern.exec(text);
      if (match === null) continue;
      this.#take(read(match), line);
      return;
    }
  }

  end(): readonly PhoneLogEvent[] {
    return [...this.#events, ...this.#questions.end()].sort((left, right) => left.line - right.line);
  }

  #take(said: Said, line: number): void {
    switch (said.kind) {
      case 'requested':
        this.#file = said.file;
        this.#what = fileKind(said.file);
        break;
      case 'searching':
        this.#what = said.what;
        return;
      case 'tvs-asked':
        this.#server = said.server ?? this.#server;
        break;
      case 'accepted':
      case 'rejected':
        this.#decide(said, line);
        return;
      case 'tvs-answered':
        // A phone that keeps an answer says so in a second line.
        if (this.#events.at(-1)?.kind === 'tvs-answered') return;
        this.#events.push({ ...said, line, server: this.#server });
        return;
      case 'tvs-failed':
        this.#events.push({ ...said, line, server: said.server ?? this.#server });
        return;
      case 'missing':
      case 'download-failed':
        break;
    }
    this.#events.push({ ...said, line });
  }

  #decide(said: Extract<Said, { kind: 'accepted' | 'rejected' }>, line: number): void {
    const what = said.what ?? this.#what;
    // "Hashes match" is also said of lists, before their real outcome.
    if (said.ofConfiguration && what !== 'configuration') return;
    const file = said.file ?? (fileKind(this.#file ?? '') === what ? this.#file : undefined);
    this.#events.push({ kind: said.kind, line, what, file, rule: said.rule, reason: said.reason });
  }
}
