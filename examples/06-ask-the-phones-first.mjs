// What will the phones say? A cluster on this machine, with TFTP and TVS servers on free ports of loopback, and phones
// that boot from it over real sockets: first as it is, then after CallManager was renewed, then after CallManager and
// TVS were renewed together, which no phone of a cluster with one node survives (A1).
//
//   node examples/06-ask-the-phones-first.mjs
//
// For a real cluster: `etoken-bridge phone boot TFTP-SERVER --mac MAC` boots one virtual phone from it, and
// `etoken-bridge ctl verify NEW --against OLD` asks without any server.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Lab, socketTransport } from 'etoken-bridge/lab';

const folder = mkdtempSync(join(tmpdir(), 'etoken-bridge-phones-'));
const lab = await Lab.start({ directory: folder, clock: () => new Date() });
try {
  const kinds = { mac: '00005E005301', model: 'CP-8861', securityByDefault: true, encryptedConfiguration: false };
  const phone = await lab.addPhone(kinds);
  const old = await lab.addPhone({ ...kinds, mac: '00005E005302', model: 'CP-7960', securityByDefault: false });
  await boot('The cluster as it is', [phone, old]);
  await lab.renew('cucm-pub', 'CallManager');
  await boot('CallManager was renewed', [phone, old]);
  await lab.renew('cucm-pub', 'CallManager');
  await lab.renew('cucm-pub', 'TVS');
  await boot('CallManager and TVS were renewed together', [phone, old]);
  phone.deleteTrustList('itl');
  await boot('The ITL of the phone was deleted by hand', [phone]);
} finally {
  await lab.close();
  rmSync(folder, { recursive: true, force: true });
}

/** Boots phones one after the other, and prints what they decided. */
async function boot(/** @type {string} */ title, /** @type {import('etoken-bridge/lab').LabPhone[]} */ phones) {
  console.log(title);
  const tftp = lab.node('cucm-pub').tftp;
  if (tftp === undefined) throw new Error('the TFTP server does not run');
  for (const one of phones) {
    const transport = socketTransport(tftp);
    const { decisions, registered } = await one.boot(transport);
    await transport.close();
    console.log(`  ${one.deviceName} ${registered ? 'registers' : 'is stuck'}`);
    for (const { file, decision } of decisions) {
      console.log(`    ${decision.accepted ? '+' : '-'} ${file} (${decision.rule}): ${decision.reason}`);
    }
  }
}
