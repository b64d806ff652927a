import { parseHex, printable } from '../../bytes/index.js';
import { loadCluster } from '../../cluster/index.js';
import { InputError } from '../../errors.js';
import {
  diagnose,
  readPhoneLog,
  signersToAsk,
  type DiagnosisEvidence,
  type DiagnosisList,
  type HeldList,
} from '../../migration/index.js';
import { readCertificate } from '../certificates.js';
import { exitCode } from '../exit-code.js';
import { readInput } from '../files.js';
import type { Output } from '../output.js';
import type { DiagnoseOptions } from './diagnose.js';
import { describeDiagnosis, formatDiagnosis } from './diagnose-text.js';
import { askTvsServers, tvsEndpoints } from './diagnose-tvs.js';
import { loadHeldList } from './trust-list.js';

/** `diagnose`: exit 0 when nothing is wrong, 1 when something is. */
export async function runDiagnose(options: DiagnoseOptions, output: Output): Promise<number> {
  requireEvidence(options);
  // Before anything is read or asked: wrong usage must not cost a wait for a server.
  const servers = tvsEndpoints(options);
  const files = await readEvidence(options);
  const tvs = await askTvsServers(servers, signersToAsk(files), options, output);
  const diagnosis = diagnose({ ...files, tvs });
  output.result(formatDiagnosis(diagnosis), describeDiagnosis(diagnosis));
  return diagnosis.wrong ? exitCode.no : exitCode.done;
}

/** What may be given, and how to get it. */
const sources: readonly (readonly [options: string, source: string])[] = [
  ['--itl, --ctl FILE', 'what the TFTP server serves: etoken-bridge tftp get HOST ITLFile.tlv'],
  ['--held-itl, --held-ctl FILE', 'what the phone holds: a file of before, from a backup of the TFTP server'],
  [
    '--phone-itl-checksum HEX',
    'what the phone shows: Settings, Security Configuration, Trust List; none if there is none',
  ],
  ['--tvs HOST', 'the TVS server of the phone; or --tvs-certificate FILE, from the certificate page'],
  ['--log FILE', 'console log or status messages, from the web page of the phone; its alarms; the log of TVS'],
  ['--cluster FILE', 'the cluster file: etoken-bridge cluster init'],
  ['--configuration FILE', 'etoken-bridge tftp get HOST SEP<MAC>.cnf.xml.sgn'],
  ['--phone-verification failed', 'or passed, as the status messages of the phone say'],
  ['--old-key-backup yes', 'or no: whether a backup (DRS) has the CallManager key of before the renewal'],
];

/** @throws InputError `usage` when there is nothing to diagnose */
function requireEvidence(options: DiagnoseOptions): void {
  const { itl, ctl, heldItl, heldCtl, phoneItlChecksum, phoneCtlChecksum, configuration, cluster } = options;
  const { tvs, tvsCertificate, log, phoneVerification, oldKeyBackup } = options;
  const given = [itl, ctl, heldItl, heldCtl, phoneItlChecksum, phoneCtlChecksum, configuration, cluster];
  if ([...given, tvs, tvsCertificate, log, phoneVerification, oldKeyBackup].some((one) => one !== undefined)) return;
  throw new InputError('usage', 'nothing was given to diagnose', {
    hint: [
      'give what is at hand, any of:',
      ...sources.map(([option, source]) => `  ${option.padEnd(28)}  ${source}`),
    ].join('\n'),
  });
}

type FileEvidence = Omit<DiagnosisEvidence, 'tvs'>;

async function readEvidence(options: DiagnoseOptions): Promise<FileEvidence> {
  const optional = (path: string | undefined, what: string): Promise<Uint8Array> | undefined =>
    path === undefined ? undefined : readInput(path, what);
  const { phoneVerification, oldKeyBackup, securityByDefault } = options;
  const held = { ctl: await readHeld(options, 'ctl'), itl: await readHeld(options, 'itl') };
  const tvsCertificates = [];
  for (const path of options.tvsCertificate ?? []) {
    tvsCertificates.push({ name: path, certificate: (await readCertificate(path)).der });
  }
  const logs = [];
  for (const path of options.log ?? []) {
    logs.push(readPhoneLog(new TextDecoder().decode(await readInput(path, 'log')), path));
  }
  return {
    served: {
      ctl: await optional(options.ctl, 'CTL of the server'),
      itl: await optional(options.itl, 'ITL of the server'),
    },
    held,
    securityByDefault,
    configuration: await optional(options.configuration, 'signed configuration'),
    cluster: options.cluster === undefined ? undefined : await loadCluster(options.cluster),
    tvsCertificates,
    logs,
    verificationFailed: phoneVerification === undefined ? undefined : phoneVerification === 'failed',
    oldKeyBackup: oldKeyBackup === undefined ? undefined : oldKeyBackup === 'yes',
    now: Math.floor(Date.now() / 1000),
  };
}

/** What the phone holds: a file, or a checksum. @throws InputError `usage` */
async function readHeld(options: DiagnoseOptions, kind: DiagnosisList): Promise<HeldList | undefined> {
  const [path, checksum] =
    kind === 'ctl' ? [options.heldCtl, options.phoneCtlChecksum] : [options.heldItl, options.phoneItlChecksum];
  if (path !== undefined && checksum !== undefined) {
    throw new InputError('usage', `--held-${kind} and --phone-${kind}-checksum say the same`, {
      hint: `give --held-${kind} alone: the checksum is made from the file`,
    });
  }
  if (path !== undefined) return { kind: 'known', list: await loadHeldList(path, kind === 'ctl' ? 'CTL' : 'ITL') };
  if (checksum === undefined) return undefined;
  if (checksum === 'none') return { kind: 'none' };
  const bytes = parseHex(checksum.trim());
  if (bytes?.length === 20 || bytes?.length === 16) {
    return { kind: 'unknown', digest: Buffer.from(bytes).toString('hex') };
  }
  throw new InputError('usage', `--phone-${kind}-checksum ${printable(checksum)} is no checksum of a list`, {
    hint: 'write the 40 hex digits of SHA-1 or the 32 of MD5, as the phone shows them, or none',
  });
}
