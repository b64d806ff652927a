import { printable } from '../../bytes/index.js';
import { certificateNames, loadCluster, type CertificateName, type Cluster } from '../../cluster/index.js';
import { ctlMode } from '../../ctl/index.js';
import { DeviceError, InputError } from '../../errors.js';
import {
  formatPhonesCsv,
  formatPlan,
  planMigration,
  type CentralTftp,
  type Plan,
  type PhoneGroup,
  type Renewal,
  type Situation,
  type TvsState,
  type Wanted,
  type WantedMode,
} from '../../migration/index.js';
import type { TrustList } from '../../trust-list/index.js';
import type { Certificate } from '../../x509/index.js';
import { readCertificate } from '../certificates.js';
import { exitCode } from '../exit-code.js';
import { checkOutput, writeOutput, type OutputPlace } from '../files.js';
import { readPhones, type InventoryOptions, type ReadPhones } from '../inventory.js';
import { readByNode, requireNode } from '../live-servers.js';
import type { Output } from '../output.js';
import { SignerSource } from '../signers.js';
import { parseCheck, parseTimestamp } from './ctl-build.js';
import type { BuildOptions } from './ctl-options.js';
import { formatSummary } from './migrate-show.js';
import { loadHeldList } from './trust-list.js';

/** The options of `migrate plan`. */
export interface PlanCommandOptions extends BuildOptions, Omit<InventoryOptions, 'phones'> {
  readonly cluster: string;
  readonly to?: WantedMode;
  readonly ctl?: string;
  readonly itl?: readonly string[];
  readonly phones?: readonly string[];
  readonly renew?: readonly string[];
  readonly rename?: readonly string[];
  readonly toRelease?: string;
  readonly destination?: string;
  readonly destinationCtl?: string;
  readonly destinationItl?: readonly string[];
  readonly tvsStopped?: readonly string[];
  readonly tvsUnreachable?: readonly string[];
  readonly centralTftp?: readonly string[];
  readonly lost?: string;
}

/** Where a plan goes unless it is told. */
const usualPlanFile = 'migration.yaml';

/** `migrate plan`. Exit code 1 when the plan loses phones, or nobody can tell of some. */
export async function planFromFiles(options: PlanCommandOptions, output: Output): Promise<number> {
  const places = outputPlaces(options);
  for (const place of places) await checkOutput(place);
  const cluster = await loadCluster(options.cluster);
  const lists = await loadLists(cluster, options.ctl, options.itl, '--itl');
  const wanted = await readWish(cluster, options);
  const tokens = await tokensAtHand(options, lists.ctl, wanted, output);
  const read = await readInventories(options, cluster, lists, wanted, output);
  const situation: Situation = {
    cluster,
    ...lists,
    tvs: readTvsStates(cluster, options),
    tokens,
    phones: read?.groups ?? typicalPhones(lists),
    centralTftp: readCentralTftp(options.centralTftp),
  };
  const plan = await planMigration(situation, wanted, {
    now: options.timestamp === undefined ? new Date() : parseTimestamp(options.timestamp),
    accept: (options.accept ?? []).map(parseCheck),
  });
  return writePlan(plan, situation, read, places, output);
}

async function writePlan(
  plan: Plan,
  { phones }: Situation,
  read: ReadPhones | undefined,
  [place, lostPlace]: readonly OutputPlace[],
  output: Output,
): Promise<number> {
  const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
  const written = await writeOutput({ path: usualPlanFile, ...place, bytes: encode(formatPlan(plan)) });
  const lost =
    lostPlace === undefined || read === undefined
      ? undefined
      : await writeOutput({
          ...lostPlace,
          inputs: [...(lostPlace.inputs ?? []), ...read.files],
          bytes: encode(lostCsv(plan, phones, read)),
        });
  output.result(formatSummary(plan), {
    path: written.path,
    backup: written.backup ?? null,
    lost: lost?.path ?? null,
    plan,
  });
  output.note(
    `the plan is ${printable(written.path)}; next: etoken-bridge migrate apply ${printable(written.path)} --cluster FILE`,
  );
  if (written.backup !== undefined) output.note(`the previous plan is ${printable(written.backup)}`);
  if (read === undefined) {
    output.note(
      'no inventory was given: the plan was tried with a typical phone that holds the lists that are served; --phones names real ones',
    );
  }
  return plan.phones.lost + plan.phones.unknown === 0 ? exitCode.done : exitCode.no;
}

function lostCsv({ phones }: Plan, groups: readonly PhoneGroup[], { inventory }: ReadPhones): string {
  const verdicts = phones.groups.flatMap(({ group: index, outcome, step, rule, reason }) => {
    const group = groups[index];
    if (group === undefined || outcome === 'kept') return [];
    const place = step === undefined ? '' : `${step}: `;
    return [{ group, fate: outcome, because: { rule: rule ?? '', reason: `${place}${reason ?? ''}` } }];
  });
  return formatPhonesCsv(inventory, verdicts);
}

function outputPlaces(options: PlanCommandOptions): readonly [OutputPlace, ...OutputPlace[]] {
  const { cluster, ctl, itl = [], phones = [], destination, destinationCtl, tokenCertificate = [], lost } = options;
  const itls = [...itl, ...(options.destinationItl ?? [])].map((text) => text.replace(/^[^=]*=/, ''));
  const named = [cluster, ctl, destination, destinationCtl, ...itls, ...phones, ...tokenCertificate];
  const inputs = named.filter((path) => path !== undefined && path !== '-') as string[];
  const out = options.out ?? usualPlanFile;
  const place = { path: out, inputs, ...(options.out === undefined ? { updates: out } : {}) };
  if (lost === undefined) return [place];
  if (phones.length === 0) {
    throw new InputError('missing-option', '--lost writes the phones of an inventory, and none is given', {
      hint: 'give --phones FILE',
    });
  }
  return [place, { path: lost, inputs: [...inputs, out], option: '--lost' }];
}

type Lists = Pick<Situation, 'ctl' | 'itls'>;

/** The lists that the servers of a cluster serve. With one TFTP node its ITL needs no name. */
async function loadLists(
  cluster: Cluster,
  ctl: string | undefined,
  texts: readonly string[] | undefined,
  option: string,
): Promise<Lists> {
  const [only, another] = cluster.nodes.filter(({ services }) => services.includes('TFTP'));
  const named = (texts ?? []).map((text) =>
    only !== undefined && another === undefined && !text.startsWith(`${only.name}=`) ? `${only.name}=${text}` : text,
  );
  const paths = readByNode(option, named, (path) => path, 'FILE');
  const itls: Record<string, TrustList> = {};
  for (const [node, path] of paths) {
    requireNode(cluster, option, node);
    itls[node] = await loadHeldList(path, 'ITL');
  }
  return { ctl: ctl === undefined ? undefined : await loadHeldList(ctl, 'CTL'), itls };
}

async function readWish(cluster: Cluster, options: PlanCommandOptions): Promise<Wanted> {
  const { to, renew = [], rename = [], toRelease, destination } = options;
  const renewals = renew.flatMap((text) => readRenewals(cluster, text));
  const renamings = [...readByNode('--rename', rename, (name) => name, 'NEW-NAME')].map(([node, name]) => ({
    node,
    name,
  }));
  const other = destination === undefined ? undefined : await loadCluster(destination);
  const lists =
    other === undefined
      ? undefined
      : await loadLists(other, options.destinationCtl, options.destinationItl, '--destination-itl');
  return {
    ...(to === undefined ? {} : { mode: to }),
    ...(renewals.length === 0 ? {} : { renewals }),
    ...(renamings.length === 0 ? {} : { renamings }),
    ...(toRelease === undefined ? {} : { release: toRelease }),
    ...(other === undefined || lists === undefined ? {} : { destination: { cluster: other, tvs: {}, ...lists } }),
  };
}

/** `NODE=CERTIFICATE[,CERTIFICATE…]` */
function readRenewals(cluster: Cluster, text: string): readonly Renewal[] {
  return [...readByNode('--renew', [text], (names) => names.split(','), 'CERTIFICATE[,CERTIFICATE…]')].flatMap(
    ([node, names]) => {
      requireNode(cluster, '--renew', node);
      return names.map((name) => ({ node, certificate: readCertificateName(name.trim()) }));
    },
  );
}

function readCertificateName(text: string): CertificateName {
  const found = certificateNames.find((name) => name.toLowerCase() === text.toLowerCase());
  if (found !== undefined) return found;
  throw new InputError('usage', `--renew: ${printable(text)} is no certificate of a node`, {
    hint: `the certificates are ${certificateNames.join(', ')}`,
  });
}

/** Tokens that are plugged in count where tokens matter; no PIN is asked for. */
async function tokensAtHand(
  options: PlanCommandOptions,
  ctl: TrustList | undefined,
  wanted: Wanted,
  output: Output,
): Promise<readonly Certificate[]> {
  const given = await Promise.all((options.tokenCertificate ?? []).map(readCertificate));
  const matter = wanted.mode === 'token' || (ctl !== undefined && ctlMode(ctl) === 'token');
  if (!matter) return given;
  const source = new SignerSource(options, output);
  try {
    const plugged = (await source.pluggedTokens()).map(({ certificate }) => certificate);
    return [...plugged, ...given.filter((one) => !plugged.some((other) => Buffer.compare(one.der, other.der) === 0))];
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
    if (given.length === 0) output.warning(`no token was looked at: ${error.message}`);
    return given;
  } finally {
    await source.close();
  }
}

async function readInventories(
  options: PlanCommandOptions,
  { nodes }: Cluster,
  { ctl, itls }: Lists,
  wanted: Wanted,
  output: Output,
): Promise<ReadPhones | undefined> {
  const { phones } = options;
  if (phones === undefined) {
    if (options.lists !== undefined || options.strict === true) {
      throw new InputError('missing-option', '--lists and --strict belong to an inventory, and none is given', {
        hint: 'give --phones FILE',
      });
    }
    return undefined;
  }
  const served = [...(ctl === undefined ? [] : [ctl]), ...Object.values(itls)].map((list) => ({
    name: 'served',
    list,
  }));
  const others = wanted.destination === undefined ? [] : Object.values(wanted.destination.itls);
  return readPhones({ ...options, phones }, output, {
    lists: [...served, ...others.map((list) => ({ name: 'destination', list }))],
    tvsServers: nodes.filter(({ services }) => services.includes('TVS')).map(({ name }) => name),
  });
}

/** Without an inventory: phones that hold what is served, with and without Security by Default. */
function typicalPhones({ ctl, itls }: Lists): readonly PhoneGroup[] {
  const held = (list: TrustList | undefined): PhoneGroup['ctl'] =>
    list === undefined ? { kind: 'none' } : { kind: 'known', list };
  const [itl] = Object.values(itls);
  return [
    { devices: ['a typical phone'], securityByDefault: true, ctl: held(ctl), itl: held(itl), tvsServers: [] },
    {
      devices: ['a phone without Security by Default'],
      securityByDefault: false,
      ctl: held(ctl),
      itl: { kind: 'none' },
      tvsServers: [],
    },
  ];
}

function readTvsStates(
  cluster: Cluster,
  { tvsStopped = [], tvsUnreachable = [] }: PlanCommandOptions,
): Record<string, TvsState> {
  const states: Record<string, TvsState> = {};
  const set = (option: string, nodes: readonly string[], state: TvsState): void => {
    for (const node of nodes) {
      requireNode(cluster, option, node);
      if (states[node] !== undefined) {
        throw new InputError('usage', `TVS of ${node} is said to be stopped and unreachable`, {
          hint: 'say one of both',
        });
      }
      states[node] = state;
    }
  };
  set('--tvs-stopped', [...new Set(tvsStopped)], 'stopped');
  set('--tvs-unreachable', [...new Set(tvsUnreachable)], 'unreachable');
  return states;
}

/** `CLUSTER=per-device` or `CLUSTER=common`, for each cluster behind a central TFTP server. */
function readCentralTftp(texts: readonly string[] | undefined): CentralTftp | undefined {
  if (texts === undefined) return undefined;
  const named = readByNode(
    '--central-tftp',
    texts,
    (how) => {
      if (how === 'per-device' || how === 'common') return how === 'per-device';
      throw new InputError('usage', `--central-tftp: ${printable(how)} is neither per-device nor common`, {
        hint: 'write CLUSTER=per-device where TFTP serves ITLSEP<MAC>.tlv, and CLUSTER=common where it serves ITLFile.tlv only',
      });
    },
    'per-device or =common',
  );
  return { clusters: [...named].map(([name, perDevice]) => ({ name, perDevice })) };
}
