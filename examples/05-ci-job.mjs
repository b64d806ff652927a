// A CI job: would the CTL of this cluster file be accepted by the checks, and does it verify? It signs with tokens of
// SoftHSM2, which are made for the run and are gone with it, so that a change of the cluster file is tried before the
// real token is taken out of the safe.
//
//   node examples/05-ci-job.mjs [CLUSTER.yaml]
//
// Without a cluster file it makes a cluster to practise on. SoftHSM2 is installed when it is missing, which needs root
// or a sudo that asks nothing. Exit codes: 0 good, 1 the list does not verify, 2 the cluster file is wrong, 3 SoftHSM2
// is missing or failed, 4 a check refuses.
//
// The lines of a CI configuration that call it, with this clone and the cluster file in the working folder:
//
//   check-cluster-file:
//     image: any with Node.js 20 and, for pkcs11js, make, a C++ compiler and Python 3
//     script:
//       - npm ci
//       - npm run build
//       - node examples/05-ci-job.mjs cluster.yaml
//
// For a job that signs with a real token see 03-sign-a-ctl-with-a-token.mjs: it needs a runner that has the token, and
// the PIN in a file or a variable of the CI, masked and for protected branches only.

import { randomInt } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeTrustList, DeviceError, EtokenBridgeError, RefusalError, verifyTrustList } from 'etoken-bridge';
import { createLabCluster, formatCluster, loadCluster } from 'etoken-bridge/cluster';
import { createTokenCtl } from 'etoken-bridge/ctl';
import { listSastCertificates, openTokenSigner, parseTokenUri, Pin } from 'etoken-bridge/token';
import { createSastToken, createSoftHsm, createStandInAuthority, installSoftHsm } from 'softhsm-config';

const folder = mkdtempSync(join(tmpdir(), 'etoken-bridge-ci-'));
try {
  process.exitCode = await run(process.argv[2]);
} catch (error) {
  if (!(error instanceof EtokenBridgeError)) throw error;
  console.error(`error: ${error instanceof RefusalError ? `refused (${error.code}): ` : ''}${error.message}`);
  if (error.hint !== undefined) console.error(`hint: ${error.hint}`);
  process.exitCode = error instanceof DeviceError ? 3 : error instanceof RefusalError ? 4 : 2;
} finally {
  // The tokens, their PIN and the list.
  rmSync(folder, { recursive: true, force: true });
}

/** @returns the exit code. */
async function run(/** @type {string | undefined} */ clusterFile) {
  const cluster = await loadCluster(clusterFile ?? (await makeCluster()));
  console.log(formatCluster(cluster, new Date()));

  const { module } = await installSoftHsm({ log: (line) => console.log(`SoftHSM2: ${line}`) });
  console.log(`SoftHSM2: ${module}`);
  const softHsm = await createSoftHsm(join(folder, 'softhsm'));
  const pin = String(randomInt(100_000, 1_000_000));
  const request = { pin, soPin: pin, bits: /** @type {const} */ (2048), authority: await createStandInAuthority() };
  const { token } = await createSastToken(softHsm, { label: 'ci-1', ...request });
  await createSastToken(softHsm, { label: 'ci-2', ...request });

  const environment = { ...process.env, ...softHsm.environment };
  const access = { environment, modulePath: softHsm.module };
  const tokens = (await listSastCertificates(access)).map(({ certificate }) => certificate);
  const ask = () => Promise.resolve(new Pin(pin));
  const signer = await openTokenSigner({ ...access, uri: parseTokenUri(token.uri), pin: ask });
  const path = join(folder, 'CTLFile.tlv');
  try {
    const now = new Date();
    const options = { timestamp: Math.floor(now.getTime() / 1000), now };
    const { list, notices } = await createTokenCtl(cluster, tokens, signer, options);
    for (const { check, message } of notices) console.log(`notice ${check}: ${message}`);
    await writeFile(path, list.bytes);
  } finally {
    await signer.close();
  }

  // What was written is what is judged, as a phone would have it.
  const list = decodeTrustList(new Uint8Array(readFileSync(path)));
  const verification = verifyTrustList(list);
  const words = verification.verified ? 'verified' : `does not verify: ${verification.reason}`;
  console.log(`CTL: ${list.bytes.length} bytes, ${list.records.length} records, ${words}`);
  return verification.verified ? 0 : 1;
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
  return (await createLabCluster(request)).clusterFile;
}
