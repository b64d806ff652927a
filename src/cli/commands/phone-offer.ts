import { basename } from 'node:path';
import { FormatError } from '../../errors.js';
import { LabPhone, socketTransport } from '../../lab/index.js';
import type { Decision } from '../../phone/index.js';
import { decodeSignedHeader } from '../../signed-file/index.js';
import { trustListKind } from '../../trust-list/index.js';
import { exitCode } from '../exit-code.js';
import { readInput } from '../files.js';
import type { Output } from '../output.js';
import { describeDecision, describedPhone, formatDecision } from '../virtual-phone.js';
import type { PhoneOptions } from './phone.js';

/** `phone offer`. */
export async function offerFiles(files: readonly string[], options: PhoneOptions, output: Output): Promise<number> {
  const phone = new LabPhone(await describedPhone(options), () => Math.floor(Date.now() / 1000));
  // It asks TVS only: the files are here.
  const transport = socketTransport({ host: 'localhost', port: 69 });
  const decisions: { readonly file: string; readonly decision: Decision }[] = [];
  try {
    for (const file of files) {
      const bytes = await readInput(file, 'file');
      const kind = kindOf(bytes, file);
      const decision =
        kind === 'configuration'
          ? await phone.offerConfiguration(basename(file), bytes, transport)
          : await phone.offer(kind, bytes, transport);
      decisions.push({ file, decision });
    }
  } finally {
    await transport.close();
  }
  output.result(decisions.map(({ file, decision }) => formatDecision(file, decision)).join(''), {
    accepted: decisions.every(({ decision }) => decision.accepted),
    decisions: decisions.map(({ file, decision }) => describeDecision(file, decision)),
  });
  return decisions.every(({ decision }) => decision.accepted) ? exitCode.done : exitCode.no;
}

/** What a phone would have asked for: FILENAME says what a list is, the file's own name where it says nothing. */
function kindOf(bytes: Uint8Array, path: string): 'ctl' | 'itl' | 'configuration' {
  const named = (name: string): 'ctl' | 'itl' | undefined => {
    const kind = trustListKind(name);
    return kind === undefined ? undefined : kind === 'CTL' ? 'ctl' : 'itl';
  };
  try {
    return named(decodeSignedHeader(bytes).fileName) ?? 'configuration';
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    // A phone rejects it, and says so: what is asked here is only which rule does.
    return named(basename(path)) ?? 'configuration';
  }
}
