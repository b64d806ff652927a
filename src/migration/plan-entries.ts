import { printable } from '../bytes/index.js';
import { closestWord, parseRelease, quoted } from '../cluster/index.js';
import type { AcceptableCheck } from '../ctl/index.js';
import { InputError } from '../errors.js';
import type { Rule } from '../phone/index.js';
import type { CtlFlow, Performer, Plan } from './plan.js';

/** What each word of a plan file may be. */
export const performers: readonly Performer[] = ['tool', 'administrator', 'phones'];
export const ctlFlows: readonly CtlFlow[] = [
  'create-token',
  'create-tokenless',
  'update',
  'add-token',
  'to-token',
  'to-tokenless',
  'to-non-secure',
];
export const endModes = ['no-ctl', 'token', 'tokenless', 'non-secure'] as const;
export const wantedEnds: readonly Plan['to']['wanted'][] = [...endModes, 'certificates', 'release', 'cluster'];
export const deletedLists = ['ctl', 'itl', 'both'] as const;
export const outcomes = ['kept', 'lost', 'unknown'] as const;
export const rules: readonly Rule[] = Array.from({ length: 13 }, (_, index) => `P${index + 1}` as Rule);
export const findingChecks: readonly AcceptableCheck[] = Array.from(
  { length: 14 },
  (_, index) => `A${index + 1}` as AcceptableCheck,
);

/** The words that choose among the shapes of an action and of a check. */
export const actionKinds = [
  'upload',
  'start-tvs',
  'add-tvs-servers',
  'build-ctl',
  'publish-ctl',
  'cluster-ctl',
  'renew',
  'rename',
  'remove-ctl-file',
  'empty-itls',
  'fill-itls',
  'change-release',
  'move-phones',
  'restart-phones',
  'delete-list',
] as const;
export const checkKinds = [
  'file-verifies',
  'tftp-serves',
  'tftp-serves-signed-by',
  'tftp-lacks',
  'tvs-answers',
  'tvs-vouches',
  'certificate-renewed',
  'node-renamed',
  'itl-emptied',
  'itl-filled',
  'confirm',
] as const;

export const signerKinds = ['token', 'cluster'] as const;

/** A scalar that was read, or what is wrong with it. */
export type Reading<Value> = { readonly value: Value } | { readonly message: string; readonly hint: string };

/** Reads a scalar of a plan file. */
export type Read<Value> = (text: string) => Reading<Value>;

/** One of some words. */
export function word<Word extends string>(what: string, choices: readonly Word[]): Read<Word> {
  const hint = `the choices are ${choices.join(', ')}`;
  return (text) => {
    const value = choices.find((choice) => choice === text);
    if (value !== undefined) return { value };
    const meant = closestWord(text, choices);
    const message = `${quoted(text)} is no ${what}`;
    return { message, hint: meant === undefined ? hint : `did you mean ${quoted(meant)}? ${hint}` };
  };
}

function matching(what: string, pattern: RegExp, hint: string): Read<string> {
  return (text) => (pattern.test(text) ? { value: text } : { message: `${quoted(text)} is no ${what}`, hint });
}

export const anyText: Read<string> = (text) => ({ value: text });
export const sha1: Read<string> = matching('SHA-1', /^[0-9a-f]{40}$/, 'write 40 hex digits, lower case');
export const sha256: Read<string> = matching('SHA-256', /^[0-9a-f]{64}$/, 'write 64 hex digits, lower case');
export const sha1OrNothing: Read<string> = matching(
  'SHA-1',
  /^(?:[0-9a-f]{40})?$/,
  'write 40 hex digits, lower case, or ""',
);
export const serial: Read<string> = matching(
  'serial number',
  /^[0-9A-F]{2}(?::[0-9A-F]{2})*$/,
  'write hex bytes with colons, upper case, e.g. 31:AF:45',
);
export const release: Read<string> = (text) => {
  try {
    parseRelease(text);
    return { value: text };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    return { message: error.message, hint: error.hint ?? 'write e.g. 11.5.1' };
  }
};
export const nodeName: Read<string> = matching(
  'node',
  /^\S{1,255}$/,
  'write the name of the node as the cluster file has it',
);
/** A step's list is kept in a file of its name. */
export const stepId: Read<string> = matching(
  'step id',
  /^\d{1,6}-[A-Za-z0-9._-]{1,73}$/,
  'write a number and a word, of letters, digits, - and ., e.g. 3-publish-ctl',
);
export const fileName: Read<string> = matching(
  'file name',
  /^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$/,
  'write e.g. CTLFile.tlv',
);

export const truth: Read<boolean> = (text) => {
  if (text === 'true' || text === 'false') return { value: text === 'true' };
  return { message: `${quoted(text)} is neither true nor false`, hint: 'write true or false' };
};

/** A whole number. */
export function whole(most: number): Read<number> {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value <= most) return { value };
    return { message: `${quoted(text)} is no whole number from 0 to ${most}`, hint: 'write digits only' };
  };
}

export const moment: Read<string> = (text) => {
  const isIso = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,3})?Z$/.test(text) && !Number.isNaN(Date.parse(text));
  if (isIso) return { value: text };
  return { message: `${quoted(text)} is no UTC time`, hint: 'write it as 2026-01-31T12:00:00Z' };
};

/** A newer version is told by the reader, in its own words. */
export const versionOne: Read<1> = (text) => {
  if (text === '1') return { value: 1 };
  if (/^[2-9]\d*$|^1\d+$/.test(text)) {
    return {
      message: `the plan is of version ${printable(text)}, and this etoken-bridge reads version 1`,
      hint: 'use the etoken-bridge that wrote the plan, or a newer one; or let `migrate plan` make the plan again',
    };
  }
  return { message: `${quoted(text)} is no version of plan files`, hint: 'write version: 1' };
};
