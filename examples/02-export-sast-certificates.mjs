// Lists the tokens that are plugged in and the SAST certificates on them, and exports these: one .cer file each, ready
// for the upload to the cluster's Phone-SAST-trust. No PIN is needed; with one, private keys can be seen as well.
//
//   node examples/02-export-sast-certificates.mjs [FOLDER]
//
// FOLDER gets the files; without it they are written to a temporary folder, and are gone with it.
//
// For real tokens set one of these, else two soft tokens are made for the run:
//   ETOKEN_BRIDGE_MODULE    the vendor's PKCS#11 library
//   ETOKEN_BRIDGE_TOKEN     one token, by its label or its pkcs11: URI; the library is found by itself
//   ETOKEN_BRIDGE_PIN_FILE  a file with the PIN; used when one token is meant only, because each wrong PIN costs a try

import { randomInt } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DeviceError, EtokenBridgeError } from 'etoken-bridge';
import { formatHex } from 'etoken-bridge/bytes';
import {
  exportSastCertificates,
  listSastCertificates,
  listTokens,
  parseTokenUri,
  readPinFile,
} from 'etoken-bridge/token';
import { formatName } from 'etoken-bridge/x509';
import { createSastToken, createSoftHsm, createStandInAuthority } from 'softhsm-config';

const temporary = mkdtempSync(join(tmpdir(), 'etoken-bridge-'));
try {
  const [out = join(temporary, 'sast')] = process.argv.slice(2);
  const { ETOKEN_BRIDGE_MODULE: module, ETOKEN_BRIDGE_TOKEN: wanted, ETOKEN_BRIDGE_PIN_FILE: pinFile } = process.env;
  const isReal = module !== undefined || wanted !== undefined;
  const environment = isReal ? process.env : await makeSoftTokens(join(temporary, 'softhsm'));
  await exportAll(out, { environment, ...(wanted === undefined ? {} : { uri: uriOf(wanted) }) }, pinFile);
} catch (error) {
  // Anything else is a defect, and keeps its stack trace.
  if (!(error instanceof EtokenBridgeError) && !(error instanceof Error && 'syscall' in error)) throw error;
  console.error(`error: ${error.message}`);
  if ('hint' in error && error.hint !== undefined) console.error(`hint: ${error.hint}`);
  process.exitCode = error instanceof DeviceError ? 3 : 2;
} finally {
  rmSync(temporary, { recursive: true, force: true });
}

/**
 * @param {string} out the folder for the files.
 * @param {import('etoken-bridge/token').ListTokensOptions} access which tokens are meant, and in which library.
 * @param {string | undefined} pinFile
 */
async function exportAll(out, access, pinFile) {
  const tokens = await listTokens(access);
  for (const token of tokens) {
    const keys = token.keys.map(({ type, bits }) => `${type} ${bits}`).join(', ');
    console.log(`${token.label}  serial ${token.serialNumber}, PIN ${token.pin.words}, keys: ${keys}\n  ${token.uri}`);
  }

  const pin = async () => (await readPinFile(pinFile ?? '')).pin;
  const options = pinFile !== undefined && tokens.length === 1 ? { ...access, pin } : access;
  for (const { certificate, hasPrivateKey } of await listSastCertificates(options)) {
    console.log(`\n${formatName(certificate.subject)}\n  issued by ${formatName(certificate.issuer)}`);
    console.log(`  serial ${formatHex(certificate.serialNumber, ':')}, until ${certificate.notAfter.toISOString()}`);
    console.log(
      `  private key on the token: ${hasPrivateKey === 'unknown' ? 'hidden without the PIN' : hasPrivateKey}`,
    );
  }

  console.log();
  mkdirSync(out, { recursive: true });
  for (const { fileName, bytes } of await exportSastCertificates(options)) {
    // `wx`: a file that is there is never overwritten.
    writeFileSync(join(out, fileName), bytes, { flag: 'wx' });
    console.log(`exported ${join(out, fileName)} (${bytes.length} bytes)`);
  }
}

/** A label is a URI with one attribute. */
function uriOf(/** @type {string} */ text) {
  return text.startsWith('pkcs11:') ? parseTokenUri(text) : { token: text };
}

/** The environment in which two soft tokens are plugged in. */
async function makeSoftTokens(/** @type {string} */ directory) {
  const softHsm = await createSoftHsm(directory);
  const pin = String(randomInt(100_000, 1_000_000));
  const request = { pin, soPin: pin, bits: /** @type {const} */ (2048), authority: await createStandInAuthority() };
  for (const label of ['soft-etoken-1', 'soft-etoken-2']) await createSastToken(softHsm, { label, ...request });
  return { ...process.env, ...softHsm.environment, ETOKEN_BRIDGE_MODULE: softHsm.module };
}
