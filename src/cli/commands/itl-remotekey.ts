import { existsSync, promises } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { equalBytes, printable } from '../../bytes/index.js';
import { loadCluster, nodeCertificate, parseClusterFile, publisherOf, type Cluster } from '../../cluster/index.js';
import { FormatError, InputError, ProofError, RefusalError } from '../../errors.js';
import { resetItl } from '../../itl/index.js';
import { fetchOverSftp, type SftpServer } from '../../sftp/index.js';
import { createSoftwareSigner, type Signer } from '../../signer/index.js';
import { recordFunction, recordHolds } from '../../trust-list/index.js';
import { decodePkcs12, formatName, looksLikePkcs12, type Certificate, type Pkcs12 } from '../../x509/index.js';
import { checkOutput, readInput, type WriteRequest, type WrittenFile } from '../files.js';
import { runReset, type ResetRequest } from '../itl-reset.js';
import type { Output } from '../output.js';
import { readPassword } from '../password.js';
import { readRecoveryPassword } from '../recovery-password.js';
import { inWordsOfOptions, sftpInputs, sftpServer } from '../sftp.js';
import type { SftpOptions } from '../sftp-options.js';
import { writeTogether } from './cluster-files.js';
import { certificateFile, checkKeyFile, formatKey } from './cluster-key-files.js';
import { ctlOptions } from './ctl-build.js';
import { devicesOf, itlInputs } from './itl-create.js';
import type { ItlOptions } from './itl-options.js';
import { loadTrustList } from './trust-list.js';

/** The options of `itl reset remotekey`. */
export interface RemoteKeyOptions extends ItlOptions, SftpOptions {
  readonly recoveryPasswordFile?: string;
}

/** An ITLRecovery.p12 is a few thousand bytes. */
const largestRecoveryFile = 256 * 1024;

/** Where the cluster file says that the local key and its certificate are. */
interface LocalPlaces {
  readonly keyPath: string;
  readonly certificatePath: string;
  readonly present: Certificate;
}

/**
 * `itl reset remotekey`: fetches the recovery key, proves that it is the one of the list, puts it in the place of the
 * local one, and resets. What cannot be done is found out before anything is fetched; nothing is replaced before the
 * list was signed with the key once, and all of it is put back when the reset fails.
 */
export async function resetWithRemoteKey(
  place: { readonly host: string; readonly user: string; readonly path: string },
  options: RemoteKeyOptions,
  output: Output,
): Promise<number> {
  const { cluster: clusterFile = '', out = '', itl } = options;
  const cluster = await loadCluster(clusterFile);
  const places = await localPlaces(cluster, clusterFile);
  const { timestamp, digestAlgorithm } = ctlOptions(options);
  const own = [options.recoveryPasswordFile].filter((path) => path !== undefined && path !== '-') as string[];
  const inputs = [...(await itlInputs(undefined, options)), ...own, ...sftpInputs(options)];
  const devices = await devicesOf(options);
  const keyForm = await formOfKey(places.keyPath, options.keyPasswordFile);
  const server = await sftpServer(place.host, place.user, options);
  const fetched = await fetchKey(server, place.path, options, output);
  const recovery = createSoftwareSigner(fetched.opened.certificate, fetched.opened.key);
  await refuseUnfit({ cluster, clusterFile, itl, timestamp, place }, recovery);
  const undo = await replaceLocalKey(places, keyForm, fetched, output);
  try {
    const request: ResetRequest = {
      ...{ cluster, clusterFile, recovery, itl, out, timestamp, digestAlgorithm, devices, inputs },
    };
    return await runReset(request, output);
  } catch (error) {
    await undo();
    output.warning('the local key was put back');
    throw error;
  }
}

/** @throws InputError `usage` for a key on a token, `missing-option` where the cluster file names none */
async function localPlaces(cluster: Cluster, clusterFile: string): Promise<LocalPlaces> {
  const publisher = publisherOf(cluster);
  const present = nodeCertificate(publisher, 'ITLRecovery');
  const reference = publisher.keys.ITLRecovery;
  const name = printable(publisher.name);
  if (reference?.kind === 'token') {
    throw new InputError('usage', `the ITLRecovery key of ${name} is on a token: there is no local key to replace`, {
      hint: 'sign with it: "itl reset localkey" does so; nothing was fetched',
    });
  }
  if (reference === undefined) {
    throw new InputError('missing-option', `the cluster file names no key for ITLRecovery of ${name}`, {
      hint: 'add "ITLRecovery" to the keys of this node, with the path that the key is to get; nothing was fetched',
    });
  }
  const text = new TextDecoder().decode(await readInput(clusterFile, 'cluster file'));
  const certificate = parseClusterFile(text, clusterFile).nodes[0]?.certificates.ITLRecovery ?? '';
  const certificatePath = resolve(dirname(clusterFile), certificate);
  for (const path of [reference.path, certificatePath]) await checkOutput({ path });
  return { keyPath: reference.path, certificatePath, present };
}

/** How the local key is kept, and so how the new one will be. */
type KeyForm = { readonly kind: 'pkcs12' } | { readonly kind: 'pem'; readonly password: string | undefined };

/** @throws FormatError `bad-password` for an encrypted key without its password: the new one could not be encrypted */
async function formOfKey(path: string, passwordFile: string | undefined): Promise<KeyForm> {
  if (!existsSync(path))
    return /\.(?:p12|pfx)$/i.test(path) ? { kind: 'pkcs12' } : { kind: 'pem', password: undefined };
  if (looksLikePkcs12(await readInput(path, 'key'))) return { kind: 'pkcs12' };
  const password = await readPassword(passwordFile);
  return { kind: 'pem', password: (await checkKeyFile(path, password)) ? password : undefined };
}

interface FetchedKey {
  /** The file as the server has it. */
  readonly bytes: Uint8Array;
  readonly opened: Pkcs12;
}

async function fetchKey(
  server: SftpServer,
  path: string,
  options: RemoteKeyOptions,
  output: Output,
): Promise<FetchedKey> {
  const bytes = await inWordsOfOptions(options, () => fetchOverSftp({ ...server, path, largest: largestRecoveryFile }));
  const name = `${server.user}@${server.host}:${path}`;
  output.note(`fetched ${name}: ${String(bytes.length)} bytes`);
  const password = await readRecoveryPassword(options.recoveryPasswordFile);
  try {
    return { bytes, opened: await decodePkcs12(bytes, password) };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    const hint =
      error.code === 'bad-password'
        ? 'give the file with the right password as --recovery-password-file FILE; nothing was replaced'
        : 'is it the ITLRecovery.p12 that the cluster gave out? Nothing was replaced';
    // Nothing else of the error: it may be about the key.
    throw new InputError('file-unreadable', `${printable(name)} cannot be used: ${error.message}`, { hint });
  }
}

interface Fit {
  readonly cluster: Cluster;
  readonly clusterFile: string;
  readonly itl: string | undefined;
  readonly timestamp: number;
  readonly place: { readonly host: string; readonly path: string };
}

/**
 * Which certificate must the key be of? Phones look the signer up by its issuer and serial in the ITL that they hold,
 * and the new list needs a function-0 record of it too, or it verifies nowhere (A9). So it is the list that is signed
 * again which decides: with --itl the record in that list, which may be of another certificate than the cluster file
 * names, as after a rebuilt publisher; without it the list is made from the cluster file, and so is the answer.
 *
 * @throws RefusalError `A9`
 */
async function refuseUnfit({ cluster, clusterFile, itl, timestamp, place }: Fit, recovery: Signer): Promise<void> {
  const { certificate } = recovery;
  const whose = `the key in ${printable(place.path)} on ${printable(place.host)} is that of ${printable(formatName(certificate.subject))}`;
  const nothing = 'nothing was replaced';
  if (itl === undefined) {
    if (equalBytes(nodeCertificate(publisherOf(cluster), 'ITLRecovery').der, certificate.der)) return;
    throw new RefusalError('A9', `${whose}, and ${printable(clusterFile)} names another ITLRecovery certificate`, {
      hint: `${nothing}; when phones hold an ITL with this certificate, give that ITL with --itl FILE`,
    });
  }
  const present = await loadTrustList(itl);
  const isServer = present.records.some(
    (record) =>
      (record.function === recordFunction.tftp || record.function === recordFunction.ccmTftp) &&
      recordHolds(record, certificate.der),
  );
  if (isServer) {
    throw new RefusalError('A9', `${whose}, which signs as a server in ${printable(itl)}: it is not the recovery key`, {
      hint: `${nothing}; take the ITLRecovery.p12 that the cluster gave out`,
    });
  }
  try {
    await resetItl(present, recovery, { timestamp });
  } catch (error) {
    if (!(error instanceof ProofError)) throw error;
    throw new RefusalError('A9', `${whose}, and ${printable(itl)} has no record of it: ${printable(error.message)}`, {
      hint: `${nothing}; take the key of the ITLRecovery record in the list, or with --itl the list that phones hold`,
    });
  }
}

/** Writes key and certificate where the cluster file says. @returns what puts the old ones back. */
async function replaceLocalKey(
  { keyPath, certificatePath, present }: LocalPlaces,
  form: KeyForm,
  { bytes, opened }: FetchedKey,
  output: Output,
): Promise<() => Promise<void>> {
  const keyBytes = form.kind === 'pkcs12' ? bytes : formatKey(opened, form.password);
  const isOther = !equalBytes(present.der, opened.certificate.der);
  const requests: readonly WriteRequest[] = [
    { path: keyPath, updates: keyPath, bytes: keyBytes, mode: 0o600 },
    ...(isOther ? [await certificateFile(certificatePath, [opened.certificate])] : []),
  ];
  const wasThere = new Set(requests.map(({ path }) => path).filter((path) => existsSync(path)));
  const restoreMode = await closeToOthers(keyPath);
  const written = await writeTogether(requests).catch(async (error: unknown) => {
    await restoreMode();
    throw error;
  });
  for (const { path, backup } of written) {
    output.note(`${path}${backup === undefined ? '' : `, the old one is ${backup}`}`);
  }
  if (form.kind === 'pkcs12') output.note('the local key is that file now, and opens with its password');
  return async () => {
    for (const file of [...written].reverse()) await putBack(file, wasThere.has(file.path));
    await restoreMode();
  };
}

/**
 * What takes the place of a file has its permissions, and the old one is kept with them: a key that others could read
 * is theirs no more.
 *
 * @returns what gives the file its permissions back.
 */
async function closeToOthers(path: string): Promise<() => Promise<void>> {
  if (!existsSync(path)) return () => Promise.resolve();
  const { mode } = await promises.stat(path);
  await promises.chmod(path, 0o600).catch((error: unknown) => {
    throw new InputError('file-unwritable', `${printable(path)} cannot be closed to others: it has another owner`, {
      hint: 'let its owner run the command; nothing was replaced',
      cause: error,
    });
  });
  return () => promises.chmod(path, mode & 0o7777);
}

async function putBack({ path, backup }: WrittenFile, wasThere: boolean): Promise<void> {
  const target = await promises.realpath(path);
  if (backup !== undefined) {
    await promises.rename(backup, target);
    // Only where nothing else is in it.
    await promises.rmdir(dirname(backup)).catch(() => undefined);
  } else if (!wasThere) {
    await promises.unlink(target);
  }
}
