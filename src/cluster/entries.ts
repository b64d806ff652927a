import { isIPv4, isIPv6 } from 'node:net';
import type { ClusterProblemCode } from './problem.js';
import { printable } from '../bytes/index.js';
import { quoted } from './quoted.js';
import { readRelease, releaseForms } from './release.js';
import { closestWord } from './spelling.js';

/** What is wrong with one entry of a cluster file. */
export interface Complaint {
  readonly code: ClusterProblemCode;
  readonly message: string;
  readonly hint: string;
}

/** Says what is wrong with a text, or nothing. */
export type EntryCheck = (text: string) => Complaint | undefined;

function complain(message: string, hint: string): Complaint {
  return { code: 'bad-value', message, hint };
}

const controlCharacter = /\p{Cc}/u;

/** A release, as {@link readRelease} reads it. */
export const checkRelease: EntryCheck = (text) =>
  readRelease(text) === undefined
    ? complain(`${quoted(text)} is not a release`, `write it as ${releaseForms}`)
    : undefined;

/** One of a few words. `what` says what they are, e.g. `a service`. */
export function checkWord(what: string, words: readonly string[]): EntryCheck {
  return (text) => {
    if (words.includes(text)) return undefined;
    const meant = closestWord(text, words);
    const choice = `the choices are ${words.join(', ')}`;
    return complain(
      `${quoted(text)} is not ${what}`,
      meant === undefined ? choice : `did you mean ${quoted(meant)}? ${choice}`,
    );
  };
}

/** A host name, which is also the name of a folder in a lab: letters, digits, `.`, `-` and `_`. */
export const checkNodeName: EntryCheck = (text) => {
  if (/^[a-z0-9_](?:[a-z0-9._-]{0,251}[a-z0-9_])?$/i.test(text) && !text.includes('..')) return undefined;
  return complain(
    `${quoted(text)} is not a host name`,
    'write the host name that the cluster knows the node by: letters, digits, hyphens and dots',
  );
};

/** An IPv4 address in dotted form, or an IPv6 address. */
export const checkAddress: EntryCheck = (text) => {
  const canonical = canonicalAddress(text);
  const form = 'write an IPv4 address such as 10.1.1.5, or an IPv6 address such as 2001:db8::5';
  if (canonical === undefined) return complain(`${quoted(text)} is not an address`, form);
  if (canonical !== '0.0.0.0' && canonical !== '::') return undefined;
  return complain(`${quoted(text)} is the address of no node: trust lists keep it for tokens`, form);
};

/** An address in its one usual spelling, to compare it; `undefined` when it is none. */
export function canonicalAddress(text: string): string | undefined {
  if (isIPv4(text)) return text;
  if (!isIPv6(text) || text.includes('%')) return undefined;
  return new URL(`http://[${text}]`).hostname.slice(1, -1);
}

/** A moment in UTC, as this command notes it. */
export const checkTime: EntryCheck = (text) => {
  const isTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,3})?Z$/.test(text);
  // A day that does not exist moves a Date on to one that does.
  const date = isTime ? new Date(text) : undefined;
  const exists =
    date !== undefined && !Number.isNaN(date.getTime()) && date.toISOString().startsWith(text.slice(0, 19));
  return exists ? undefined : complain(`${quoted(text)} is not a time in UTC`, 'write it as 2026-01-31T12:00:00Z');
};

/** A SHA-1 in hex. */
export const checkSha1: EntryCheck = (text) =>
  /^[0-9a-f]{40}$/i.test(text)
    ? undefined
    : complain(`${quoted(text)} is not a SHA-1`, 'write its 40 hex digits, as `cluster show` prints them');

/** A word before a colon, as URIs begin with it. A single letter is a drive of Windows. */
const uriScheme = /^([a-z][a-z0-9+.-]+):/i;

/** The path of a certificate file. */
export const checkCertificatePath: EntryCheck = (text) => {
  if (text.includes('-----BEGIN')) {
    return complain('a certificate itself stands here', 'save it as a file, and write the path of the file');
  }
  if (uriScheme.test(text)) {
    return complain(
      `${quoted(text)} is not the path of a file`,
      'certificates are given as files; `token export` writes those of a token',
    );
  }
  return checkPath(text, 'a certificate in PEM or DER');
};

/** The path of a key file, or a PKCS#11 URI. What it says is never repeated: it may be a secret in the wrong place. */
export const checkKey: EntryCheck = (text) => {
  if (text.includes('-----BEGIN')) {
    return complain(
      'a private key itself stands here',
      'save it as a file of mode 0600, and write the path of the file',
    );
  }
  if (isTokenUri(text)) return checkTokenUri(text);
  const scheme = uriScheme.exec(text)?.[1];
  if (scheme !== undefined) {
    return complain(
      `a key is a file or a pkcs11: URI, and this begins with ${printable(scheme.slice(0, 20))}:`,
      'write the path of the key file, or the URI that `token list` prints',
    );
  }
  return checkPath(text, 'a private key in PEM, DER or PKCS#12');
};

/** Whether a key is named by a PKCS#11 URI rather than a path. */
export function isTokenUri(text: string): boolean {
  return /^pkcs11:/i.test(text);
}

/** RFC 7512, 2.3: `pkcs11:` pairs joined by `;`, then `?` and pairs joined by `&`. */
const tokenUri = /^pkcs11:(?:[\w-]+=[^\s;?&]*(?:;[\w-]+=[^\s;?&]*)*)?(?:\?[\w-]+=[^\s&]*(?:&[\w-]+=[^\s&]*)*)?$/i;

function checkTokenUri(text: string): Complaint | undefined {
  if (/\bpin-value=/i.test(text)) {
    return complain(
      'the URI holds a PIN (pin-value), and a cluster file is no place for one',
      'write pin-source=file:/path/of/pin-file instead, or leave it out and be asked; change the PIN if others saw it',
    );
  }
  if (tokenUri.test(text) && text.length > 'pkcs11:'.length) return undefined;
  return complain(
    'this pkcs11: URI is not well formed',
    'write it as `token list` prints it, e.g. pkcs11:token=SAST;id=%01',
  );
}

function checkPath(text: string, what: string): Complaint | undefined {
  if (text.trim() === '') return complain('the path is empty', `write the path of ${what}`);
  if (controlCharacter.test(text)) {
    return complain('the path holds a control character or a line break', 'write the path on one line');
  }
  return undefined;
}
