// Looks into a trust list (CTL or ITL): decodes and verifies it, prints it as `show ctl` does on a cluster, picks facts
// from its JSON view, and compares it with a newer one.
//
//   node examples/01-inspect-a-list.mjs [FILE [NEWER]]
//
// Without a file it makes two lists by itself, with software keys and in memory: a tokenless CTL, and the same after
// the CAPF certificate was renewed. For a list of a real cluster give the file that its TFTP server has, CTLFile.tlv.
// Exit codes: 0 it verifies, 1 it does not, 2 it is damaged or no trust list.

import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import {
  createSoftwareSigner,
  describeTrustList,
  diffTrustLists,
  EtokenBridgeError,
  formatTrustList,
  readTrustList,
  verifyTrustList,
} from 'etoken-bridge';
import { parseRelease } from 'etoken-bridge/cluster';
import { createTokenlessCtl, updateCtl } from 'etoken-bridge/ctl';
import { generateRsaKey, issueCertificate } from 'etoken-bridge/x509';

try {
  const [file, newer] = process.argv.slice(2);
  const inputs = file === undefined ? await makeLists() : [file, newer].filter((path) => path !== undefined).map(read);
  const [list, next] = inputs.map(decode);
  if (list !== undefined) inspect(list);
  if (list !== undefined && next !== undefined) compare(list, next);
} catch (error) {
  if (!(error instanceof EtokenBridgeError) && !(error instanceof Error && 'syscall' in error)) throw error;
  console.error(`error: ${error.message}`);
  process.exitCode = 2;
}

function read(/** @type {string} */ path) {
  return new Uint8Array(readFileSync(path));
}

/**
 * Reads leniently, so that a damaged list is shown as far as it goes. Where nothing has to be shown, `decodeTrustList`
 * gives the list or throws.
 */
function decode(/** @type {Uint8Array} */ bytes) {
  const reading = readTrustList(bytes);
  if (reading.list === undefined) {
    console.log(formatTrustList(reading));
    process.exitCode = 2;
  }
  return reading.list;
}

function inspect(/** @type {import('etoken-bridge').TrustList} */ list) {
  console.log(formatTrustList(list));

  const verification = verifyTrustList(list);
  if (verification.verified) console.log(`verified: the key of ${verification.signer.subjectName} made the signature`);
  else console.log(`not verified: ${verification.reason}`);
  if (!verification.verified) process.exitCode = 1;

  const { kind, version, sha256, timestamp, records } = describeTrustList(list);
  const rows = records.map((record) => ({
    node: record.dnsName,
    role: record.functionName,
    sha1: record.certificateSha1,
  }));
  console.log(`\nfrom the JSON view:\n${JSON.stringify({ kind, version, sha256, timestamp, records: rows }, null, 2)}`);
}

/**
 * @param {import('etoken-bridge').TrustList} list
 * @param {import('etoken-bridge').TrustList} next
 */
function compare(list, next) {
  const { added, removed, changed, signer, identical } = diffTrustLists(list, next);
  console.log(
    `\nthe second list: ${identical ? 'the same' : `${added.length} records added, ${removed.length} removed`}`,
  );
  for (const { before, elements } of changed) console.log(`changed: ${before.subjectName}: ${elements.join(', ')}`);
  if (signer !== undefined) console.log(`signer: ${signer.before}\n    ->: ${signer.after}`);
}

/** A cluster as data, without a file: one node, whose CallManager key signs. */
async function makeLists() {
  const callManager = await makeCertificate('cucm-pub');
  const signer = createSoftwareSigner(callManager.certificate, callManager.key);
  const clusterWith = (/** @type {import('etoken-bridge').Certificate} */ capf) => ({
    release: parseRelease('11.5.1'),
    securityMode: /** @type {const} */ ('mixed'),
    nodes: [
      {
        name: 'cucm-pub',
        address: '10.48.47.153',
        services: /** @type {const} */ (['CallManager', 'TFTP', 'CAPF']),
        certificates: { CallManager: callManager.certificate, CAPF: capf },
        keys: {},
      },
    ],
    trustStores: {},
  });
  const now = new Date();
  const options = { timestamp: Math.floor(now.getTime() / 1000), now };
  const old = await makeCertificate('CAPF-7f3a2b10');
  const renewed = await makeCertificate('CAPF-7f3a2b10');
  const first = await createTokenlessCtl(clusterWith(old.certificate), signer, options);
  const second = await updateCtl(first.list, clusterWith(renewed.certificate), signer, options);
  return [first.list.bytes, second.list.bytes];
}

async function makeCertificate(/** @type {string} */ commonName) {
  const name = [
    { type: 'O', value: 'example' },
    { type: 'CN', value: commonName },
  ];
  const key = await generateRsaKey(2048);
  const notBefore = new Date();
  const notAfter = new Date(notBefore.getTime() + 5 * 365 * 86_400_000);
  const request = { subject: name, publicKey: key, serialNumber: randomBytes(16), notBefore, notAfter };
  return { key, certificate: await issueCertificate(request, { name, key }) };
}
