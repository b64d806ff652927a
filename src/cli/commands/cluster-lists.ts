import { formatHex, printable } from '../../bytes/index.js';
import { type CheckedList } from '../../cluster/index.js';
import { ctlMode, isEmptied, tokenRecords } from '../../ctl/index.js';
import { FormatError, InputError } from '../../errors.js';
import { decodeTrustList, trustListKind, type TrustList } from '../../trust-list/index.js';
import { readInput } from '../files.js';

/**
 * A list as it is looked at beside the cluster.
 *
 * @throws InputError when there is no such file, or when it says that it is a list of the other kind.
 */
export async function examineList(path: string, kind: 'CTL' | 'ITL'): Promise<CheckedList> {
  const bytes = await readInput(path, kind);
  let list: TrustList;
  try {
    list = decodeTrustList(bytes);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return { kind: 'malformed', path, reason: `is no trust list: ${error.message}` };
  }
  const named = trustListKind(list.header.fileName);
  if (named !== undefined && named !== kind) {
    throw new InputError('usage', `${printable(path)} is ${withArticle(named)}, and ${withArticle(kind)} is wanted`, {
      hint: 'the two files may have been mixed up',
    });
  }
  if (kind === 'ITL') return { kind, path, list };
  const tokens = tokenRecords(list).flatMap(({ publicKey }) => (publicKey === undefined ? [] : [formatHex(publicKey)]));
  return { kind, path, list, mode: ctlMode(list), emptied: isEmptied(list), tokens: new Set(tokens).size };
}

function withArticle(kind: 'CTL' | 'ITL'): string {
  return kind === 'CTL' ? 'a CTL' : 'an ITL';
}
