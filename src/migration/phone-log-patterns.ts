import type { Rule } from '../phone/index.js';
import type { LoggedFile } from './phone-log.js';

/** What one line says, before it is known of which file and server. */
export type Said =
  | { readonly kind: 'requested' | 'missing'; readonly file: string }
  | { readonly kind: 'download-failed'; readonly file: string; readonly reason: string }
  | { readonly kind: 'searching'; readonly what: LoggedFile }
  | {
      readonly kind: 'accepted' | 'rejected';
      readonly what?: LoggedFile;
      readonly file?: string;
      readonly rule: Rule | undefined;
      readonly reason: string | undefined;
      /** Whether it counts for configurations only. */
      readonly ofConfiguration: boolean;
    }
  | { readonly kind: 'tvs-asked'; readonly server: string | undefined }
  | { readonly kind: 'tvs-answered'; readonly trusted: boolean }
  | { readonly kind: 'tvs-failed'; readonly server: string | undefined; readonly reason: string };

/** Which kind of file has this name. */
export function fileKind(name: string): LoggedFile {
  if (/^CTL(?:SEP|File)/i.test(name)) return 'ctl';
  if (/^ITL(?:SEP|File)/i.test(name)) return 'itl';
  return /\.cnf\.xml/i.test(name) ? 'configuration' : 'unknown';
}

/** What a line looks like, and what it then says. */
export interface PhoneLogPattern {
  readonly pattern: RegExp;
  readonly read: (match: RegExpExecArray) => Said;
}

/** What a decision says after its words: `CTL (P5: reason)` of a list, `NAME (P12: reason)` of another file. */
const words = String.raw`(?:\s+(?<file>\S+) \((?<rule>P\d{1,2}): (?<reason>.*)\))?`;

function decision(kind: 'accepted' | 'rejected', ofConfiguration: boolean): PhoneLogPattern['read'] {
  return ({ groups = {} }) => {
    const { file, rule, reason } = groups;
    const said = { kind, rule: rule as Rule | undefined, reason, ofConfiguration };
    const list = listNamed(file);
    if (list !== undefined) return { ...said, what: list };
    if (file === undefined) return said;
    const what = fileKind(file);
    return { ...said, file, what: what === 'unknown' ? 'configuration' : what };
  };
}

function listNamed(word: string | undefined): LoggedFile | undefined {
  if (word === 'CTL') return 'ctl';
  return word === 'ITL' ? 'itl' : undefined;
}

/**
 * The lines of phones that say something: those of the transcripts, of lab phones, and the status messages that phones
 * show at their menu. The first that fits counts: the reasons of decisions may speak of TVS, so that decisions come
 * before it. What looks far ahead is anchored or bounded: no line takes much longer than its length warrants.
 */
export const phoneLogPatterns: readonly PhoneLogPattern[] = [
  {
    pattern: /dgetfile[^[]{0,40}GETXXTP.{0,80}?\[src=([^\]]{1,255})\]/,
    read: ([, file = '']) => ({ kind: 'requested', file }),
  },
  {
    pattern: /File not found \[src=([^\]]{1,255})\]/i,
    read: ([, file = '']) => ({ kind: 'missing', file }),
  },
  {
    pattern: /^(?:.*\b)?File Not Found\s*:\s*(\S+)/i,
    read: ([, file = '']) => ({ kind: 'missing', file }),
  },
  {
    pattern: /TFTP error \[src=([^\]]{1,255})\] ?(.*)$/i,
    read: ([, file = '', reason = '']) => ({ kind: 'download-failed', file, reason }),
  },
  {
    pattern: /Searching TL from (CTL|ITL) file/,
    read: ([, list = '']) => ({ kind: 'searching', what: list === 'CTL' ? 'ctl' : 'itl' }),
  },
  { pattern: new RegExp(`TL file verified successfully\\.${words}`), read: decision('accepted', false) },
  { pattern: new RegExp(`Trust List update failed\\.?${words}`, 'i'), read: decision('rejected', false) },
  { pattern: /\bTrust List updated\b/i, read: decision('accepted', false) },
  { pattern: /TL parse to table: (?!CTL_SUCCESS)(?<status>\w+)/, read: decision('rejected', false) },
  {
    pattern: new RegExp(`Hashes match\\.\\.\\. authentication successful\\.${words}`),
    read: decision('accepted', true),
  },
  { pattern: new RegExp(`Auth failed\\.${words}`), read: decision('rejected', false) },
  {
    pattern: /\bFile Auth(?:entication)? (?:Error|Fail\w*)\b(?:\s*:?\s*(?<file>\S+))?/i,
    read: decision('rejected', false),
  },
  {
    pattern: /TVS server \[([^\]]+)\] not reachable: ?(.*)$/,
    read: ([, server, reason = '']) => ({ kind: 'tvs-failed', server, reason }),
  },
  {
    pattern: /Attempting connect to TVS server addr \[([^\]]+)\]/,
    read: ([, server]) => ({ kind: 'tvs-asked', server }),
  },
  {
    // Not of "no failure" and "timeout set to 5".
    pattern:
      /^(?=.*(?:SECUREAPP|SECD)).{0,200}?\bTVS\b.*\b(?:failed|(?<!\b(?:no|without|0) )fail(?:s|ures?)?|refused|unreachable|not reachable|timed out|(?<!\b(?:no|set) )timeout(?!\s*(?:[=:\d(]|(?:is|of|set|to|value)\b)))\b/i,
    read: ({ input }) => ({ kind: 'tvs-failed', server: undefined, reason: input }),
  },
  {
    pattern: /^(?=.*(?:SECUREAPP|SECD)).*(?:TCP connect\(\)|Handshake) (?:failed|timed out)/i,
    read: ({ input }) => ({ kind: 'tvs-failed', server: undefined, reason: input }),
  },
  {
    pattern: /Cert Verification - Certificate is (?:not valid|invalid).*/i,
    read: ([reason]) => ({ kind: 'tvs-failed', server: undefined, reason }),
  },
  {
    pattern: /Authentication Response received, status : (\d+)/,
    read: ([, status]) => ({ kind: 'tvs-answered', trusted: status === '0' }),
  },
  {
    pattern: /TVS added cert to TVS cache/,
    read: () => ({ kind: 'tvs-answered', trusted: true }),
  },
  {
    pattern: /^(?=.*SECD: ).*(?:Connected to TVS proxy server|request sent to TVS server)/,
    read: () => ({ kind: 'tvs-asked', server: undefined }),
  },
];
