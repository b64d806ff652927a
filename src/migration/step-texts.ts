import {
  nodesWith,
  restartsAfterRenewal,
  serviceNames,
  type Cluster,
  type SecurityMode,
  type Service,
} from '../cluster/index.js';
import type { Action, CtlFlow, ListSigner } from './plan.js';
import type { StepPlace } from './steps.js';

/** What a step says to the person who does it. */
export interface StepText {
  readonly title: string;
  readonly requires: readonly string[];
  readonly instructions: readonly string[];
  readonly undo: readonly string[];
}

type Writer<Kind extends Action['kind']> = (
  action: Extract<Action, { readonly kind: Kind }>,
  place: StepPlace,
) => StepText;

const flowTitles: Readonly<Record<CtlFlow, string>> = {
  'create-token': 'a new CTL that tokens sign',
  'create-tokenless': "a first CTL that the cluster's own key signs",
  update: 'the CTL again, with the present certificates',
  'add-token': 'the CTL with a further token',
  'to-token': 'the CTL changed from tokenless to tokens',
  'to-tokenless': 'the CTL changed from tokens to tokenless',
  'to-non-secure': 'the CTL with its servers emptied',
};

/** The commands of the cluster that do what a flow does. */
const clusterCommands: Readonly<Record<CtlFlow, string>> = {
  'create-token': 'the CTL client',
  'create-tokenless': 'utils ctl set-cluster mixed-mode',
  update: 'utils ctl update CTLFile',
  'add-token': 'the CTL client',
  'to-token': 'the CTL client',
  'to-tokenless': 'utils ctl set-cluster mixed-mode',
  'to-non-secure': 'utils ctl set-cluster non-secure-mode',
};

function namesWith(cluster: Cluster, service: Service): string {
  return nodesWith(cluster, service)
    .map(({ name }) => name)
    .join(', ');
}

/** One line for each service, and the nodes that run it. */
function restartServices(cluster: Cluster, services: readonly Service[]): readonly string[] {
  return services.flatMap((service) => {
    const nodes = namesWith(cluster, service);
    const center = service === 'TVS' ? 'Control Center - Network Services' : 'Control Center - Feature Services';
    return nodes === ''
      ? []
      : [`Cisco Unified Serviceability > Tools > ${center}: restart ${serviceNames[service]} on ${nodes}.`];
  });
}

function onlyNode(cluster: Cluster, node: string): Cluster {
  return { ...cluster, nodes: cluster.nodes.filter(({ name }) => name === node) };
}

function describeSigner(signer: ListSigner): string {
  return signer.kind === 'token'
    ? `the token ${signer.certificate.subject} (serial ${signer.certificate.serialNumber})`
    : `the publisher's ${signer.name} key`;
}

const restartAllPhones = [
  'Cisco Unified CM Administration > System > Enterprise Parameters: Reset, which restarts every phone.',
  'Wait until as many phones are registered as before; phones that are switched off restart when they come back.',
];

const noUndo = ['Nothing has to be taken back.'];

function clusterSecurityMode(mode: SecurityMode): string {
  const value = mode === 'mixed' ? '1 (mixed)' : '0 (non-secure)';
  return `Cisco Unified CM Administration > System > Enterprise Parameters: Cluster Security Mode must read ${value}.`;
}

/** The CTL of before is served again, the cluster is in the mode of before, and the phones take it. */
function putBackCtl({ cluster }: StepPlace['before'], services: readonly Service[]): readonly string[] {
  return [
    'Put the CTLFile.tlv back that was served before: "migrate undo" has kept it.',
    clusterSecurityMode(cluster.securityMode),
    ...restartServices(cluster, services),
    ...restartAllPhones,
  ];
}

/** How each kind of action is told. Menus and commands are those of the cluster's own pages and command line. */
export const stepTexts: { readonly [Kind in Action['kind']]: Writer<Kind> } = {
  upload: ({ store, certificates }, { after }) => ({
    title: `Upload ${certificates.length === 1 ? 'a certificate' : `${String(certificates.length)} certificates`} to ${store}`,
    requires: ['The certificates are there as files: "token export" writes those of tokens.'],
    instructions: [
      ...certificates.map(
        ({ subject, sha1 }) =>
          `Cisco Unified OS Administration > Security > Certificate Management > Upload Certificate, purpose ${store}: ${subject} (SHA-1 ${sha1}).`,
      ),
      ...restartServices(after.cluster, ['TVS']),
      `Name the same files under trustStores, ${store}, in the cluster file.`,
    ],
    undo: [
      `Delete the certificates from ${store} and from the cluster file, and restart TVS. They harm nobody where they are.`,
    ],
  }),
  'start-tvs': ({ node }) => ({
    title: `Start TVS on ${node}`,
    requires: [],
    instructions: [
      `Cisco Unified Serviceability > Tools > Control Center - Network Services: start ${serviceNames.TVS} on ${node}.`,
    ],
    undo: noUndo,
  }),
  'add-tvs-servers': ({ nodes }) => ({
    title: `Give the phones a further TVS server: ${nodes.join(', ')}`,
    requires: nodes.map((node) => `TVS runs on ${node}.`),
    instructions: [
      `Cisco Unified CM Administration > System > Cisco Unified CM Group: add ${nodes.join(', ')} to the group of the phones.`,
      'A phone has TVS on the first three nodes of its group.',
    ],
    undo: ['Take the nodes out of the Cisco Unified CM Group again.'],
  }),
  'build-ctl': ({ flow, signer, tokens }) => ({
    title: `Build ${flowTitles[flow]}, signed by ${describeSigner(signer)}`,
    requires: [
      signer.kind === 'token'
        ? `${describeSigner(signer)} is plugged in.`
        : `The cluster file names the key of the publisher's ${signer.name}.`,
      ...tokens.map(
        ({ subject }) => `${subject}: the token is plugged in, or its certificate is given with --token-certificate.`,
      ),
    ],
    instructions: ['etoken-bridge builds the list, signs and verifies it. No phone sees it yet.'],
    undo: ['The file that was built is not used.'],
  }),
  'publish-ctl': ({ securityMode }, { before, after }) => ({
    title: `Serve the new CTL on every TFTP node (${namesWith(after.cluster, 'TFTP')})`,
    requires: ['A copy of the CTL that is served now is kept.'],
    instructions: [
      `Cisco Unified OS Administration > Software Upgrades > TFTP File Management on ${namesWith(after.cluster, 'TFTP')}: delete CTLFile.tlv, and upload the new one under this name, directory empty.`,
      clusterSecurityMode(securityMode),
      ...restartServices(after.cluster, ['TFTP', 'CallManager']),
    ],
    undo: putBackCtl(before, ['TFTP', 'CallManager']),
  }),
  'cluster-ctl': ({ flow, signer }, { before, after }) => ({
    title: `Let the cluster write ${flowTitles[flow]}, signed by ${describeSigner(signer)}`,
    requires: ['A copy of the CTL that is served now is kept.'],
    instructions: [
      `On the command line of the publisher (${after.cluster.nodes[0]?.name ?? ''}): ${clusterCommands[flow]}`,
      ...restartServices(after.cluster, ['TFTP', 'CallManager']),
    ],
    undo: putBackCtl(before, ['TFTP', 'CallManager']),
  }),
  renew: ({ node, certificate }, { after }) => ({
    title: `Renew the ${certificate} certificate of ${node}`,
    requires: [],
    instructions: [
      certificate === 'ITLRecovery'
        ? `On the command line of ${node}: set cert regen ITLRecovery`
        : `On the command line of ${node}: set cert regen ${certificate}`,
      ...restartsAfterRenewal[certificate].flatMap(({ service, on }) =>
        restartServices(on === 'all' ? after.cluster : onlyNode(after.cluster, node), [service]),
      ),
      'Download the new certificate, and put it where the cluster file names the old one.',
    ],
    undo: [
      'A certificate that was renewed does not come back: restore it, with its key, from the backup of the disaster recovery system.',
    ],
  }),
  rename: ({ node, name }) => ({
    title: `Give ${node} the name ${name}, which makes all of its certificates anew`,
    requires: ['A backup of the disaster recovery system was made today.'],
    instructions: [
      `On the command line of ${node}: set network hostname ${name}`,
      'Wait until the node has restarted and "utils dbreplication runtimestate" shows it in sync.',
      'Change the name in the cluster file, and put the new certificates where it names the old ones.',
    ],
    undo: [`Rename the node to ${node} again; its certificates are then new once more.`],
  }),
  'remove-ctl-file': (_action, { before }) => ({
    title: 'Take the CTL file from every TFTP node',
    requires: ['A copy of the CTL that is served now is kept.'],
    instructions: [
      ...nodesWith(before.cluster, 'TFTP').map(
        ({ name }) => `On the command line of ${name}: file delete tftp CTLFile.tlv`,
      ),
      ...restartServices(before.cluster, ['TFTP']),
    ],
    undo: putBackCtl(before, ['TFTP']),
  }),
  'empty-itls': (_action, { after }) => ({
    title: 'Empty the ITLs, so that phones without a CTL accept any list',
    requires: [],
    instructions: [
      'Cisco Unified CM Administration > System > Enterprise Parameters: set "Prepare Cluster for Rollback to pre 8.0" to True.',
      ...restartServices(after.cluster, ['TVS', 'TFTP']),
    ],
    undo: [
      'Set "Prepare Cluster for Rollback to pre 8.0" to False, restart the same services, and restart all phones.',
    ],
  }),
  'fill-itls': (_action, { after }) => ({
    title: 'Serve whole ITLs again',
    requires: [],
    instructions: [
      'Cisco Unified CM Administration > System > Enterprise Parameters: set "Prepare Cluster for Rollback to pre 8.0" to False.',
      ...restartServices(after.cluster, ['TVS', 'TFTP']),
    ],
    undo: ['Set "Prepare Cluster for Rollback to pre 8.0" to True again, and restart the same services.'],
  }),
  'change-release': ({ release }) => ({
    title: `Bring the cluster to release ${release}`,
    requires: [
      'A backup of the disaster recovery system was made today, and ITLRecovery.p12 is kept outside the cluster.',
    ],
    instructions: [
      `Install release ${release} on every node, the publisher first, and switch to it.`,
      'Change the release in the cluster file; put the certificates there that the new release made.',
    ],
    undo: ['Switch back to the former version on every node.'],
  }),
  'move-phones': () => ({
    title: 'Point the phones to the TFTP servers of the new cluster',
    requires: ['TVS of the old cluster runs on, until every phone has its new lists.'],
    instructions: [
      'Change DHCP option 150 (or the TFTP servers at each phone) to the TFTP servers of the new cluster.',
    ],
    undo: ['Change DHCP option 150 back.'],
  }),
  'restart-phones': () => ({
    title: 'All phones restart, and take what is served now',
    requires: [],
    instructions: restartAllPhones,
    undo: noUndo,
  }),
  'delete-list': ({ list, groups }, { situation }) => {
    const what = { ctl: 'the CTL', itl: 'the ITL', both: 'CTL and ITL' }[list];
    const count = groups.reduce((sum, index) => sum + (situation.phones[index]?.devices.length ?? 0), 0);
    const key = list === 'ctl' ? 'CTL File' : list === 'itl' ? 'ITL File' : 'CTL File and ITL File';
    return {
      title: `Delete ${what} by hand at ${count === 1 ? '1 phone' : `${String(count)} phones`}`,
      requires: [],
      instructions: [
        `At each phone of group ${groups.map(String).join(', ')}: Settings > Security Configuration > Trust List > ${key}, unlock with **#, Erase. Other models: Admin Settings > Reset Settings > Security Settings.`,
      ],
      undo: noUndo,
    };
  },
};
