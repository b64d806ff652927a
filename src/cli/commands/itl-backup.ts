import { promises } from 'node:fs';
import { join } from 'node:path';
import { printable } from '../../bytes/index.js';
import {
  certificateSha1,
  encodeRecoveryKey,
  loadCluster,
  loadPrivateKey,
  nodeCertificate,
  publisherOf,
  recoveryKeyFile,
  withPasswordChange,
  withRecoveryBackup,
  type Cluster,
} from '../../cluster/index.js';
import { InputError } from '../../errors.js';
import { putOverSftp } from '../../sftp/index.js';
import { formatName, formatSerialNumber, type Certificate, type Pkcs12Encryption } from '../../x509/index.js';
import { exitCode } from '../exit-code.js';
import { checkOutput, makeFolder, readInput, writeOutput, type WrittenFile } from '../files.js';
import { inputFiles } from '../inputs.js';
import type { Output, OutputOptions } from '../output.js';
import { readPassword } from '../password.js';
import { readNewRecoveryPassword } from '../recovery-password.js';
import { inWordsOfOptions, parseRemotePlace, sftpInputs, sftpServer } from '../sftp.js';
import type { SftpOptions } from '../sftp-options.js';

/** The options of `itl backup-key`. */
export interface BackupOptions extends OutputOptions, SftpOptions {
  readonly cluster: string;
  readonly out?: string;
  readonly sftp?: string;
  readonly keyPasswordFile?: string;
  readonly recoveryPasswordFile?: string;
  readonly encryption?: Pkcs12Encryption;
  readonly passwordChanged?: boolean;
}

/** A file on a server. */
interface RemoteFile {
  readonly host: string;
  readonly user: string;
  readonly path: string;
  /** The new name of the file that was there before. */
  readonly backup: string | null;
}

/** Where a backup was put. */
interface Kept {
  /** On this machine. */
  readonly file: WrittenFile | undefined;
  readonly remote: RemoteFile | undefined;
}

/** `itl backup-key`: writes the recovery key with a password, and notes it in the cluster file. */
export async function backUpKey(options: BackupOptions, output: Output): Promise<number> {
  const { cluster: clusterFile, encryption = 'aes-256' } = options;
  if (options.passwordChanged === true) return notePasswordChange(options, output);
  if ((options.out === undefined) === (options.sftp === undefined)) {
    throw new InputError('usage', 'a backup goes to one place', {
      hint: 'give either --out FOLDER or --sftp USER@HOST:PATH',
    });
  }
  const cluster = await loadCluster(clusterFile);
  const certificate = nodeCertificate(publisherOf(cluster), 'ITLRecovery');
  const inputs = await inputsOf(options);
  await checkOutput({ path: clusterFile, updates: clusterFile });
  const key = await readKey(cluster, certificate, options);
  const put = await prepare(options, inputs);
  const password = await readNewRecoveryPassword(options.recoveryPasswordFile);
  const bytes = await encodeRecoveryKey(key, certificate, password, encryption);
  const kept = await put(bytes);
  const time = new Date();
  try {
    const note = await noteBackup(clusterFile, certificate, time);
    report({ certificate, encryption, length: bytes.length, time, kept, note }, output);
  } catch (error) {
    output.warning(`the backup was written to ${placeOf(kept)}, and could not be noted in the cluster file`);
    throw error;
  }
  return exitCode.done;
}

/** On the file as it is now: somebody may have changed it while the password was asked for. */
async function noteBackup(path: string, certificate: Certificate, time: Date): Promise<WrittenFile> {
  const noted = withRecoveryBackup(await readText(path), { time, sha1: certificateSha1(certificate) }, path);
  return writeOutput({ path, updates: path, bytes: new TextEncoder().encode(noted) });
}

function placeOf({ file, remote }: Kept): string {
  return remote === undefined ? (file?.path ?? '') : `${remote.user}@${remote.host}:${remote.path}`;
}

async function readText(path: string): Promise<string> {
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(await readInput(path, 'cluster file'));
}

/** Every file that the command reads. */
async function inputsOf(options: BackupOptions): Promise<readonly string[]> {
  const passwords = [options.recoveryPasswordFile].filter((path) => path !== undefined && path !== '-') as string[];
  const { cluster, keyPasswordFile } = options;
  const named = keyPasswordFile === undefined ? { cluster } : { cluster, keyPasswordFile };
  return [...(await inputFiles(undefined, named)), cluster, ...passwords, ...sftpInputs(options)];
}

/** @throws InputError `usage` for a key that is on a token, `missing-option` for one that is nowhere */
async function readKey(cluster: Cluster, certificate: Certificate, { keyPasswordFile }: BackupOptions) {
  const { name, keys } = publisherOf(cluster);
  const reference = keys.ITLRecovery;
  if (reference?.kind === 'file') {
    return loadPrivateKey(reference, certificate, await readPassword(keyPasswordFile));
  }
  if (reference === undefined) {
    throw new InputError('missing-option', `the cluster file names no key for ITLRecovery of ${printable(name)}`, {
      hint: 'add "ITLRecovery" to the keys of this node; on a cluster: file get tftp ITLRecovery.p12',
    });
  }
  throw new InputError('usage', `the ITLRecovery key of ${printable(name)} is on a token, and does not leave it`, {
    hint: 'keep the key on a second token; then note that in the cluster file as recoveryBackup, with its time and sha1',
  });
}

/** Looks at the place before any password is asked for. @returns what puts the backup there. */
async function prepare(
  options: BackupOptions,
  inputs: readonly string[],
): Promise<(bytes: Uint8Array) => Promise<Kept>> {
  if (options.sftp !== undefined) {
    const { user, host, path } = parseRemotePlace(options.sftp);
    const server = await sftpServer(host, user, options);
    return async (bytes) => {
      const request = { ...server, path: path === '' ? '.' : path, name: recoveryKeyFile, bytes };
      const written = await inWordsOfOptions(options, () => putOverSftp(request));
      return { file: undefined, remote: { host, user, path: written.path, backup: written.backup ?? null } };
    };
  }
  const { out = '' } = options;
  await makeFolder(out, 'give another --out');
  const path = join(out, recoveryKeyFile);
  await checkOutput({ path, inputs });
  // By trying, with the permissions that it has.
  await restrict(path, (mode) => mode);
  return async (bytes) => {
    await restrict(path, () => 0o600);
    return { file: await writeOutput({ path, inputs, bytes, mode: 0o600 }), remote: undefined };
  };
}

/**
 * Sets the permissions of an earlier backup, where one is there: what takes the place of a file has its permissions.
 *
 * @throws InputError `file-unwritable` when it is not the user's to change: others could read the new key.
 */
async function restrict(path: string, change: (mode: number) => number): Promise<void> {
  const present = await promises.stat(path).catch(() => undefined);
  if (present === undefined) return;
  const mode = present.mode & 0o777;
  try {
    await promises.chmod(path, change(mode));
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'it failed';
    const reason = code === 'EPERM' ? 'it belongs to another user' : code;
    throw new InputError(
      'file-unwritable',
      `the permissions of ${printable(path)} cannot be changed: ${reason}, and the new backup would have those of the old one`,
      { hint: 'let the owner of the file move it away, or give another --out; nothing was written', cause: error },
    );
  }
}

async function notePasswordChange(options: BackupOptions, output: Output): Promise<number> {
  const { cluster: clusterFile, out, sftp } = options;
  if (out !== undefined || sftp !== undefined) {
    throw new InputError('usage', '--password-changed only notes that the password was changed', {
      hint: 'run it without --out and --sftp; a backup with the new password clears the note',
    });
  }
  const time = new Date();
  const bytes = new TextEncoder().encode(withPasswordChange(await readText(clusterFile), time, clusterFile));
  const note = await writeOutput({ path: clusterFile, updates: clusterFile, bytes });
  output.result(`Noted: the password of ITLRecovery.p12 was changed.\n`, {
    passwordChanged: formatSeconds(time),
    clusterFile: { path: note.path, backup: note.backup ?? null },
  });
  output.note('next: "itl backup-key" with the new password; until then "cluster check" warns');
  return exitCode.done;
}

function report(
  done: {
    readonly certificate: Certificate;
    readonly encryption: Pkcs12Encryption;
    readonly length: number;
    readonly time: Date;
    readonly kept: Kept;
    readonly note: WrittenFile;
  },
  output: Output,
): void {
  const { certificate, encryption, length, kept, note, time } = done;
  const { file, remote } = kept;
  const lines = [
    'Number of files affected: 1',
    `Total size in Bytes: ${String(length)}`,
    `Total size in Kbytes: ${formatKbytes(length)}`,
    'Transfer completed.',
  ];
  output.result(`${lines.join('\n')}\n`, {
    certificate: {
      subject: formatName(certificate.subject),
      serialNumber: formatSerialNumber(certificate.serialNumber).toUpperCase(),
      sha1: certificateSha1(certificate).toUpperCase(),
      keyBits: certificate.keyBits,
      notAfter: certificate.notAfter.toISOString(),
    },
    encryption,
    length,
    time: formatSeconds(time),
    file: file === undefined ? null : { path: file.path, backup: file.backup ?? null },
    sftp: remote ?? null,
    clusterFile: { path: note.path, backup: note.backup ?? null },
  });
  const backup = file?.backup ?? remote?.backup ?? undefined;
  const old =
    backup === undefined ? '' : `, the old one is ${printable(backup)}${remote === undefined ? '' : ' there'}`;
  output.note(`${placeOf(kept)}: the key of ${formatName(certificate.subject)}, ${encryption}${old}`);
  output.note(`noted in ${note.path}; keep the file and its password apart, and away from the cluster`);
}

function formatSeconds(time: Date): string {
  return time.toISOString().replace(/\.\d+Z$/, 'Z');
}

/** As clusters print it: with at most seven digits behind the point, and always one. */
function formatKbytes(length: number): string {
  const text = String(Number((length / 1024).toPrecision(8)));
  return text.includes('.') ? text : `${text}.0`;
}
