import { printable } from '../../bytes/index.js';
import {
  untold,
  type FleetFate,
  type FleetVerdict,
  type HeldList,
  type KnownLists,
  type ListVerdict,
  type Offer,
  type PhoneGroup,
} from '../../migration/index.js';
import { digestOf } from '../../signer/index.js';
import { formatHex } from '../../bytes/index.js';
import type { ReadPhones } from '../inventory.js';
import { describeDecision } from '../virtual-phone.js';
import type { Decision } from '../../phone/index.js';

/** Whether anything is offered to phones. */
export function isOffered({ ctl, itls }: Offer): boolean {
  return ctl !== undefined || itls.length > 0;
}

/** How many phones have each fate. */
export function countFates(verdicts: readonly FleetVerdict[]): Readonly<Record<FleetFate, number>> {
  const counts = { kept: 0, 'needs-tvs': 0, lost: 0, unknown: 0 };
  for (const { fate, group } of verdicts) if (fate !== undefined) counts[fate] += group.devices.length;
  return counts;
}

/** What `fleet check` prints: each group, then the sum. */
export function formatFleet(phones: ReadPhones, verdicts: readonly FleetVerdict[], offer: Offer): string {
  const groups = verdicts.map((verdict) => `${formatGroup(verdict, phones.known, offer)}\n`);
  return [...groups, formatSum(verdicts, phones, isOffered(offer))].join('\n');
}

function formatGroup({ group, lists, fate, because }: FleetVerdict, known: KnownLists, offer: Offer): string {
  const { devices, securityByDefault, tvsServers, tftpServer } = group;
  const traits = [
    `CTL ${formatHeld(group.ctl, known)}`,
    ...(securityByDefault ? [`ITL ${formatHeld(group.itl, known)}`] : ['no Security by Default']),
  ];
  const servers = [
    ...(securityByDefault ? [`TVS servers ${tvsServers.map(printable).join(', ') || 'none'}`] : []),
    ...(tftpServer === undefined ? [] : [`TFTP server ${printable(tftpServer)}`]),
  ];
  return [
    `${count(devices.length)}: ${traits.join(', ')}`,
    `  ${[...devices.slice(0, 3).map(printable), ...(devices.length > 3 ? ['…'] : [])].join(' ')}`,
    ...(servers.length === 0 ? [] : [`  ${servers.join('; ')}`]),
    ...lists.flatMap((verdict) => formatList(verdict, offer).map((line) => `  ${line}`)),
    ...(lists.length === 0 || fate === undefined ? [] : [`  ${describeFate(fate, because)}`]),
  ].join('\n');
}

const fateWords: Readonly<Record<FleetFate, string>> = {
  kept: 'kept',
  'needs-tvs': 'kept while TVS answers, lost without it',
  lost: 'LOST',
  unknown: 'nobody can tell',
};

function describeFate(fate: FleetFate, because: FleetVerdict['because']): string {
  return fate === 'unknown' && because !== undefined ? `${fateWords.unknown}: ${because.reason}` : fateWords[fate];
}

function formatList({ name, withTvs, withoutTvs }: ListVerdict, { cluster }: Offer): readonly string[] {
  if (withTvs === undefined || withoutTvs === undefined) return [];
  const title = printable(name);
  // Where TVS changes nothing, one line says it all.
  if (withTvs.accepted === withoutTvs.accepted) return [formatLine(title, withTvs)];
  const answering = cluster === undefined ? 'if TVS vouches for the signer' : 'with TVS of the cluster';
  return [formatLine(`${title}, ${answering}`, withTvs), formatLine(`${title}, while TVS does not answer`, withoutTvs)];
}

function formatLine(title: string, { accepted, rule, reason }: Decision): string {
  return `${title}: ${accepted ? 'accepted' : 'rejected'} by ${rule}: ${printable(reason)}`;
}

function formatHeld(held: HeldList, known: KnownLists): string {
  if (held.kind === 'none') return 'none';
  if (held.kind === 'unknown') return held.digest === untold ? held.digest : `${held.digest} (not at hand)`;
  const sha1 = sha1Of(held);
  return `${sha1} (${printable(known.find(sha1)?.name ?? 'at hand')})`;
}

function sha1Of({ list }: Extract<HeldList, { kind: 'known' }>): string {
  return formatHex(digestOf('sha1', list.bytes));
}

function formatSum(
  verdicts: readonly FleetVerdict[],
  { size, unusable }: Pick<ReadPhones, 'size' | 'unusable'>,
  offered: boolean,
): string {
  const { kept, 'needs-tvs': needsTvs, lost, unknown } = countFates(verdicts);
  const groups = `${String(verdicts.length)} ${verdicts.length === 1 ? 'group' : 'groups'}`;
  const lines =
    unusable === 0 ? '' : ` and ${String(unusable)} ${unusable === 1 ? 'line' : 'lines'} that cannot be used`;
  const fates = [
    `${String(kept)} kept`,
    ...(needsTvs === 0 ? [] : [`${String(needsTvs)} kept while TVS answers`]),
    `${String(lost)} lost`,
    ...(unknown + unusable === 0 ? [] : [`${String(unknown + unusable)} of which nobody can tell`]),
  ];
  return `${count(size)} in ${groups}${lines}${offered ? `: ${fates.join(', ')}` : ''}\n`;
}

function count(phones: number): string {
  return `${String(phones)} ${phones === 1 ? 'phone' : 'phones'}`;
}

/** What `fleet check --json` prints. Its keys are stable. */
export function describeFleet(
  { inventory, unknown, unusable, size, known }: ReadPhones,
  verdicts: readonly FleetVerdict[],
  offer: Offer,
  lostFile: { readonly path: string; readonly backup: string | null } | undefined,
): object {
  const { kept, 'needs-tvs': needsTvs, lost, unknown: undecided } = countFates(verdicts);
  // Nobody is kept or lost by nothing.
  const counted = (count: number): number | null => (isOffered(offer) ? count : null);
  return {
    phones: size,
    kept: counted(kept),
    needsTvs: counted(needsTvs),
    lost: counted(lost),
    unknown: counted(undecided + unusable),
    unusable,
    tvs: offer.cluster === undefined ? 'vouches' : 'cluster',
    groups: verdicts.map((verdict) => describeGroup(verdict, known)),
    unknownLists: unknown.map(({ kind, digest, phones, mixedUpWith }) => ({
      kind,
      digest: digest === untold ? null : digest,
      phones,
      mixedUpWith: mixedUpWith ?? null,
    })),
    problemCount: inventory.problemCount,
    problems: inventory.problems,
    notes: inventory.notes,
    lostFile: lostFile ?? null,
  };
}

function describeGroup({ group, fate, lists, because }: FleetVerdict, known: KnownLists): object {
  const { devices, securityByDefault, tvsServers, tftpServer } = group;
  const decision = (name: string, one: Decision | undefined): object | null =>
    one === undefined ? null : describeDecision(name, one);
  return {
    phones: devices.length,
    fate: fate ?? null,
    rule: because?.rule ?? null,
    reason: because?.reason ?? null,
    securityByDefault,
    ctl: describeHeld(group.ctl, known),
    itl: describeHeld(group.itl, known),
    tvsServers,
    tftpServer: tftpServer ?? null,
    lists: lists.map(({ kind, name, withTvs, withoutTvs }) => ({
      kind,
      name,
      withTvs: decision(name, withTvs),
      withoutTvs: decision(name, withoutTvs),
    })),
    devices,
  };
}

function describeHeld(held: PhoneGroup['ctl'], known: KnownLists): object {
  if (held.kind === 'none') return { kind: 'none', digest: null, name: null };
  if (held.kind === 'unknown') {
    return { kind: 'unknown', digest: held.digest === untold ? null : held.digest, name: null };
  }
  const digest = sha1Of(held);
  return { kind: 'known', digest, name: known.find(digest)?.name ?? null };
}
