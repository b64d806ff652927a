import { basename } from 'node:path';

/** Names that are never signed, and why. */
export interface PassedOverName {
  readonly pattern: RegExp;
  readonly why: string;
}

/** What Node.js puts in the place of bytes that are not UTF-8. */
const replacement = '\uFFFD';

/**
 * What lies in a folder for a moment only, or is signed already. Names are compared without regard to case. The same
 * table stands in the README.
 */
export const passedOverNames: readonly PassedOverName[] = [
  { pattern: /\.sgn$/, why: 'signed already' },
  { pattern: /^(ctl|itl).*\.tlv$/, why: 'a trust list, signed already' },
  // .x.swp of vi, .#x and .goutputstream-* of editors, .x.Ab12Cd of rsync, .x.part of this command, .nfs* of NFS.
  { pattern: /^\./, why: 'hidden' },
  { pattern: /~$|^~|^#.*#$|\.(bak|orig)$/, why: 'a copy of an editor' },
  { pattern: /\.(tmp|temp|sw[a-z])$|___jb_(tmp|old)___$/, why: 'temporary' },
  { pattern: /\.(part|partial|filepart|crdownload)$/, why: 'on its way here' },
  // vi tries with such a name whether it may write into the folder: 4913, and 123 more each time it is taken.
  { pattern: /^(4913|5036|5159|5282|5405)$/, why: 'temporary' },
  { pattern: new RegExp(replacement), why: 'its name is not UTF-8' },
];

/** Why a file of this name is not signed; `undefined` for those that are. */
export function whyPassedOver(path: string): string | undefined {
  const name = basename(path).toLowerCase();
  return passedOverNames.find(({ pattern }) => pattern.test(name))?.why;
}

/** Whether a name was not UTF-8: no header can hold it. */
export function isNotUtf8(name: string): boolean {
  return name.includes(replacement);
}

/** Whether nothing in a folder of this name is signed. */
export function isFolderPassedOver(path: string): boolean {
  const name = basename(path);
  return name.startsWith('.') || name === 'backups' || name.includes('\uFFFD');
}
