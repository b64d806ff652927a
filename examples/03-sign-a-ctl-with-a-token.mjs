// Signs a CTL with a token: a first one for a cluster, signed over SHA-1 as every phone takes it, and the same list
// signed again over SHA-512. The key stays on the token; only digests travel to it.
//
//   node examples/03-sign-a-ctl-with-a-token.mjs [CLUSTER.yaml FOLDER]
//
// The lists are written to FOLDER. Without arguments a cluster to practise on is made, and all is gone with the run.
// For a real cluster give its cluster file; `etoken-bridge cluster init` writes one to fill in.
//
// For real tokens set one of the first two and the third, else two soft tokens are made for the run:
//   ETOKEN_BRIDGE_MODULE    the vendor's PKCS#11 library
//   ETOKEN_BRIDGE_TOKEN     the token that signs, by its label or its pkcs11: URI; the library is found by itself
//   ETOKEN_BRIDGE_PIN_FILE  a file with the PIN of that token
// Two tokens must be plugged in, of which one signs: a list with a single token is refused (check A5).

import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DeviceError, EtokenBridgeError, RefusalError, verifyTrustList } from 'etoken-bridge';
import { createLabCluster, loadCluster } from 'etoken-bridge/cluster';
import { createTokenCtl, signCtl } from 'etoken-bridge/ctl';
import { listSastCertificates, openTokenSigner, parseTokenUri, readPinFile } from 'etoken-bridge/token';
import { formatName } from 'etoken-bridge/x509';
import { createSastToken, createSoftHsm, createStandInAuthority } from 'softhsm-config';

const temporary = mkdtempSync(join(tmpdir(), 'etoken-bridge-'));
try {
  const [clusterFile = await makeCluster(), folder = temporary] = process.argv.slice(2);
  const cluster = await loadCluster(clusterFile);
  const { environment, uri, pinFile } = await findToken();

  // Certificates can be read without a PIN. The list names all tokens that are plugged in.
  const plugged = await listSastCertificates({ environment });
  const tokens = plugged.map(({ certificate }) => certificate);
  for (const { certificate, token } of plugged) console.log(`${token.label}: ${formatName(certificate.subject)}`);

  // The PIN is asked for when the token was found, and tried once.
  const pin = async () => (pinFile === undefined ? undefined : (await readPinFile(pinFile)).pin);
  const signer = await openTokenSigner({ environment, uri, pin });
  try {
    console.log(`signing with ${signer.token.label}, serial ${signer.token.serialNumber}\n`);
    const now = new Date();
    const options = { timestamp: Math.floor(now.getTime() / 1000), now };
    const first = await createTokenCtl(cluster, tokens, signer, options);
    await writeWhole(join(folder, 'CTLFile.tlv'), first);
    const second = await signCtl(first.list, signer, { ...options, digestAlgorithm: 'sha512' });
    await writeWhole(join(folder, 'CTLFile-sha512.tlv'), second);
  } finally {
    // After the files are on the disk: the libraries of some vendors crash when they are unloaded.
    await signer.close();
  }
} catch (error) {
  if (!(error instanceof EtokenBridgeError) && !(error instanceof Error && 'syscall' in error)) throw error;
  console.error(`error: ${error instanceof RefusalError ? `refused (${error.code}): ` : ''}${error.message}`);
  if ('hint' in error && error.hint !== undefined) console.error(`hint: ${error.hint}`);
  process.exitCode = error instanceof DeviceError ? 3 : error instanceof RefusalError ? 4 : 2;
} finally {
  rmSync(temporary, { recursive: true, force: true });
}

/**
 * Writes beside the place and renames, so that nobody ever finds half a list there.
 *
 * @param {string} path
 * @param {import('etoken-bridge/ctl').CtlResult} result
 */
async function writeWhole(path, { list, notices }) {
  const beside = `${path}.${process.pid}.part`;
  try {
    const file = await open(beside, 'wx');
    await file.writeFile(list.bytes);
    await file.sync();
    await file.close();
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
  const { verified } = verifyTrustList(list);
  console.log(`${path}: ${list.bytes.length} bytes, ${list.records.length} records, ${list.header.digestAlgorithm}`);
  console.log(`  signed by ${list.header.signerName}, ${verified ? 'verified' : 'not verified'}`);
  for (const { check, message } of notices) console.log(`  ${check}: ${message}`);
}

/** The token that signs: the one that the environment names, or the first of two soft ones. A label is a URI too. */
async function findToken() {
  const { ETOKEN_BRIDGE_MODULE: module, ETOKEN_BRIDGE_TOKEN: wanted, ETOKEN_BRIDGE_PIN_FILE: pinFile } = process.env;
  if (module === undefined && wanted === undefined) return makeSoftTokens();
  const named = wanted === undefined ? {} : { token: wanted };
  return { environment: process.env, uri: wanted?.startsWith('pkcs11:') ? parseTokenUri(wanted) : named, pinFile };
}

async function makeSoftTokens() {
  const softHsm = await createSoftHsm(join(temporary, 'softhsm'));
  const pin = String(randomInt(100_000, 1_000_000));
  const pinFile = join(temporary, 'pin');
  writeFileSync(pinFile, pin, { mode: 0o600 });
  const request = { pin, soPin: pin, bits: /** @type {const} */ (2048), authority: await createStandInAuthority() };
  const first = await createSastToken(softHsm, { label: 'soft-etoken-1', ...request });
  await createSastToken(softHsm, { label: 'soft-etoken-2', ...request });
  const environment = { ...process.env, ...softHsm.environment, ETOKEN_BRIDGE_MODULE: softHsm.module };
  return { environment, uri: parseTokenUri(first.token.uri), pinFile };
}

async function makeCluster() {
  const services = /** @type {const} */ (['CallManager', 'TFTP', 'CAPF', 'TVS']);
  const nodes = [{ name: 'cucm-pub', address: '10.48.47.153', services }];
  const directory = join(temporary, 'cluster');
  const request = {
    directory,
    release: '11.5.1',
    securityMode: /** @type {const} */ ('mixed'),
    nodes,
    now: new Date(),
  };
  return (await createLabCluster(request)).clusterFile;
}
