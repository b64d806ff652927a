import { printable } from '../bytes/index.js';
import {
  isAtLeast,
  nodesWith,
  publisherOf,
  type CertificateName,
  type Cluster,
  type ClusterNode,
} from '../cluster/index.js';
import type { StepCheck } from '../migration/index.js';
import { recordFunction, recordHolds, type TrustList, type TrustListRecord } from '../trust-list/index.js';
import type { Certificate } from '../x509/index.js';
import { describe, readSigned, type CheckContext, type CheckOutcome } from './live-outcome.js';
import { tftpNodeNames } from './live-servers.js';
import { sha1Of } from './migration-work.js';

/** The certificates that a node makes anew with its name. */
const ownCertificates: readonly CertificateName[] = ['CallManager', 'CAPF', 'TVS'];

/** The cluster file names another certificate than before, and every ITL that should hold it does. */
export async function certificateRenewed(
  { node: name, certificate: which, before }: Extract<StepCheck, { check: 'certificate-renewed' }>,
  context: CheckContext,
): Promise<CheckOutcome> {
  const present = presentCertificate(name, which, context);
  if ('holds' in present) return present;
  const { certificate } = present;
  if (sha1Of(certificate.der) === before) {
    const seen = `the cluster file still names the ${which} certificate of ${printable(name)} with SHA-1 ${before}`;
    return { holds: false, state: 'before', seen };
  }
  return inEveryItl(name, which, certificate, context);
}

/** The cluster file names the certificate of before again, and every ITL that should hold it does. */
export async function certificateRestored(
  name: string,
  which: CertificateName,
  wanted: string,
  context: CheckContext,
): Promise<CheckOutcome> {
  const present = presentCertificate(name, which, context);
  if ('holds' in present) return present;
  const came = sha1Of(present.certificate.der);
  if (came !== wanted) {
    const seen = `the cluster file names the ${which} certificate of ${printable(name)} with SHA-1 ${came}; that of before has ${wanted}`;
    return { holds: false, state: 'before', seen };
  }
  return inEveryItl(name, which, present.certificate, context);
}

function presentCertificate(
  name: string,
  which: CertificateName,
  { cluster }: CheckContext,
): { readonly certificate: Certificate } | CheckOutcome {
  const certificate = cluster.nodes.find((one) => one.name === name)?.certificates[which];
  if (certificate !== undefined) return { certificate };
  return { holds: false, state: 'other', seen: `the cluster file has no ${which} certificate of ${printable(name)}` };
}

/**
 * The cluster file names a node by its new name only, its own certificates are others than before, and the ITLs hold
 * them.
 */
export async function nodeRenamed(node: string, name: string, context: CheckContext): Promise<CheckOutcome> {
  const { cluster, certificatesBefore } = context;
  const renamed = cluster.nodes.find((one) => one.name === name);
  const before = (seen: string): CheckOutcome => ({ holds: false, state: 'before', seen });
  if (renamed === undefined) return before(`the cluster file has no node ${printable(name)}`);
  if (cluster.nodes.some((one) => one.name === node)) {
    return before(`the cluster file still has the node ${printable(node)}`);
  }
  for (const which of ownCertificates) {
    const certificate = renamed.certificates[which];
    const former = certificatesBefore[`${node} ${which}`];
    if (former === undefined) continue;
    if (certificate === undefined) return before(`the cluster file has no ${which} certificate of ${printable(name)}`);
    if (sha1Of(certificate.der) !== former) continue;
    return before(
      `the cluster file still names the ${which} certificate that ${printable(node)} had, with SHA-1 ${former}`,
    );
  }
  return ownInEveryItl(renamed, context);
}

/** The cluster file names a node by its former name only, and the ITLs hold its certificates. */
export async function nameRestored(node: string, name: string, context: CheckContext): Promise<CheckOutcome> {
  const { cluster } = context;
  const restored = cluster.nodes.find((one) => one.name === node);
  if (restored !== undefined && !cluster.nodes.some((one) => one.name === name))
    return ownInEveryItl(restored, context);
  return {
    holds: false,
    state: 'before',
    seen: `the cluster file does not call ${printable(name)} ${printable(node)}`,
  };
}

async function ownInEveryItl({ name, certificates }: ClusterNode, context: CheckContext): Promise<CheckOutcome> {
  for (const which of ownCertificates) {
    const certificate = certificates[which];
    if (certificate === undefined) continue;
    const outcome = await inEveryItl(name, which, certificate, context);
    if (!outcome.holds) return outcome;
  }
  return { holds: true, seen: `the cluster file and the ITLs have ${printable(name)} with its certificates` };
}

async function inEveryItl(
  name: string,
  which: CertificateName,
  certificate: Certificate,
  context: CheckContext,
): Promise<CheckOutcome> {
  for (const holder of itlHoldersOf(context.cluster, name, which)) {
    const outcome = await itlHolds(holder, certificate, which, context);
    if (!outcome.holds) return outcome;
  }
  return { holds: true, seen: `the ${which} certificate of ${printable(name)} is ${describe(certificate)}` };
}

/** Whose ITL holds a node's certificate: its own holds its CallManager; TVS, CAPF and ITLRecovery stand in all of them. */
function itlHoldersOf(cluster: Cluster, name: string, which: CertificateName): readonly string[] {
  const serving = tftpNodeNames(cluster);
  const runs = (service: 'CAPF' | 'TVS'): readonly string[] => nodesWith(cluster, service).map((node) => node.name);
  switch (which) {
    case 'CallManager':
      return serving.filter((node) => node === name);
    case 'TVS':
      return runs('TVS').includes(name) ? serving : [];
    case 'CAPF':
      return runs('CAPF')[0] === name ? serving : [];
    case 'ITLRecovery':
      return publisherOf(cluster).name === name && isAtLeast(cluster.release, '10.0') ? serving : [];
  }
}

async function itlHolds(
  node: string,
  certificate: Certificate,
  which: CertificateName,
  context: CheckContext,
): Promise<CheckOutcome> {
  const name = context.servers.tftpName(node);
  const list = await servedItl(node, context);
  // Before 8.0 there is none.
  if (list === undefined) return { holds: true, seen: `${name} has no ITLFile.tlv` };
  if ('holds' in list) return list;
  const holds = list.records.some((record) => recordHolds(record, certificate.der));
  if (holds || (which === 'TVS' && isEmptied(list))) return { holds: true, seen: name };
  const seen = `the ITL that ${name} serves does not hold the ${which} certificate ${describe(certificate)}`;
  return { holds: false, state: 'before', seen };
}

/** The ITL of a TFTP node; `undefined` when it has none, an outcome when it has one that cannot be used. */
async function servedItl(
  node: string,
  { servers }: Pick<CheckContext, 'servers'>,
): Promise<TrustList | CheckOutcome | undefined> {
  const bytes = await servers.fetch(node, 'ITLFile.tlv');
  if (bytes === undefined) return undefined;
  const reading = readSigned(bytes);
  if (!('problem' in reading)) return reading.list;
  return {
    holds: false,
    state: 'other',
    seen: `${servers.tftpName(node)} serves an ITLFile.tlv that ${reading.problem}`,
  };
}

/** What a rollback empties (rule P6). */
const emptiedFunctions: readonly number[] = [recordFunction.ccmTftp, recordFunction.tftp, recordFunction.tvs];

function serverRecords({ records }: TrustList): readonly TrustListRecord[] {
  return records.filter((record) => emptiedFunctions.includes(record.function));
}

function isEmptied(list: TrustList): boolean {
  return serverRecords(list).every(
    ({ certificate, certificateHash }) => certificate === undefined && certificateHash === undefined,
  );
}

/** The TFTP and TVS records of a node's ITL hold no certificate. */
export async function itlEmptied(node: string, context: CheckContext): Promise<CheckOutcome> {
  const name = context.servers.tftpName(node);
  const list = await servedItl(node, context);
  if (list === undefined) return { holds: false, state: 'before', seen: `${name} has no ITLFile.tlv` };
  if ('holds' in list) return list;
  if (isEmptied(list)) return { holds: true, seen: `${name} serves an emptied ITL` };
  const seen = `the ITL that ${name} serves has TFTP or TVS records with certificates`;
  return { holds: false, state: 'before', seen };
}

/** The TFTP and TVS records of a node's ITL hold the certificates of the cluster file. */
export async function itlFilled(node: string, context: CheckContext): Promise<CheckOutcome> {
  const name = context.servers.tftpName(node);
  const list = await servedItl(node, context);
  if (list === undefined) return { holds: false, state: 'before', seen: `${name} has no ITLFile.tlv` };
  if ('holds' in list) return list;
  const records = serverRecords(list);
  for (const { name: holder, certificates, services } of context.cluster.nodes) {
    const names = [
      ...(holder === node ? (['CallManager'] as const) : []),
      ...(services.includes('TVS') ? (['TVS'] as const) : []),
    ];
    for (const which of names) {
      const certificate = certificates[which];
      if (certificate === undefined || records.some((record) => recordHolds(record, certificate.der))) continue;
      const seen = `the ITL that ${name} serves has no TFTP or TVS record with the ${which} certificate of ${printable(holder)}`;
      return { holds: false, state: 'before', seen };
    }
  }
  return { holds: true, seen: `${name} serves a whole ITL` };
}
