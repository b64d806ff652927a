// The main job, as `npm start` runs it: a CTL signed by a token whose key never leaves it, the token's certificates
// exported, the cluster moved to tokenless and back, each list proved. Every step is the command itself, so that what
// is printed here can be typed. All files stay in quickstart-out/.
//
//   node examples/00-main-job.mjs [folder]

import { spawnSync } from 'node:child_process';
import { createHash, randomInt } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { decodeTrustList } from 'etoken-bridge';
import { decodeCertificates } from 'etoken-bridge/x509';
import { createSastToken, createSoftHsm, createStandInAuthority } from 'softhsm-config';

const started = Date.now();
const root = fileURLToPath(new URL('..', import.meta.url));
const folder = resolve(process.argv[2] ?? join(root, 'quickstart-out'));
const command = join(root, 'dist/cli/main.js');
const inFolder = (/** @type {string} */ name) => join(folder, name);

/**
 * Ends the run with a message: the main job either works whole or says what did not.
 *
 * @returns {never}
 */
function fail(/** @type {string} */ message) {
  console.error(`\nerror: ${message}`);
  process.exit(1);
}

/** Says what the next commands are for. */
function step(/** @type {string} */ title) {
  console.log(`\n# ${title}`);
}

/**
 * Runs the command as a person would, shows it and what it prints, and stops when its exit code is another.
 *
 * @param {readonly string[]} words
 * @param {{ exit?: number, show?: (text: string) => string }} [expected]
 */
function etokenBridge(words, { exit = 0, show = (text) => text } = {}) {
  console.log(`$ etoken-bridge ${words.map(shown).join(' ')}`);
  const result = spawnSync(process.execPath, [command, ...words], { cwd: folder, encoding: 'utf8', env: environment });
  process.stdout.write(indent(show(result.stdout) + result.stderr));
  if (result.status !== exit) fail(`exit code ${exit} was expected, and it is ${result.status}`);
  return result.stdout;
}

const shown = (/** @type {string} */ word) => (/[\s;?'"]/.test(word) ? `'${word}'` : word);
const indent = (/** @type {string} */ text) => text.replaceAll(/^(?=.)/gm, '  ');
const firstLines = (/** @type {number} */ count) => (/** @type {string} */ text) =>
  `${text.split('\n').slice(0, count).join('\n')}\n…\n`;

rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });

step('Two soft eTokens: SoftHSM2 in place of the hardware, keys made on the token');
const pin = String(randomInt(100_000, 1_000_000));
writeFileSync(inFolder('pin'), pin, { mode: 0o600 });
const softHsm = await createSoftHsm(inFolder('softhsm'));
const authority = await createStandInAuthority();
const identity = {
  pin,
  soPin: String(randomInt(10_000_000, 100_000_000)),
  bits: /** @type {const} */ (2048),
  authority,
};
const first = await createSastToken(softHsm, { label: 'SAST one', ...identity });
const second = await createSastToken(softHsm, { label: 'SAST two', ...identity });
const environment = { ...process.env, ...softHsm.environment, ETOKEN_BRIDGE_MODULE: softHsm.module, NO_COLOR: '1' };
for (const { token, commonName } of [first, second])
  console.log(`  ${token.label}: ${commonName.trim()}, ${token.uri}`);

step('A cluster to practise on: two nodes, release 11.5.1, keys and certificates made here');
const nodes = ['--node', 'cucm-pub,10.48.47.153', '--node', 'cucm-sub1,10.48.47.154'];
etokenBridge(['cluster', 'init', 'cluster', '--lab', '--release', '11.5.1', ...nodes], { show: firstLines(3) });
const cluster = 'cluster/cluster.yaml';

step('The tokens, what they are able to do, and their certificates for the upload to Phone-SAST-trust');
etokenBridge(['token', 'list']);
etokenBridge(['token', 'check', '--token', first.token.uri, '--pin-file', 'pin']);
etokenBridge(['token', 'export', '--out', 'sast']);

step('A first CTL, signed by the first token');
const useFirst = ['--token', first.token.uri, '--pin-file', 'pin'];
const useSecond = ['--token', second.token.uri, '--pin-file', 'pin'];
etokenBridge(['ctl', 'create', '--cluster', cluster, '--mode', 'token', '--out', '1-token.tlv', ...useFirst]);
etokenBridge(['ctl', 'show', '1-token.tlv'], { show: firstLines(24) });
prove('1-token.tlv', first.certificate);

step('The second token signs it too: either of them is enough');
etokenBridge(['ctl', 'sign', '1-token.tlv', '--out', '2-token-resigned.tlv', ...useSecond]);
prove('2-token-resigned.tlv', second.certificate);

step("To tokenless: the cluster's own key signs");
etokenBridge(['ctl', 'to-tokenless', '2-token-resigned.tlv', '--cluster', cluster, '--out', '3-tokenless.tlv']);
const callManager = decodeCertificates(readFileSync(inFolder('cluster/certificates/cucm-pub/CallManager.pem')))[0];
prove('3-tokenless.tlv', callManager ?? fail('the publisher has no certificate'));

step('Back to tokens: refused while phones could not know the tokens (A3), done once they are in Phone-SAST-trust');
const back = ['ctl', 'to-token', '3-tokenless.tlv', '--cluster', cluster, '--out', '4-token-again.tlv', ...useFirst];
etokenBridge(back, { exit: 4 });
const text = readFileSync(inFolder(cluster), 'utf8');
const uploaded = readdirSync(inFolder('sast')).map((name) => `    - ../sast/${name}`);
const withTokens = text.replace(/(^ {2}Phone-SAST-trust:\n)( {4}#.*\n)*/m, `$1${uploaded.join('\n')}\n`);
if (withTokens === text) fail(`${cluster} has no empty Phone-SAST-trust to fill`);
writeFileSync(inFolder(cluster), withTokens);
console.log(`$ edit ${cluster}: Phone-SAST-trust now names ${readdirSync(inFolder('sast')).join(' and ')}`);
etokenBridge(back);
prove('4-token-again.tlv', first.certificate);
etokenBridge(['ctl', 'diff', '2-token-resigned.tlv', '4-token-again.tlv'], { exit: 1 });

step('Nothing of the keys left the tokens');
const softHsmFolder = inFolder('softhsm');
const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .map(inFolder)
  .filter((path) => statSync(path).isFile());
const outside = files.filter((path) => relative(softHsmFolder, path).startsWith('..'));
const keyFiles = outside.filter((path) => readFileSync(path, 'latin1').includes('PRIVATE KEY'));
console.log(`  ${outside.length} files were written beside the tokens; private keys in ${keyFiles.length} of them,`);
console.log(
  `  all ${keyFiles.length} the practice cluster's own (${[...new Set(keyFiles.map((path) => relative(folder, path).split('/').slice(0, 2).join('/')))].join(', ')})`,
);
if (keyFiles.some((path) => !path.includes('/cluster/keys/'))) fail('a private key is where none should be');

console.log(`\nDone in ${((Date.now() - started) / 1000).toFixed(1)} s. The lists are in ${folder}`);
for (const name of readdirSync(folder).filter((file) => file.endsWith('.tlv'))) {
  const bytes = readFileSync(inFolder(name));
  console.log(
    `  ${name.padEnd(24)} ${String(bytes.length).padStart(6)} bytes  SHA1 ${createHash('sha1').update(bytes).digest('hex')}`,
  );
}

/**
 * Proves a list twice: by the command, and by openssl over the bytes that are signed (all but the SIGNATURE element).
 *
 * @param {string} name
 * @param {import('etoken-bridge').Certificate} certificate
 */
function prove(name, certificate) {
  etokenBridge(['ctl', 'verify', name]);
  const list = decodeTrustList(new Uint8Array(readFileSync(inFolder(name))));
  const { start, end } = list.header.signatureSpan;
  const work = mkdtempSync(inFolder('.proof-'));
  writeFileSync(join(work, 'signed'), Buffer.concat([list.bytes.subarray(0, start), list.bytes.subarray(end)]));
  writeFileSync(join(work, 'signature'), list.header.signature);
  writeFileSync(join(work, 'key.der'), certificate.publicKeyInfo);
  const words = [
    'dgst',
    '-sha1',
    '-verify',
    join(work, 'key.der'),
    '-keyform',
    'DER',
    '-signature',
    join(work, 'signature'),
  ];
  const openssl = spawnSync('openssl', [...words, join(work, 'signed')], { encoding: 'utf8' });
  rmSync(work, { recursive: true });
  if (openssl.error !== undefined) {
    console.log('  (openssl is not installed: the proof by a second program is left out)');
    return;
  }
  console.log(`$ openssl dgst -sha1 -verify KEY -signature SIGNATURE  (of ${basename(name)}, SIGNATURE cut out)`);
  process.stdout.write(indent(openssl.stdout + openssl.stderr));
  if (openssl.status !== 0) fail(`openssl does not verify ${name}`);
}
