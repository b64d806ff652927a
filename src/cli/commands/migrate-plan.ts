import { printable } from '../../bytes/index.js';
import { loadCluster, nodesWith, type Cluster } from '../../cluster/index.js';
import { ctlMode } from '../../ctl/index.js';
import { DeviceError, InputError } from '../../errors.js';
import {
  formatPhonesCsv,
  formatPlan,
  planMigration,
  type GroupVerdict,
  type Plan,
  type PhoneGroup,
  type Situation,
  type Wanted,
  type WantedMode,
} from '../../migration/index.js';
import type { TrustList } from '../../trust-list/index.js';
import type { Certificate } from '../../x509/index.js';
import { readCertificate } from '../certificates.js';
import { exitCode } from '../exit-code.js';
import { checkOutput, writeOutput, type OutputPlace } from '../files.js';
import { readPhones, type InventoryOptions, type ReadPhones } from '../inventory.js';
import type { Output } from '../output.js';
import { SignerSource } from '../signers.js';
import { parseCheck, parseTimestamp } from './ctl-build.js';
import type { BuildOptions } from './ctl-options.js';
import { describeDeletion, formatSummary } from './migrate-show.js';
import { loadLists, readCentralTftp, readTvsStates, readWish, type Lists } from './migrate-wish.js';

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
    phones: read?.groups ?? typicalPhones(cluster, lists),
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
  const unusable = read?.unusable ?? 0;
  const more = unusable === 0 ? '' : `lines of the inventory that cannot be used: ${String(unusable)}\n`;
  output.result(`${formatSummary(plan)}${more}`, {
    path: written.path,
    backup: written.backup ?? null,
    lost: lost?.path ?? null,
    unusable,
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
  return plan.phones.lost + plan.phones.unknown + unusable === 0 ? exitCode.done : exitCode.no;
}

/** The phones that somebody has to look after: lost ones, unknown ones, and those at which a list is deleted. */
function lostCsv({ phones, steps }: Plan, groups: readonly PhoneGroup[], { inventory }: ReadPhones): string {
  const visited = new Set(steps.flatMap(({ action }) => (action.kind === 'delete-list' ? action.groups : [])));
  const verdicts = phones.groups.flatMap(({ group: index, outcome, step, rule, reason, deletion }) => {
    const group = groups[index];
    if (group === undefined || (outcome === 'kept' && !visited.has(index))) return [];
    const words = [
      `group ${String(index)}`,
      ...(step === undefined ? [] : [`at ${step}`]),
      ...(reason === undefined ? [] : [reason]),
      describeDeletion(outcome, deletion ?? (visited.has(index) ? deletedList(steps, index) : undefined)),
    ];
    return [{ group, fate: outcome, because: { rule: rule ?? '', reason: words.filter(Boolean).join('; ') } }];
  });
  return formatPhonesCsv(inventory, verdicts, ['lost', 'unknown', 'kept']);
}

function deletedList(steps: Plan['steps'], group: number): GroupVerdict['deletion'] {
  const step = steps.find(({ action }) => action.kind === 'delete-list' && action.groups.includes(group));
  return step?.action.kind === 'delete-list' ? step.action.list : undefined;
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
  cluster: Cluster,
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
    tvsServers: nodesWith(cluster, 'TVS').map(({ name }) => name),
  });
}

/**
 * Without an inventory: phones that hold what is served, with an ITL of each TFTP node and without one.
 *
 * @throws InputError `missing-option` for a node whose ITL is not given: a phone that held none would take any.
 */
function typicalPhones(cluster: Cluster, { ctl, itls }: Lists): readonly PhoneGroup[] {
  const nodes = nodesWith(cluster, 'TFTP');
  const missing = nodes.filter(({ name }) => itls[name] === undefined).map(({ name }) => name);
  if (missing.length > 0) {
    throw new InputError('missing-option', `the ITL of ${missing.join(', ')} is not given, and phones hold it`, {
      hint: `fetch it ("etoken-bridge tftp get ${missing[0] ?? ''} ITLFile.tlv"), and give --itl ${missing[0] ?? 'NODE'}=FILE; or give an inventory with --phones`,
    });
  }
  const held = (list: TrustList | undefined): PhoneGroup['ctl'] =>
    list === undefined ? { kind: 'none' } : { kind: 'known', list };
  const common = { ctl: held(ctl), tvsServers: [] };
  return [
    ...nodes.map(({ name }) => ({
      ...common,
      devices: [`a typical phone at ${name}`],
      securityByDefault: true,
      itl: held(itls[name]),
      tftpServer: name,
    })),
    {
      ...common,
      devices: ['a phone without Security by Default'],
      securityByDefault: false,
      itl: { kind: 'none' },
    },
  ];
}
