// The main job, as `npm start` runs it: a CTL signed by a token whose key never leaves it, the tokens' certificates
// exported, the cluster moved to tokenless and back, and each list proved by the command and by openssl. Every step is
// the command itself, so that what is printed can be typed. It takes about ten seconds.
//
//   node examples/00-main-job.mjs [FOLDER]
//
// All files stay: in quickstart-out/, which each run makes anew, or in FOLDER, which must be new or empty.
//
// With real tokens leave out the first step and the two variables it exports: the vendor's PKCS#11 library is found by
// itself. With a real cluster leave out --lab, and put the cluster's certificates into the folder that is made.

import { spawnSync } from 'node:child_process';
import { createHash, createPublicKey, randomInt } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { decodeTrustList, DeviceError, EtokenBridgeError } from 'etoken-bridge';
import { decodeCertificates } from 'etoken-bridge/x509';
import { createSastToken, createSoftHsm, createStandInAuthority } from 'softhsm-config';

const started = Date.now();
const root = fileURLToPath(new URL('..', import.meta.url));
const command = join(root, 'dist/command/main.js');
const folder = prepareFolder(process.argv[2]);
const inFolder = (/** @type {string} */ name) => join(folder, name);

step('Two soft eTokens: SoftHSM2 in place of the hardware, keys made on the tokens');
const softHsm = await createSoftHsm(inFolder('softhsm')).catch(stop);
const [first, second] = await makeTokens().catch(stop);
const variables = { ...softHsm.environment, ETOKEN_BRIDGE_MODULE: softHsm.module };
for (const { token, commonName } of [first, second]) console.log(`  ${token.label}: ${commonName.trim()}`);
for (const [name, value] of Object.entries(variables)) console.log(`$ export ${name}=${quoted(value)}`);
console.log(`$ alias etoken-bridge=${quoted(`node ${quoted(command)}`)}`);
console.log(`$ cd ${quoted(folder)}`);

step('A cluster to practise on: two nodes, release 11.5.1, keys and certificates made here');
const nodes = ['--node', 'cucm-pub,10.48.47.153', '--node', 'cucm-sub1,10.48.47.154'];
etokenBridge(['cluster', 'init', 'cluster', '--lab', '--release', '11.5.1', ...nodes], { show: excerpt(3) });
const clusterFile = 'cluster/cluster.yaml';

step('The tokens, what they are able to do, and their certificates for the upload to Phone-SAST-trust');
etokenBridge(['token', 'list']);
const useFirst = ['--token', `pkcs11:token=${first.token.label}`, '--pin-file', 'pin'];
const useSecond = ['--token', `pkcs11:token=${second.token.label}`, '--pin-file', 'pin'];
etokenBridge(['token', 'check', ...useFirst]);
etokenBridge(['token', 'export', '--out', 'sast']);

step('A first CTL, signed by the first token');
etokenBridge(['ctl', 'create', '--cluster', clusterFile, '--mode', 'token', '--out', '1-token.tlv', ...useFirst]);
etokenBridge(['ctl', 'show', '1-token.tlv'], { show: excerpt(22, 16) });
prove('1-token', `sast/${first.commonName.trim()}.cer`);

step('The second token signs it too: either of them is enough');
etokenBridge(['ctl', 'sign', '1-token.tlv', '--out', '2-token-resigned.tlv', ...useSecond]);
prove('2-token-resigned', `sast/${second.commonName.trim()}.cer`);

step("To tokenless: the cluster's own key signs");
etokenBridge(['ctl', 'to-tokenless', '2-token-resigned.tlv', '--cluster', clusterFile, '--out', '3-tokenless.tlv']);
prove('3-tokenless', 'cluster/certificates/cucm-pub/CallManager.pem');

step('Back to tokens: refused (exit code 4) while phones cannot know them, done once they are in Phone-SAST-trust');
const back = [
  'ctl',
  'to-token',
  '3-tokenless.tlv',
  '--cluster',
  clusterFile,
  '--out',
  '4-token-again.tlv',
  ...useFirst,
];
etokenBridge(back, { exit: 4 });
nameTokensInClusterFile();
etokenBridge(back);
prove('4-token-again', `sast/${first.commonName.trim()}.cer`);

step('There and back: the records are the same, only signer and time are not (exit code 1: the files differ)');
etokenBridge(['ctl', 'diff', '2-token-resigned.tlv', '4-token-again.tlv'], { exit: 1 });

step('No key left the tokens');
reportPrivateKeys();

console.log(`\nDone in ${((Date.now() - started) / 1000).toFixed(1)} s. The lists are in ${folder}`);
for (const name of readdirSync(folder).filter((file) => file.endsWith('.tlv'))) {
  const bytes = readFileSync(inFolder(name));
  const sha1 = createHash('sha1').update(bytes).digest('hex');
  console.log(`  ${name.padEnd(22)} ${bytes.length} bytes  SHA1 ${sha1}`);
}
console.log('To go on by hand, type the first four lines that begin with $.');

/** Says what the next commands are for. */
function step(/** @type {string} */ title) {
  console.log(`\n# ${title}`);
}

/**
 * Ends the run with a message: the main job either works whole or says what did not.
 *
 * @returns {never}
 */
function fail(/** @type {string} */ message, /** @type {number} */ exitCode = 1) {
  console.error(`\nerror: ${message}`);
  process.exit(exitCode);
}

/**
 * Ends the run with the words of the library.
 *
 * @returns {never}
 */
function stop(/** @type {unknown} */ error) {
  if (!(error instanceof EtokenBridgeError)) throw error;
  const hint = error.hint === undefined ? '' : `\nhint: ${error.hint}`;
  return fail(`${error.message}${hint}`, error instanceof DeviceError ? 3 : 2);
}

/** Only the default folder is made anew: nobody's files are deleted because of a mistyped argument. */
function prepareFolder(/** @type {string | undefined} */ argument) {
  const path = resolve(argument ?? join(root, 'quickstart-out'));
  if (argument === undefined) rmSync(path, { recursive: true, force: true });
  if (existsSync(path) && (!statSync(path).isDirectory() || readdirSync(path).length > 0)) {
    fail(`${path} is there already and is not an empty folder\nhint: give a new folder`, 2);
  }
  mkdirSync(path, { recursive: true });
  return path;
}

/** The PINs are fresh. That of the user stays in the file `pin`, for the commands; nobody needs the other one. */
async function makeTokens() {
  const pin = String(randomInt(100_000, 1_000_000));
  writeFileSync(inFolder('pin'), pin, { mode: 0o600 });
  const soPin = String(randomInt(10_000_000, 100_000_000));
  const authority = await createStandInAuthority();
  const request = { pin, soPin, bits: /** @type {const} */ (2048), authority };
  return /** @type {const} */ ([
    await createSastToken(softHsm, { label: 'soft-etoken-1', ...request }),
    await createSastToken(softHsm, { label: 'soft-etoken-2', ...request }),
  ]);
}

/**
 * Runs the command as a person would, shows it and what it prints, and stops when its exit code is another.
 *
 * @param {readonly string[]} words
 * @param {{ exit?: number, show?: (text: string) => string }} [expected]
 */
function etokenBridge(words, { exit = 0, show = (text) => text } = {}) {
  console.log(`$ etoken-bridge ${words.map(quoted).join(' ')}`);
  const result = spawnSync(process.execPath, [command, ...words], {
    cwd: folder,
    encoding: 'utf8',
    env: environment(),
  });
  process.stdout.write(indented(show(result.stdout) + result.stderr));
  if (result.status !== exit) fail(`exit code ${exit} was expected, and it is ${result.status ?? result.signal}`);
}

/** What the commands find in their environment. A real token that this shell is set up for has no part in the run. */
function environment() {
  const others = Object.entries(process.env).filter(([name]) => !name.startsWith('ETOKEN_BRIDGE_'));
  return { ...Object.fromEntries(others), ...variables, NO_COLOR: '1' };
}

/** A word as a shell wants it. */
function quoted(/** @type {string} */ word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}

function indented(/** @type {string} */ text) {
  return text.replaceAll(/^(?=.)/gm, '  ');
}

/** The first and last lines of a long text. */
function excerpt(/** @type {number} */ head, tail = 0) {
  return (/** @type {string} */ text) => {
    const lines = text.trimEnd().split('\n');
    const last = tail === 0 ? [] : lines.slice(-tail);
    return [...lines.slice(0, head), '…', ...last, ''].join('\n');
  };
}

/**
 * Proves a list twice: by the command, and by openssl over the bytes that are signed, which are all but the SIGNATURE
 * element. What openssl gets stays in openssl/.
 *
 * @param {string} name of the list, without its ending.
 * @param {string} certificateFile the certificate that the list must be signed with.
 */
function prove(name, certificateFile) {
  etokenBridge(['ctl', 'verify', `${name}.tlv`]);
  const { bytes, header } = decodeTrustList(readFileSync(inFolder(`${name}.tlv`)));
  const { start, end } = header.signatureSpan;
  const [certificate] = decodeCertificates(readFileSync(inFolder(certificateFile)));
  if (certificate === undefined) fail(`${certificateFile} holds no certificate`);
  const key = createPublicKey({ key: Buffer.from(certificate.publicKeyInfo), format: 'der', type: 'spki' });
  mkdirSync(inFolder('openssl'), { recursive: true });
  writeFileSync(inFolder(`openssl/${name}.signed`), Buffer.concat([bytes.subarray(0, start), bytes.subarray(end)]));
  writeFileSync(inFolder(`openssl/${name}.signature`), header.signature);
  writeFileSync(inFolder(`openssl/${name}.pem`), key.export({ format: 'pem', type: 'spki' }));
  const files = ['-verify', `openssl/${name}.pem`, '-signature', `openssl/${name}.signature`, `openssl/${name}.signed`];
  const words = ['dgst', `-${header.digestAlgorithm}`, ...files];
  console.log(`$ openssl ${words.join(' ')}`);
  const result = spawnSync('openssl', words, { cwd: folder, encoding: 'utf8' });
  if (result.error !== undefined) {
    console.log('  (openssl cannot be run here: the proof by a second program is left out)');
    return;
  }
  process.stdout.write(indented(result.stdout + result.stderr));
  if (result.status !== 0) fail(`openssl does not verify ${name}.tlv`);
}

/** What an administrator does in an editor, after the upload to the cluster. */
function nameTokensInClusterFile() {
  const names = readdirSync(inFolder('sast'));
  const text = readFileSync(inFolder(clusterFile), 'utf8');
  const entries = names.map((name) => `    - ../sast/${name}\n`).join('');
  const edited = text.replace(/(^ {2}Phone-SAST-trust:\n)( {4}#.*\n)*/m, `$1${entries}`);
  if (edited === text) fail(`${clusterFile} has no Phone-SAST-trust to fill`);
  writeFileSync(inFolder(clusterFile), edited);
  console.log(`$ edit ${clusterFile}   # under Phone-SAST-trust now: ../sast/${names.join(' and ../sast/')}`);
}

/** The only private keys in files are those of the practice cluster; the tokens' are in SoftHSM2's store, encrypted. */
function reportPrivateKeys() {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(inFolder(name)).isFile())
    .filter((name) => relative(softHsm.directory, inFolder(name)).startsWith('..'));
  const keyFiles = names.filter((name) => readFileSync(inFolder(name), 'latin1').includes('PRIVATE KEY'));
  const astray = keyFiles.filter((name) => !name.startsWith(`cluster${sep}keys${sep}`));
  console.log(`  ${names.length} files beside the tokens; ${keyFiles.length} of them hold a private key,`);
  console.log("  and those are the practice cluster's own, in cluster/keys");
  if (astray.length > 0) fail(`a private key is where none should be: ${astray.join(', ')}`);
}
