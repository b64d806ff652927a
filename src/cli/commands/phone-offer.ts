import { basename } from 'node:path';
import { FormatError } from '../../errors.js';
import { LabPhone, socketTransport, type PhoneTransport } from '../../lab/index.js';
import { bootFiles, type Decision } from '../../phone/index.js';
import { decodeSignedHeader } from '../../signed-file/index.js';
import { tftpPort } from '../../tftp/index.js';
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
  const transport = socketTransport({ host: 'localhost', port: tftpPort });
  const decisions: { readonly file: string; readonly decision: Decision }[] = [];
  try {
    for (const file of files) {
      decisions.push({ file, decision: await offer(phone, file, transport) });
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

type Offered =
  | { readonly kind: 'ctl' | 'itl' }
  | { readonly kind: 'signed'; readonly fileName: string }
  | { readonly kind: 'unsigned' };

async function offer(phone: LabPhone, file: string, transport: PhoneTransport): Promise<Decision> {
  const bytes = await readInput(file, 'file');
  const offered = classify(bytes, basename(file));
  switch (offered.kind) {
    case 'signed':
      return phone.offerConfiguration(nameOf(phone, offered.fileName), bytes, transport);
    case 'unsigned':
      return phone.offerUnsigned(basename(file), bytes);
    default:
      return phone.offer(offered.kind, bytes, transport);
  }
}

/** A configuration is offered under the name that this phone asks for; any other file under its own. */
function nameOf(phone: LabPhone, fileName: string): string {
  const own = bootFiles(phone.state).find(({ kind }) => kind === 'signed-configuration')?.names[0];
  return own !== undefined && /^SEP[0-9A-F]{12}\.cnf\.xml/i.test(fileName) ? own : fileName;
}

/** FILENAME says what a signed file is; the file's own name where there is no header to read. */
function classify(bytes: Uint8Array, name: string): Offered {
  try {
    const { fileName } = decodeSignedHeader(bytes);
    return listKind(fileName) ?? { kind: 'signed', fileName };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    // A damaged file is rejected by the rule for what it should have been.
    return listKind(name) ?? (name.endsWith('.sgn') ? { kind: 'signed', fileName: name } : { kind: 'unsigned' });
  }
}

function listKind(name: string): Offered | undefined {
  const kind = trustListKind(name);
  return kind === undefined ? undefined : { kind: kind === 'CTL' ? 'ctl' : 'itl' };
}
