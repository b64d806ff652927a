import {
  devicesByState,
  Shared,
  untold,
  type Inventory,
  type InventoryPhone,
  type InventoryProblem,
  type InventoryState,
  type UnusableLines,
  type UnusableRow,
} from './inventory-phone.js';
import type { KnownLists } from './known-lists.js';
import type { HeldList, PhoneGroup } from './situation.js';

/** A list that phones hold and that is not at hand. */
export interface UnknownList {
  readonly kind: 'ctl' | 'itl';
  /** In lower-case hex; 40 digits are SHA-1, 32 are MD5. {@link untold}: not even that is known. */
  readonly digest: string;
  /** How many phones hold it. */
  readonly phones: number;
  /** Set when a list has this checksum that is of the other kind: its name. */
  readonly mixedUpWith?: string | undefined;
}

/** The phones of an inventory by what they hold. */
export interface Fleet {
  /** The largest first. */
  readonly groups: readonly PhoneGroup[];
  readonly unknown: readonly UnknownList[];
  /** How many phones there are. */
  readonly size: number;
}

/**
 * Several inventories as one. A device that alarms and CSV tell of holds what its last alarm says, and is otherwise
 * what the CSV says. Of alarms in several files the last counts; a device in two CSV files is reported, and the first
 * is used.
 */
export function joinInventories(inventories: readonly Inventory[]): Inventory {
  const [only, ...others] = inventories;
  if (only !== undefined && others.length === 0) return only;
  const phones = new Map<string, InventoryPhone>();
  const problems: InventoryProblem[] = [];
  const contradicting: UnusableRow[] = [];
  let problemCount = 0;
  const shared = new Shared();
  for (const inventory of inventories) {
    problems.push(...inventory.problems);
    problemCount += inventory.problemCount;
    for (const phone of inventory.phones.values()) {
      const before = phones.get(phone.device);
      const joined = before === undefined ? phone : joinPhones(before, phone, shared);
      if (joined !== undefined) {
        phones.set(phone.device, joined);
        continue;
      }
      const place = before === undefined ? '' : `${before.source.file}, line ${String(before.line)}`;
      const message = `${phone.device} is in ${place}, too, which is used`;
      problemCount += 1;
      problems.push({ file: phone.source.file, line: phone.line, message });
      if (before === undefined || !saysTheSame(before.state, phone.state)) contradicting.push({ ...phone, message });
    }
  }
  const unusable = joinUnusable(inventories, contradicting);
  const sources = inventories.flatMap((one) => one.sources);
  const notes = inventories.flatMap((one) => one.notes);
  return { phones, states: devicesByState(phones.values()), sources, problems, problemCount, unusable, notes };
}

function saysTheSame(left: InventoryState, right: InventoryState): boolean {
  const shared = new Shared();
  return shared.state(left) === shared.state(right);
}

/** The lines that cannot be used, without those of phones that tell of themselves in a later alarm. */
function joinUnusable(inventories: readonly Inventory[], contradicting: readonly UnusableRow[]): UnusableLines {
  const isTold = ({ device, source }: UnusableRow, index: number): boolean =>
    inventories.some(
      ({ phones }, other) =>
        other !== index && phones.get(device)?.source.kind === 'alarms' && (source.kind === 'csv' || other > index),
    );
  const rows = inventories.map((one) => one.unusable.rows);
  const kept = rows.flatMap((own, index) => own.filter((row) => !isTold(row, index)));
  const nameless = inventories.reduce((sum, { unusable }) => sum + unusable.count - unusable.rows.length, 0);
  const others = contradicting.filter((row) => !isTold(row, -1));
  return { count: nameless + kept.length + others.length, rows: [...kept, ...others] };
}

/** `undefined` when one does not add to the other. */
function joinPhones(before: InventoryPhone, phone: InventoryPhone, shared: Shared): InventoryPhone | undefined {
  if (phone.source.kind === 'alarms') {
    return before.source.kind === 'alarms' ? phone : updatePhone(before, phone.state, shared);
  }
  return before.source.kind === 'alarms' ? updatePhone(phone, before.state, shared) : undefined;
}

/** A phone of a CSV file that holds what its alarm says; with an ITL it has Security by Default. */
function updatePhone(phone: InventoryPhone, { ctl, itl, tftpServer }: InventoryState, shared: Shared): InventoryPhone {
  const { state } = phone;
  const securityByDefault = state.securityByDefault || (itl !== undefined && itl !== untold);
  return {
    ...phone,
    state: shared.state({ ...state, ctl, itl, securityByDefault, tftpServer: tftpServer ?? state.tftpServer }),
  };
}

/** What is told where the inventory is silent. */
export interface GroupOptions {
  /** The TVS servers of phones whose inventory does not name any; none unless given. */
  readonly tvsServers?: readonly string[] | undefined;
}

/**
 * Groups phones that hold the same, and so decide the same. Lists are told by their SHA-1 or MD5 and looked up in those
 * at hand. Devices without Security by Default have neither ITL nor TVS (rule P11), whatever their inventory says.
 */
export function groupPhones(
  { states }: Pick<Inventory, 'states'>,
  known: KnownLists,
  { tvsServers = [] }: GroupOptions = {},
): Fleet {
  const lists = new HeldLists(known);
  const byKey = new Map<
    string,
    { readonly group: Omit<PhoneGroup, 'devices'>; readonly devices: (readonly string[])[] }
  >();
  for (const [state, devices] of states) {
    const { key, group } = describeGroup(state, lists, tvsServers);
    const entry = byKey.get(key);
    if (entry === undefined) byKey.set(key, { group, devices: [devices] });
    else entry.devices.push(devices);
  }
  const groups = [...byKey.values()].map(({ group, devices: [first = [], ...others] }) => ({
    ...group,
    devices: others.length === 0 ? first : [first, ...others].flat(),
  }));
  groups.sort((left, right) => right.devices.length - left.devices.length);
  const size = groups.reduce((sum, { devices }) => sum + devices.length, 0);
  return { groups, unknown: countUnknown(groups, lists), size };
}

function describeGroup(
  state: InventoryState,
  lists: HeldLists,
  usualServers: readonly string[],
): { readonly key: string; readonly group: Omit<PhoneGroup, 'devices'> } {
  const { securityByDefault, tftpServer } = state;
  const ctl = lists.held('ctl', state.ctl);
  const itl = lists.held('itl', securityByDefault ? state.itl : undefined);
  const told = (state.tvsServers ?? usualServers).slice(0, 3);
  const tvsServers = securityByDefault ? told : [];
  const group = { securityByDefault, ctl: ctl.list, itl: itl.list, tvsServers, tftpServer };
  const key = [ctl.number, itl.number, securityByDefault, tvsServers.join(' '), tftpServer ?? ''].join('|');
  return { key, group };
}

function countUnknown(groups: readonly PhoneGroup[], lists: HeldLists): readonly UnknownList[] {
  const counts = new Map<string, UnknownList>();
  for (const { ctl, itl, devices } of groups) {
    for (const [kind, held] of [['ctl', ctl] as const, ['itl', itl] as const]) {
      if (held.kind !== 'unknown') continue;
      const key = `${kind} ${held.digest}`;
      const phones = (counts.get(key)?.phones ?? 0) + devices.length;
      counts.set(key, { kind, digest: held.digest, phones, mixedUpWith: lists.mixedUp.get(key) });
    }
  }
  return [...counts.values()].sort((left, right) => right.phones - left.phones);
}

interface NumberedList {
  readonly number: number;
  readonly list: HeldList;
}

/** What phones hold, one object for each list. */
class HeldLists {
  /** Names of lists of the other kind, by kind and checksum. */
  readonly mixedUp = new Map<string, string>();
  readonly #known: KnownLists;
  readonly #held = new Map<string, NumberedList>();

  constructor(known: KnownLists) {
    this.#known = known;
  }

  held(kind: 'ctl' | 'itl', digest: string | undefined): NumberedList {
    // The MD5 and the SHA-1 of a list lead to one entry.
    const found = digest === undefined ? undefined : this.#known.find(digest);
    const key = `${kind} ${found?.sha1 ?? digest ?? ''}`;
    let held = this.#held.get(key);
    if (held === undefined) {
      held = { number: this.#held.size, list: this.#find(kind, digest) };
      this.#held.set(key, held);
    }
    return held;
  }

  #find(kind: 'ctl' | 'itl', digest: string | undefined): HeldList {
    if (digest === undefined) return { kind: 'none' };
    const known = this.#known.find(digest);
    if (known === undefined) return { kind: 'unknown', digest };
    if (known.kind === undefined || known.kind === kind.toUpperCase()) return { kind: 'known', list: known.list };
    // What a phone that never was would decide is no answer.
    this.mixedUp.set(`${kind} ${digest}`, known.name);
    return { kind: 'unknown', digest };
  }
}
