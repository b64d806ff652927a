import { createHmac } from 'node:crypto';
import { equalBytes } from '../bytes/index.js';
import { hostKeyType } from './fingerprint.js';

/** The port of SSH. */
export const sshPort = 22;

/** One line of a known_hosts file (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). */
export interface KnownHost {
  /** The file as it was named, for messages. */
  readonly file: string;
  /** Its line, from 1. */
  readonly line: number;
  /** `revoked`: a key that is to be trusted no more. */
  readonly marker: 'none' | 'revoked';
  /** Patterns with commas between them, or one hashed name. */
  readonly hosts: string;
  readonly keyType: string;
  /** The key as it goes over the wire. */
  readonly key: Uint8Array;
}

/**
 * Reads a known_hosts file. Lines that say nothing about a host key are passed over, as ssh does: comments, damaged
 * lines, and the keys of certificate authorities, whose host certificates are not used here.
 *
 * @param file its name, for messages.
 */
export function parseKnownHosts(text: string, file: string): readonly KnownHost[] {
  return text.split('\n').flatMap((content, index): KnownHost[] => {
    const words = content.trim().split(/[ \t]+/);
    if ((words[0] ?? '') === '' || words[0]?.startsWith('#') === true) return [];
    const marker = words[0]?.startsWith('@') === true ? words.shift() : undefined;
    if (marker !== undefined && marker !== '@revoked') return [];
    const [hosts, keyType, base64] = words;
    if (hosts === undefined || keyType === undefined || base64 === undefined) return [];
    const key = new Uint8Array(Buffer.from(base64, 'base64'));
    if (hostKeyType(key) !== keyType) return [];
    return [{ file, line: index + 1, marker: marker === undefined ? 'none' : 'revoked', hosts, keyType, key }];
  });
}

/** What known_hosts files say about a host key. */
export interface HostKeyVerdict {
  /**
   * `known`: it is there for this host. `unknown`: the host is in no line. `changed`: the host is there, and not with
   * this key. `revoked`: a line says that this key is to be trusted no more.
   */
  readonly verdict: 'known' | 'unknown' | 'changed' | 'revoked';
  /** The lines that say so. */
  readonly lines: readonly KnownHost[];
}

/**
 * Looks a host key up. A host that is known by keys of other types only counts as changed: whoever stands between could
 * else offer a type that nobody has noted.
 */
export function checkKnownHosts(
  entries: readonly KnownHost[],
  host: string,
  port: number,
  key: Uint8Array,
): HostKeyVerdict {
  const named = entries.filter((entry) => isAbout(entry, host, port));
  const elsewhere = port === sshPort ? [] : entries.filter((entry) => isAbout(entry, host, sshPort));
  const isSame = (entry: KnownHost): boolean => equalBytes(entry.key, key);
  const revoked = [...named, ...elsewhere].filter((entry) => entry.marker === 'revoked' && isSame(entry));
  if (revoked.length > 0) return { verdict: 'revoked', lines: revoked };
  const same = trustedLines(entries, host, port).filter(isSame);
  if (same.length > 0) return { verdict: 'known', lines: same };
  const others = named.filter(({ marker }) => marker === 'none');
  return others.length > 0 ? { verdict: 'changed', lines: others } : { verdict: 'unknown', lines: [] };
}

/**
 * The lines whose keys a server may present. A key that is known for the host itself is as good for another of its
 * ports, as ssh takes it too, but only where no line is about that port: there may be another server behind it.
 */
function trustedLines(entries: readonly KnownHost[], host: string, port: number): readonly KnownHost[] {
  const linesOf = (one: number): readonly KnownHost[] =>
    entries.filter((entry) => entry.marker === 'none' && isAbout(entry, host, one));
  const named = linesOf(port);
  return named.length > 0 ? named : linesOf(sshPort);
}

/** The types of key by which a host is known, each once, in the order of the lines. */
export function knownKeyTypes(entries: readonly KnownHost[], host: string, port: number): readonly string[] {
  return [...new Set(trustedLines(entries, host, port).map(({ keyType }) => keyType))];
}

function isAbout({ hosts }: KnownHost, host: string, port: number): boolean {
  const lower = host.toLowerCase();
  const name = port === sshPort ? lower : `[${lower}]:${String(port)}`;
  if (hosts.startsWith('|')) return isHashOf(hosts, name);
  const patterns = hosts.split(',').map((pattern) => pattern.toLowerCase());
  const excluded = patterns.some((pattern) => pattern.startsWith('!') && matchesPattern(name, pattern.slice(1)));
  return !excluded && patterns.some((pattern) => !pattern.startsWith('!') && matchesPattern(name, pattern));
}

/** `|1|salt|hash`: HMAC-SHA-1 of the name with the salt, both in base64. */
function isHashOf(hashed: string, name: string): boolean {
  const [, salt, hash] = /^\|1\|([^|]+)\|([^|]+)$/.exec(hashed) ?? [];
  if (salt === undefined || hash === undefined) return false;
  const expected = createHmac('sha1', Buffer.from(salt, 'base64')).update(name).digest();
  return equalBytes(expected, Buffer.from(hash, 'base64'));
}

/** `*` stands for any characters, `?` for one (ssh_config(5), PATTERNS). Without a regular expression: it is bounded. */
function matchesPattern(name: string, pattern: string): boolean {
  let [at, from] = [0, 0];
  let star: number | undefined;
  let resume = 0;
  while (at < name.length) {
    const wanted = pattern[from];
    if (wanted === '*') {
      star = from;
      resume = at;
      from += 1;
    } else if (wanted !== undefined && (wanted === '?' || wanted === name[at])) {
      at += 1;
      from += 1;
    } else if (star !== undefined) {
      resume += 1;
      at = resume;
      from = star + 1;
    } else return false;
  }
  while (pattern[from] === '*') from += 1;
  return from === pattern.length;
}
