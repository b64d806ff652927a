// Which phones would a change lose? A cluster on this machine, tokenless, with two phones: one with Security by Default
// and one without. The plan to go to tokens is made, and read; nothing is changed.
//
//   node examples/07-plan-before-you-change.mjs
//
// For a real cluster: `etoken-bridge migrate plan --cluster cluster.yaml --ctl CTLFile.tlv --itl ITLFile.tlv --to token`,
// with --phones for an inventory of the phones.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLabToken, Lab, socketTransport } from 'etoken-bridge/lab';
import { formatPlan, planMigration } from 'etoken-bridge/migration';

const folder = mkdtempSync(join(tmpdir(), 'etoken-bridge-plan-'));
const now = new Date();
const lab = await Lab.start({ directory: folder, clock: () => now });
try {
  await lab.toMixedMode();
  const kinds = { mac: '00005E005301', model: 'CP-8861', securityByDefault: true, encryptedConfiguration: false };
  const phones = [
    await lab.addPhone(kinds),
    await lab.addPhone({ ...kinds, mac: '00005E005302', model: 'CP-7960', securityByDefault: false }),
  ];
  const { tftp } = lab.node('cucm-pub');
  const itl = lab.itl('cucm-pub');
  if (tftp === undefined || itl === undefined) throw new Error('the TFTP server does not run');
  for (const phone of phones) {
    const transport = socketTransport(tftp);
    await phone.boot(transport);
    await transport.close();
  }
  const tokens = [await createLabToken('0054f509', now), await createLabToken('008580ef', now)];
  const situation = {
    cluster: lab.cluster,
    ctl: lab.ctl,
    itls: { 'cucm-pub': itl },
    tvs: {},
    tokens: tokens.map(({ certificate }) => certificate),
    phones: phones.map(({ deviceName, state }) => ({
      devices: [deviceName],
      securityByDefault: state.profile.securityByDefault,
      ctl: held(state.ctl),
      itl: held(state.itl),
      tvsServers: ['cucm-pub'],
    })),
  };
  const plan = await planMigration(situation, { mode: 'token' }, { now });
  for (const { id, who, title, safe } of plan.steps) console.log(`${id} (${who}${safe ? '' : ', not safe'}): ${title}`);
  for (const { devices, outcome, step, rule, deletion } of plan.phones.groups) {
    const how = outcome === 'lost' ? ` at ${step ?? ''} by ${rule ?? ''}; delete its ${deletion ?? ''}` : '';
    console.log(`${devices.join(', ')}: ${outcome}${how}`);
  }
  console.log(`as a file for "migrate apply": ${String(formatPlan(plan).split('\n').length)} lines of YAML`);
} finally {
  await lab.close();
  rmSync(folder, { recursive: true, force: true });
}

/** @param {import('etoken-bridge').TrustList | undefined} list */
function held(list) {
  return list === undefined ? /** @type {const} */ ({ kind: 'none' }) : /** @type {const} */ ({ kind: 'known', list });
}
