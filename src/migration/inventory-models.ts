/**
 * Models without Security by Default, for inventories that do not say it (rule P11: 7940/7960, soft clients, many video
 * endpoints). Source: rule P11 of phone-rules.md, spelt out by the model names of the cluster's device list; second
 * hand, for no device was tried. A cluster knows better: Cisco Unified Reporting, "Unified CM Phone Feature List",
 * feature "Security By Default". What is not in this table counts as having it.
 */
const modelsWithoutIt: readonly RegExp[] = [
  // The first generation of desk phones. The 7941 and 7961, 7942 and 7962, … have it.
  /^(79(02|05|10|12|20|35|36|40|60|85)g?)$/,
  /^(ata)?18[678]$/,
  // Soft clients: IP Communicator, Jabber in all its forms, Unified Client Services Framework, Personal Communicator.
  /ipcommunicator|^cipc/,
  /jabber|clientservicesframework|dualmodefor|personalcommunicator|webex/,
  /^(csf|bot|tct|tab)$/,
  // Video endpoints: TelePresence and what came from Tandberg.
  /telepresence|tandberg/,
  /^(cts|tx)\d{3,4}/,
  /^(c20|c40|c60|c90|ex60|ex90|mx200|mx300|mx700|mx800|sx10|sx20|sx80)(g2)?$/,
  // Devices of others.
  /^thirdparty|^h323/,
];

/**
 * Whether a model has Security by Default, as far as its name tells (rule P11).
 *
 * @param model as inventories spell it, e.g. `CP-7960G`, `Cisco 7960`, `Cisco IP Communicator`.
 */
export function hasSecurityByDefault(model: string): boolean {
  const name = model
    .toLowerCase()
    .replaceAll(/[^a-z0-9]/g, '')
    .replace(/^cisco/, '')
    .replace(/^(unified)?(ipphone|phone)?(cp)?/, '');
  return !modelsWithoutIt.some((pattern) => pattern.test(name));
}
