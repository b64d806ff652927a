import { describe, expect, test } from 'vitest';
import type { Cluster } from '../../src/cluster/index.js';
import {
  formatPhonesCsv,
  groupPhones,
  joinInventories,
  judgeAgainst,
  judgeFleet,
  KnownLists,
  readInventory,
  untold,
  type FleetVerdict,
  type HeldList,
  type Inventory,
  type Offer,
  type PhoneGroup,
} from '../../src/migration/index.js';
import {
  acceptsTvsServer,
  createPhone,
  decide,
  offerTrustList,
  type PhoneState,
  type TvsQuestion,
  type TvsReply,
} from '../../src/phone/index.js';
import { uploadedCertificates } from '../../src/cluster/index.js';
import { signingRecords, type TrustList } from '../../src/trust-list/index.js';
import { createTvsKnowledge } from '../../src/tvs/index.js';
import { tokenA, tokenB } from '../ctl/clusters.js';
import { makeLab, md5Of, now, renew, serveLab, sha1Of, tokenCtlOf } from './fleets.js';

const [present, other] = await Promise.all([makeLab().then(serveLab), makeLab().then(serveLab)]);
const renewed = await renew(present, other);
const tokenCtl = await tokenCtlOf(present);
const [pubItl, subItl] = [present.itls['cucm-pub']!, present.itls['cucm-sub']!];
const unknownDigest = 'ab'.repeat(20);

const header = 'device,model,CTL SHA-1,ITL SHA-1,TVS servers,Security by Default';
const servers = 'cucm-pub;192.0.2.11';

function device(number: number): string {
  return `SEP${number.toString(16).toUpperCase().padStart(12, '0')}`;
}

function inventoryOf(rows: readonly string[], titles = header, file = 'phones.csv'): Inventory {
  const inventory = readInventory([[titles, ...rows].join('\n')], file);
  expect(inventory.problems).toEqual([]);
  return inventory;
}

function knownLists(...lists: readonly TrustList[]): KnownLists {
  const known = new KnownLists();
  for (const [index, list] of lists.entries()) known.add(`list-${String(index)}.tlv`, list);
  return known;
}

function alarmOf(name: string, ctl: string, itl: string, tftp = 'N/A'): string {
  const parameters = { DeviceName: name, CTL_Signature: ctl, ITL_Signature: itl, ITL_TFTP_Server: tftp, Odd: '=1+1' };
  const strings = Object.entries(parameters).map(([key, value]) => `<String name="${key}">${value}</String>`);
  return `<x-cisco-alarm><Alarm Name="DeviceTLInfo"><ParameterList>${strings.join('')}</ParameterList></Alarm></x-cisco-alarm>\n`;
}

describe('phones are grouped by what they hold', () => {
  const known = knownLists(present.ctl, pubItl, subItl);

  test('whichever checksum tells the list; the largest group comes first', () => {
    const { ctl } = present;
    const inventory = inventoryOf([
      `${device(1)},CP-8861,none,${sha1Of(pubItl)},${servers},yes`,
      `${device(2)},CP-8861,${sha1Of(ctl)},${sha1Of(pubItl)},${servers},yes`,
      `${device(3)},CP-7821,${md5Of(ctl).toUpperCase()},${sha1Of(pubItl)},cucm-pub 192.0.2.11,1`,
      `${device(4)},CP-8861,${sha1Of(ctl)},${md5Of(pubItl)},${servers},yes`,
      `${device(5)},CP-8861,${unknownDigest},${sha1Of(pubItl)},${servers},yes`,
    ]);
    const fleet = groupPhones(inventory, known);
    const itl: HeldList = { kind: 'known', list: pubItl };
    const base = { securityByDefault: true, itl, tvsServers: ['cucm-pub', '192.0.2.11'], tftpServer: undefined };
    expect(fleet.groups).toEqual([
      { ...base, devices: [device(2), device(3), device(4)], ctl: { kind: 'known', list: ctl } },
      { ...base, devices: [device(1)], ctl: { kind: 'none' } },
      { ...base, devices: [device(5)], ctl: { kind: 'unknown', digest: unknownDigest } },
    ]);
    expect(fleet.size).toBe(5);
    expect(fleet.unknown).toEqual([{ kind: 'ctl', digest: unknownDigest, phones: 1, mixedUpWith: undefined }]);
    expect(fleet.groups[0]?.itl).toBe(fleet.groups[1]?.itl);
  });

  test('a device without Security by Default has neither ITL nor TVS, and three servers are asked at most', () => {
    const inventory = inventoryOf([
      `${device(1)},7960,${sha1Of(present.ctl)},,a b c,no`,
      `${device(2)},7940,${md5Of(present.ctl)},none,,no`,
      `${device(3)},8861,,,a b c d,yes`,
    ]);
    expect(groupPhones(inventory, known).groups).toMatchObject([
      { devices: [device(1), device(2)], itl: { kind: 'none' }, tvsServers: [], securityByDefault: false },
      { devices: [device(3)], tvsServers: ['a', 'b', 'c'], securityByDefault: true },
    ]);
  });

  test('an inventory that names no TVS servers gets the usual ones, and so does an empty cell; none means none', () => {
    const tvsServers = ['cucm-pub', 'cucm-sub'];
    const silent = inventoryOf([`${device(1)},,${sha1Of(pubItl)}`], 'device,ctl,itl');
    expect(groupPhones(silent, known, { tvsServers }).groups[0]?.tvsServers).toEqual(tvsServers);
    expect(groupPhones(silent, known).groups[0]?.tvsServers).toEqual([]);
    const empty = inventoryOf([`${device(1)},,${sha1Of(pubItl)},`], 'device,ctl,itl,tvs');
    expect(groupPhones(empty, known, { tvsServers }).groups[0]?.tvsServers).toEqual(tvsServers);
    const told = inventoryOf([`${device(1)},,${sha1Of(pubItl)},none`], 'device,ctl,itl,tvs');
    expect(groupPhones(told, known, { tvsServers }).groups[0]?.tvsServers).toEqual([]);
  });

  test('an empty cell tells nothing: not what a phone with Security by Default holds, and of others not the CTL', () => {
    const inventory = inventoryOf([
      `${device(1)},8861,,,,yes`,
      `${device(2)},8861,none,,,yes`,
      `${device(3)},7960,none,,,no`,
      `${device(4)},7960,,,,no`,
    ]);
    const fleet = groupPhones(inventory, known);
    const [none, empty] = [{ kind: 'none' }, { kind: 'unknown', digest: untold }] as const;
    expect(fleet.groups.map(({ ctl, itl }) => [ctl, itl])).toEqual([
      [empty, empty],
      [none, empty],
      [none, none],
      [empty, none],
    ]);
    expect(fleet.unknown).toEqual([
      { kind: 'ctl', digest: untold, phones: 2, mixedUpWith: undefined },
      { kind: 'itl', digest: untold, phones: 2, mixedUpWith: undefined },
    ]);
    const offer: Offer = { ctl: { name: 'ctl', list: present.ctl }, itls: [] };
    expect(judgeFleet(fleet.groups, offer, now).map(({ fate, because }) => [fate, because?.reason])).toEqual([
      ['unknown', 'the inventory does not tell their CTL and their ITL'],
      ['unknown', 'the inventory does not tell their ITL'],
      ['kept', undefined],
      ['unknown', 'the inventory does not tell their CTL'],
    ]);
  });

  test('a CTL in the column of ITLs is not taken for one', () => {
    const inventory = inventoryOf([`${device(1)},${sha1Of(pubItl)},${md5Of(present.ctl)}`], 'device,ctl,itl');
    const { groups, unknown } = groupPhones(inventory, known);
    expect(groups).toMatchObject([{ ctl: { kind: 'unknown' }, itl: { kind: 'unknown' } }]);
    expect(unknown).toEqual([
      { kind: 'ctl', digest: sha1Of(pubItl), phones: 1, mixedUpWith: 'list-1.tlv' },
      { kind: 'itl', digest: md5Of(present.ctl), phones: 1, mixedUpWith: 'list-0.tlv' },
    ]);
  });

  test('a hundred thousand phones give as many groups as there are states', () => {
    const states = Array.from({ length: 50 }, (_, index) => index.toString(16).padStart(40, '0'));
    const rows = Array.from({ length: 100_000 }, (_, index) => `${device(index)},${states[index % 50]!},none`);
    const inventory = inventoryOf(rows, 'device,ctl,itl');
    expect(new Set([...inventory.phones.values()].map(({ state }) => state)).size).toBe(50);
    const fleet = groupPhones(inventory, known);
    expect(fleet.groups.map(({ devices }) => devices.length)).toEqual(Array(50).fill(2000));
    expect(new Set(fleet.groups.flatMap(({ devices }) => devices)).size).toBe(100_000);
  });
});

describe('several inventories are one', () => {
  const csv = inventoryOf(
    [`${device(1)},8861,,,${servers},yes`, `${device(2)},7960,,,,no`, `${device(3)},7960,,,,no`],
    header,
  );
  const log = readInventory(
    [alarmOf(device(1), sha1Of(present.ctl), sha1Of(pubItl), 'cucm-sub'), alarmOf(device(9), 'Not Installed', 'N/A')],
    'one.log',
  );

  test.each([
    ['CSV first', [csv, log]],
    ['alarms first', [log, csv]],
  ])('%s: a phone holds what its alarm says, and is what the CSV says', (_order, inventories) => {
    const joined = joinInventories(inventories);
    expect(joined.problems).toEqual([]);
    expect([...joined.phones.keys()].sort()).toEqual([device(1), device(2), device(3), device(9)]);
    expect(joined.phones.get(device(1))).toMatchObject({
      model: '8861',
      state: {
        ctl: sha1Of(present.ctl),
        itl: sha1Of(pubItl),
        tvsServers: ['cucm-pub', '192.0.2.11'],
        tftpServer: 'cucm-sub',
      },
      source: { kind: 'csv' },
    });
    expect(joined.phones.get(device(9))).toMatchObject({ state: { securityByDefault: true, tvsServers: undefined } });
  });

  test('of alarms in two files the last counts; of two CSV files the first, and the other is reported', () => {
    const later = readInventory([alarmOf(device(1), 'Not Installed', sha1Of(subItl))], 'two.log');
    expect(joinInventories([log, later]).phones.get(device(1))?.state.itl).toBe(sha1Of(subItl));
    const second = inventoryOf([`${device(2)},8861,,,,yes`, `${device(4)},8861,,,,yes`], header, 'more.csv');
    const joined = joinInventories([csv, second]);
    expect(joined.problems).toEqual([
      { file: 'more.csv', line: 2, message: `${device(2)} is in phones.csv, line 3, too, which is used` },
    ]);
    expect(joined.problemCount).toBe(1);
    expect(joined.phones.get(device(2))?.model).toBe('7960');
    expect(joined.phones.size).toBe(4);
  });

  test('a phone whose CSV says that it has Security by Default keeps it when its alarm shows no ITL', () => {
    const alarm = readInventory([alarmOf(device(1), 'N/A', 'Not Installed')], 'four.log');
    for (const inventories of [
      [csv, alarm],
      [alarm, csv],
    ]) {
      const { state } = joinInventories(inventories).phones.get(device(1))!;
      expect(state).toMatchObject({ securityByDefault: true, ctl: undefined, itl: undefined });
    }
  });

  test('an ITL that the CSV does not tell is no sign of Security by Default, and the alarm tells it', () => {
    const empty = inventoryOf([`${device(2)},7960,,,,no`]);
    const alarm = readInventory([alarmOf(device(2), sha1Of(present.ctl), 'Not Installed')], 'five.log');
    expect(joinInventories([empty, alarm]).phones.get(device(2))?.state).toMatchObject({
      securityByDefault: false,
      ctl: sha1Of(present.ctl),
      itl: undefined,
    });
  });

  test('a line that cannot be used counts, unless an alarm of its phone tells all the same', () => {
    const broken = readInventory([`${header}\n${device(9)},8861,#N/A,,,yes\n${device(8)},8861,#N/A,,,yes\n`], 'b.csv');
    expect(broken.unusable).toMatchObject({ count: 2, rows: [{ device: device(9) }, { device: device(8) }] });
    expect(joinInventories([broken, log]).unusable).toMatchObject({ count: 1, rows: [{ device: device(8) }] });
    expect(joinInventories([log, broken]).unusable).toMatchObject({ count: 1, rows: [{ device: device(8) }] });
    const cut = readInventory([alarmOf(device(9), 'N/A', 'N/A').slice(0, -40)], 'cut.log');
    expect(joinInventories([cut, log]).unusable.count).toBe(0);
    expect(joinInventories([log, cut]).unusable).toMatchObject({ count: 1, rows: [{ device: device(9) }] });
  });

  test('a device in two CSV files counts as one that cannot be used where they contradict each other', () => {
    const same = inventoryOf([`${device(2)},7960,,,,no`], header, 'same.csv');
    expect(joinInventories([csv, same]).unusable).toEqual({ count: 0, rows: [] });
    const other7960 = inventoryOf([`${device(2)},7960,${unknownDigest},,,no`], header, 'other.csv');
    expect(joinInventories([csv, other7960]).unusable).toMatchObject({
      count: 1,
      rows: [{ device: device(2), message: `${device(2)} is in phones.csv, line 3, too, which is used` }],
    });
  });

  test('an alarm with an ITL shows that a phone has Security by Default', () => {
    const alarm = readInventory([alarmOf(device(2), 'N/A', sha1Of(pubItl))], 'three.log');
    expect(joinInventories([csv, alarm]).phones.get(device(2))?.state.securityByDefault).toBe(true);
  });
});

const lists = {
  none: undefined,
  present: present.ctl,
  renewed: renewed.ctl,
  token: tokenCtl,
  other: other.ctl,
} as const;
const itls = {
  none: undefined,
  pub: pubItl,
  sub: subItl,
  renewed: renewed.itls['cucm-pub'],
  other: other.itls['cucm-pub'],
};

function held(list: TrustList | undefined): HeldList {
  return list === undefined ? { kind: 'none' } : { kind: 'known', list };
}

/** Every state over these lists. */
const groups: readonly PhoneGroup[] = Object.values(lists).flatMap((ctl) =>
  Object.values(itls).flatMap((itl) =>
    [
      { securityByDefault: true, tvsServers: ['cucm-pub', '192.0.2.11:2445'] },
      { securityByDefault: true, tvsServers: ['cucm-sub.example.com'] },
      { securityByDefault: true, tvsServers: ['elsewhere'] },
      { securityByDefault: true, tvsServers: [] },
      { securityByDefault: false, tvsServers: [] },
    ].map((one) => ({
      ...one,
      devices: ['SEP000000000001'],
      ctl: held(ctl),
      itl: held(one.securityByDefault ? itl : undefined),
    })),
  ),
);

/** The phones of the group as the phone room sees them, offered one list after the other. */
function byThePhoneRoom(
  { ctl, itl, securityByDefault, tvsServers }: PhoneGroup,
  offer: Offer,
  ask: (question: TvsQuestion, state: PhoneState, list: TrustList) => TvsReply,
): readonly object[] {
  const profile = { mac: '001122334455', model: 'CP-8861', securityByDefault, encryptedConfiguration: false };
  const listOf = (one: HeldList): TrustList | undefined => (one.kind === 'known' ? one.list : undefined);
  let state = createPhone(profile, { ctl: listOf(ctl), itl: listOf(itl), tvsServers });
  const decisions: object[] = [];
  if (offer.ctl !== undefined) {
    const { list } = offer.ctl;
    const before = state;
    const outcome = decide(offerTrustList(before, 'ctl', list, now), (question) => ask(question, before, list));
    decisions.push(outcome.decision);
    state = outcome.state;
  }
  if (!securityByDefault) return decisions;
  for (const { list } of offer.itls) {
    decisions.push(decide(offerTrustList(state, 'itl', list, now), (question) => ask(question, state, list)).decision);
  }
  return decisions;
}

const silent = (): TvsReply => ({ status: 'unreachable', reason: 'no TVS server answers' });

function serversOf(cluster: Cluster, ctl: TrustList | undefined): Parameters<typeof byThePhoneRoom>[2] {
  const knowledge = createTvsKnowledge({ trustStores: uploadedCertificates(cluster), ctl });
  const nodes: Readonly<Record<string, number>> = {
    'cucm-pub': 0,
    '192.0.2.11:2445': 1,
    'cucm-sub.example.com': 1,
  };
  return (question, state) => {
    const node = cluster.nodes[nodes[question.server] ?? 9];
    if (node === undefined) {
      return { status: 'unreachable', reason: 'no node of the cluster file has this name or address' };
    }
    const accepted = acceptsTvsServer(state, node.certificates.TVS!.der);
    if (!accepted.accepted) return { status: 'unreachable', reason: accepted.reason };
    if (question.kind === 'verify') throw new Error('lists are asked about by query');
    return knowledge.query(question);
  };
}

describe('what a fleet makes of lists is what the phone room says', () => {
  const uploaded: Cluster = {
    ...present.cluster,
    trustStores: { 'Phone-SAST-trust': [tokenA.certificate, tokenB.certificate] },
  };
  const named = (name: string, list: TrustList): { name: string; list: TrustList } => ({ name, list });
  const offers: readonly (readonly [string, Offer])[] = [
    ['its own lists', { ctl: named('ctl', present.ctl), itls: [named('pub', pubItl), named('sub', subItl)] }],
    ['the renewed lists', { ctl: named('ctl', renewed.ctl), itls: [named('pub', renewed.itls['cucm-pub']!)] }],
    ['an ITL only', { itls: [named('pub', renewed.itls['cucm-pub']!)] }],
    ['a CTL only', { ctl: named('ctl', other.ctl), itls: [] }],
    ['tokens', { ctl: named('ctl', tokenCtl), itls: [named('pub', pubItl)] }],
    ['a list with a broken signature', { ctl: named('ctl', damaged(present.ctl)), itls: [] }],
  ];

  function damaged(list: TrustList): TrustList {
    const { signature } = list.header;
    const bytes = list.bytes.slice();
    const at = Buffer.from(bytes).indexOf(Buffer.from(signature));
    bytes[at + 5] = (bytes[at + 5] ?? 0) ^ 1;
    const known = new KnownLists();
    expect(known.addFile('damaged', bytes)).toBeUndefined();
    return known.find(sha1Of({ bytes }))!.list;
  }

  test.each(offers)('%s', (_name, offer) => {
    const clusters = [undefined, present.cluster, renewed.cluster, uploaded];
    let compared = 0;
    for (const cluster of clusters) {
      const ask: Parameters<typeof byThePhoneRoom>[2] =
        cluster === undefined
          ? (_question, _state, list) => {
              const { certificate } = signingRecords(list)[0]!;
              return { status: 'success', certificate: certificate!, roles: [0], timeToLive: 86_400 };
            }
          : serversOf(cluster, offer.ctl?.list);
      const progress: number[] = [];
      const verdicts = judgeFleet(groups, { ...offer, cluster }, now, (phones) => progress.push(phones));
      expect(progress).toEqual(groups.map((_, index) => index + 1));
      for (const [index, group] of groups.entries()) {
        const verdict = verdicts[index]!;
        const [withTvs, withoutTvs] = [byThePhoneRoom(group, offer, ask), byThePhoneRoom(group, offer, silent)];
        expect(verdict.lists.map((one) => one.withTvs)).toEqual(withTvs);
        expect(verdict.lists.map((one) => one.withoutTvs)).toEqual(withoutTvs);
        const accepts = (decisions: readonly object[]): boolean =>
          decisions.every((decision) => (decision as { accepted: boolean }).accepted);
        const fate = !accepts(withTvs) ? 'lost' : accepts(withoutTvs) ? 'kept' : 'needs-tvs';
        expect(verdict.fate).toBe(fate);
        compared += withTvs.length * 2;
      }
    }
    expect(compared).toBeGreaterThan(groups.length * 4);
  });

  test('groups are kept and lost as the rules say', () => {
    const fates = (
      offer: Offer,
      ...states: readonly (readonly [TrustList | undefined, TrustList | undefined, boolean])[]
    ) =>
      judgeFleet(
        states.map(([ctl, itl, securityByDefault]) => ({
          devices: [device(1)],
          securityByDefault,
          ctl: held(ctl),
          itl: held(itl),
          tvsServers: ['cucm-pub', 'cucm-sub'],
        })),
        offer,
        now,
      ).map(({ fate, because }) => (because === undefined ? fate : `${fate} ${because.rule}`));
    // Renewed: the CTL's signer is new; TVS runs on with its old certificate and knows it (A6).
    expect(
      fates(
        { ctl: named('ctl', renewed.ctl), itls: [named('itl', renewed.itls['cucm-pub']!)], cluster: renewed.cluster },
        [undefined, undefined, true],
        [present.ctl, pubItl, true],
        [present.ctl, undefined, true],
        [present.ctl, undefined, false],
        [renewed.ctl, renewed.itls['cucm-pub'], true],
        [other.ctl, other.itls['cucm-pub'], true],
      ),
      // The last one is a stranger's phone that knows the renewed key, which is its own: only TVS it cannot ask.
    ).toEqual(['kept', 'needs-tvs', 'lost P4', 'lost P11', 'kept', 'kept']);
    // Tokens: only through TVS, and only when they were uploaded or are in the server's CTL (A3).
    const tokens: Offer = { ctl: named('ctl', tokenCtl), itls: [], cluster: uploaded };
    expect(
      fates(tokens, [present.ctl, pubItl, true], [present.ctl, undefined, false], [tokenCtl, undefined, false]),
    ).toEqual(['needs-tvs', 'lost P11', 'kept']);
  });

  test('where the TFTP server of phones shows whose ITL they get, only that one counts', () => {
    const offer: Offer = {
      itls: [named('pub', pubItl), named('sub', subItl), named('odd', other.itls['cucm-pub']!)],
      cluster: present.cluster,
    };
    const names = (tftpServer: string | undefined): readonly string[] =>
      judgeFleet([{ ...groups[0]!, tftpServer }], offer, now)[0]!.lists.map(({ name }) => name);
    expect(names('192.0.2.11')).toEqual(['sub']);
    expect(names('cucm-pub.home.lab')).toEqual(['pub']);
    expect(names('elsewhere')).toEqual(['pub', 'sub', 'odd']);
    expect(names(undefined)).toEqual(['pub', 'sub', 'odd']);
  });

  test('of phones that hold a list that is not at hand nobody can tell, unless no phone takes what is offered', () => {
    const unknown: HeldList = { kind: 'unknown', digest: unknownDigest };
    const phones: PhoneGroup[] = [
      { ...groups[0]!, ctl: unknown },
      { ...groups[0]!, itl: unknown },
      { ...groups[0]!, itl: unknown, securityByDefault: false },
    ];
    const offer: Offer = { ctl: named('ctl', present.ctl), itls: [] };
    const verdicts = judgeFleet(phones, offer, now);
    expect(verdicts.map(({ fate }) => fate)).toEqual(['unknown', 'unknown', 'kept']);
    expect(verdicts[0]?.because).toEqual({ rule: '', reason: `they hold the CTL ${unknownDigest}, not at hand` });
    expect(verdicts[0]?.lists).toEqual([{ kind: 'ctl', name: 'ctl', withTvs: undefined, withoutTvs: undefined }]);
    const broken = judgeFleet(phones, { ctl: named('ctl', damaged(present.ctl)), itls: [] }, now);
    expect(broken.map(({ fate, because }) => [fate, because?.rule])).toEqual(Array(3).fill(['lost', 'P7']));
    // Nothing is offered: nobody is kept or lost.
    expect(judgeFleet(phones, { itls: [] }, now).map(({ fate }) => fate)).toEqual(Array(3).fill(undefined));
  });

  test('`ctl verify --against` asks the same phones', () => {
    const { withTvs, withoutTvs, plainDevice } = judgeAgainst(
      renewed.ctl,
      'ctl',
      { ctl: present.ctl, itl: pubItl },
      now,
    );
    expect([withTvs.accepted, withoutTvs.accepted, plainDevice?.rule]).toEqual([true, false, 'P11']);
    expect(judgeAgainst(pubItl, 'itl', {}, now).plainDevice).toBeUndefined();
  });
});

describe('the CSV of lost phones', () => {
  const judged = (inventory: Inventory): readonly FleetVerdict[] => {
    const known = knownLists(present.ctl, pubItl, tokenCtl);
    const { groups: all } = groupPhones(inventory, known, { tvsServers: ['TVS'] });
    return judgeFleet(all, { ctl: { name: 'new.tlv', list: tokenCtl }, itls: [] }, now);
  };

  test('has every column as it was, in the order of the inventory, and what decided', () => {
    const titles = 'Room;Device;CTL;ITL;Phone number;Room;Security by Default';
    const inventory = inventoryOf(
      [
        `"Ü ""1""";${device(1)};${sha1Of(present.ctl)};;+49 30 1;=1+1;no`,
        `2;${device(2)};${sha1Of(tokenCtl)};-;@x;;no`,
        `"3;\r\nb";${device(3)};${unknownDigest};none;-1;" ";yes`,
        `4;${device(4)};${sha1Of(present.ctl)};-;;;no`,
      ],
      titles,
    );
    const text = formatPhonesCsv(inventory, judged(inventory));
    const [first, ...rest] = text.split('\r\n');
    expect(first).toBe(`${titles};fleet check: verdict;fleet check: rule;fleet check: reason`);
    const reason = /;lost;P11;"?new\.tlv: the signer [^\r\n]* is not in its lists"?$/;
    expect(rest[0]).toMatch(reason);
    expect(rest[0]).toContain(`"Ü ""1""";${device(1)};${sha1Of(present.ctl)};;+49 30 1;=1+1;no;lost`);
    expect(rest.slice(1, 3)).toEqual([
      '"3;',
      `b";${device(3)};${unknownDigest};none;-1;" ";yes;unknown;;they hold the CTL ${unknownDigest}, not at hand`,
    ]);
    expect(rest[3]).toMatch(reason);
    expect(rest.slice(4)).toEqual(['']);
  });

  test('ends with the lines that cannot be used, where they name a device', () => {
    const text = [
      header,
      `${device(1)},8861,#N/A,none,,yes`,
      `${device(2)},8861,none`,
      `${device(3)},"8861,none,none,,yes`,
      `#N/A,8861,none,none,,yes`,
      `${device(4)},8861,none,none,,yes`,
    ].join('\n');
    const inventory = readInventory([text], 'phones.csv');
    expect(inventory.unusable.count).toBe(4);
    expect(formatPhonesCsv(inventory, judged(inventory)).split('\r\n').slice(1)).toEqual([
      `${device(1)},8861,#N/A,none,,yes,unknown,,"line 2 cannot be used: CTL SHA-1 is ""#N/A"", not 40 hex digits (SHA-1), 32 (MD5) or ""none"""`,
      `${device(2)},8861,none,,,,unknown,,"line 3 cannot be used: it has 3 columns, and the header has 6"`,
      `${device(3)},"""8861",none,none,,yes,unknown,,"line 4 cannot be used: a quote ("") is not closed"`,
      '',
    ]);
    expect(formatPhonesCsv(inventory, judged(inventory), ['lost'])).not.toContain('unknown');
  });

  test('reads back as an inventory, and a second run replaces the columns of the first', () => {
    const inventory = inventoryOf([`${device(1)},7960,${sha1Of(present.ctl)},,,no`], header);
    const once = formatPhonesCsv(inventory, judged(inventory));
    const again = readInventory([once], 'lost.csv');
    expect(again.problems).toEqual([]);
    expect(formatPhonesCsv(again, judged(again))).toBe(once);
  });

  test('has the byte order mark of the inventory, and only a header when nobody is lost', () => {
    const inventory = readInventory([`\uFEFF${header}\n${device(1)},8861,none,none,,yes\n`], 'phones.csv');
    expect(formatPhonesCsv(inventory, judged(inventory))).toBe(
      `\uFEFF${header},fleet check: verdict,fleet check: rule,fleet check: reason\r\n`,
    );
  });

  test('cells of alarms, which come from the network, are no formulas; columns of several files stand side by side', () => {
    const csv = inventoryOf([`${device(1)},${sha1Of(present.ctl)},,no,=a`], 'device,ctl,itl,sbd,DeviceName');
    const log = readInventory([alarmOf(device(2), unknownDigest, 'Not Installed')], 'one.log');
    const inventory = joinInventories([csv, log]);
    const lines = formatPhonesCsv(inventory, judged(inventory)).split('\r\n');
    expect(lines[0]).toBe(
      'device,ctl,itl,sbd,DeviceName,CTL_Signature,ITL_Signature,ITL_TFTP_Server,Odd,fleet check: verdict,fleet check: rule,fleet check: reason',
    );
    expect(lines[1]).toContain(`${device(1)},${sha1Of(present.ctl)},,no,=a,,,,,lost,P11,`);
    expect(lines[2]).toContain(`,,,,${device(2)},${unknownDigest},Not Installed,N/A,'=1+1,unknown,,`);
    for (const start of ['=', '+', '-', '@', '\t', '\r']) {
      const one = readInventory([alarmOf(device(2), unknownDigest, 'N/A').replace('=1+1', `${start}x`)], 'x.log');
      expect(formatPhonesCsv(one, judged(one))).toMatch(/,"?'[=+@\t\r\n-]x"?,unknown/);
    }
  });
});
