// A cluster goes from tokens to tokenless, where its own key signs the CTL, and back to tokens. Each flow starts from
// the list that phones have, says what must be read before they get the new one (notices), and refuses what would lock
// them out: here the way back while the tokens are not in the cluster's Phone-SAST-trust (check A3).
//
//   node examples/04-token-to-tokenless-and-back.mjs
//
// It works on two soft tokens and a cluster to practise on, in a temporary folder. For a real cluster
//   - read the list with `decodeTrustList` from the CTLFile.tlv of its TFTP server, in place of `createTokenCtl`;
//   - read the cluster with `loadCluster` from its cluster file;
//   - sign the tokenless list on the cluster itself (`utils ctl set-cluster mixed-mode`): its private keys stay there,
//     but for the ITLRecovery key, which releases from 12.0 on give out;
//   - open the tokens as 03-sign-a-ctl-with-a-token.mjs does.

import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createSoftwareSigner,
  DeviceError,
  diffTrustLists,
  EtokenBridgeError,
  RefusalError,
  verifyTrustList,
} from 'etoken-bridge';
import { createLabCluster, loadPrivateKey, publisherOf } from 'etoken-bridge/cluster';
import { createTokenCtl, ctlMode, tokenlessSigner, toToken, toTokenless } from 'etoken-bridge/ctl';
import { openTokenSigner, parseTokenUri, Pin } from 'etoken-bridge/token';
import { createSastToken, createSoftHsm, createStandInAuthority } from 'softhsm-config';

const folder = mkdtempSync(join(tmpdir(), 'etoken-bridge-'));
try {
  const cluster = await makeCluster();
  const { tokens, signer } = await openSoftTokens();
  try {
    const now = new Date();
    const options = { timestamp: Math.floor(now.getTime() / 1000), now };

    const first = await createTokenCtl(cluster, tokens, signer, options);
    report('What phones have', first);

    // The cluster's own key, which its cluster file names.
    const { name, certificate } = tokenlessSigner(cluster);
    const reference = publisherOf(cluster).keys[name];
    if (reference?.kind !== 'file') throw new Error(`the cluster file names no key file for ${name}`);
    const ownSigner = createSoftwareSigner(certificate, await loadPrivateKey(reference, certificate));
    const tokenless = await toTokenless(first.list, cluster, ownSigner, options);
    report(`To tokenless, signed by the ${name} key`, tokenless);

    try {
      await toToken(tokenless.list, cluster, tokens, signer, options);
    } catch (error) {
      // `code` is the number of the check. `accept: ['A3']` in the options would let exactly this one through.
      if (!(error instanceof RefusalError) || error.code !== 'A3') throw error;
      console.log(`\nBack to tokens\n  refused (${error.code}): ${error.message}\n  hint: ${error.hint ?? ''}`);
    }

    // What the upload changes: the cluster gives phones the tokens' certificates, and the cluster file says so.
    const uploaded = { ...cluster, trustStores: { ...cluster.trustStores, 'Phone-SAST-trust': tokens } };
    const again = await toToken(tokenless.list, uploaded, tokens, signer, options);
    report('Back to tokens, after the upload to Phone-SAST-trust', again);

    const { added, removed, changed } = diffTrustLists(first.list, again.list);
    console.log(
      `\nThere and back: ${added.length} records added, ${removed.length} removed, ${changed.length} changed`,
    );
  } finally {
    await signer.close();
  }
} catch (error) {
  if (!(error instanceof EtokenBridgeError)) throw error;
  console.error(`error: ${error.message}`);
  if (error.hint !== undefined) console.error(`hint: ${error.hint}`);
  process.exitCode = error instanceof DeviceError ? 3 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/**
 * @param {string} title
 * @param {import('etoken-bridge/ctl').CtlResult} result
 */
function report(title, { list, notices }) {
  console.log(`\n${title}\n  a ${ctlMode(list)} list of ${list.records.length} records, ${list.bytes.length} bytes`);
  console.log(`  signed by ${list.header.signerName}`);
  console.log(`  ${verifyTrustList(list).verified ? 'verified' : 'does not verify'}`);
  for (const { check, message } of notices) console.log(`  notice ${check}: ${message}`);
}

async function makeCluster() {
  const services = /** @type {const} */ (['CallManager', 'TFTP', 'CAPF', 'TVS']);
  const nodes = [{ name: 'cucm-pub', address: '10.48.47.153', services }];
  const directory = join(folder, 'cluster');
  const request = {
    directory,
    release: '11.5.1',
    securityMode: /** @type {const} */ ('mixed'),
    nodes,
    now: new Date(),
  };
  return (await createLabCluster(request)).cluster;
}

async function openSoftTokens() {
  const softHsm = await createSoftHsm(join(folder, 'softhsm'));
  const pin = String(randomInt(100_000, 1_000_000));
  const request = { pin, soPin: pin, bits: /** @type {const} */ (2048), authority: await createStandInAuthority() };
  const first = await createSastToken(softHsm, { label: 'soft-etoken-1', ...request });
  const second = await createSastToken(softHsm, { label: 'soft-etoken-2', ...request });
  const environment = { ...process.env, ...softHsm.environment };
  const ask = () => Promise.resolve(new Pin(pin));
  const signer = await openTokenSigner({ environment, uri: parseTokenUri(first.token.uri), pin: ask });
  return { tokens: [first.certificate, second.certificate], signer };
}
