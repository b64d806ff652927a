import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeNumber, formatHex } from '../../src/bytes/index.js';
import type { Cluster } from '../../src/cluster/index.js';
import {
  addToken,
  ctlMode,
  isEmptied,
  removeToken,
  signCtl,
  tokenlessSigner,
  tokenRecords,
  toNonSecure,
  toToken,
  toTokenless,
  updateCtl,
  type CtlOptions,
  type CtlResult,
} from '../../src/ctl/index.js';
import { RefusalError } from '../../src/errors.js';
import type { RecordDraft, TrustList } from '../../src/trust-list/index.js';
import {
  clusterIdentity,
  clusterOf,
  node,
  publisher,
  publisherCapf,
  publisherOutline,
  publisherRenewed,
  recovery,
  recoveryRenewed,
  subscriber,
  subscriberOutline,
  subscriberRenewed,
  tokenA,
  tokenB,
  tokenC,
  tokenIdentity,
  type Identity,
} from './clusters.js';
import {
  expectProven,
  foreignList,
  foreignRecord,
  holdersOf,
  recordsOf,
  spellingOf,
  tagsOf,
  type Style,
} from './lists.js';

const [capfRenewed, third, tokenD] = await Promise.all([
  clusterIdentity('CAPF-e41e7d87', { key: tokenC.key }),
  clusterIdentity('cucm-1051-a-sub2', { key: tokenB.key }),
  tokenIdentity('SAST-ADN00dddddd', '0d0d0d0d0d0d'),
]);
const allTokens = [tokenA, tokenB, tokenC, tokenD];
const identities: readonly Identity[] = [
  ...allTokens,
  ...[publisher, publisherRenewed, publisherCapf, capfRenewed, recovery, recoveryRenewed],
  ...[subscriber, subscriberRenewed, third],
];

/** What may be different about a cluster. */
interface Plan {
  readonly renewedCallManager: boolean;
  readonly renewedRecovery: boolean;
  readonly renewedCapf: boolean;
  readonly renewedSubscriber: boolean;
  readonly withSubscriber: boolean;
  readonly withThird: boolean;
  readonly moved: boolean;
  readonly nonSecure: boolean;
  readonly release: '10.5.1' | '12.5';
}

const planArbitrary: fc.Arbitrary<Plan> = fc.record({
  renewedCallManager: fc.boolean(),
  renewedRecovery: fc.boolean(),
  renewedCapf: fc.boolean(),
  renewedSubscriber: fc.boolean(),
  withSubscriber: fc.boolean(),
  withThird: fc.boolean(),
  moved: fc.boolean(),
  nonSecure: fc.boolean(),
  release: fc.constantFrom('10.5.1', '12.5'),
});

function clusterFrom(plan: Plan): Cluster {
  const outline = {
    ...publisherOutline,
    callManager: plan.renewedCallManager ? publisherRenewed : publisher,
    capf: plan.renewedCapf ? capfRenewed : publisherCapf,
    recovery: plan.renewedRecovery ? recoveryRenewed : recovery,
  };
  const subscriberNode = node({
    ...subscriberOutline,
    address: plan.moved ? '10.48.47.250' : '10.48.47.154',
    callManager: plan.renewedSubscriber ? subscriberRenewed : subscriber,
  });
  const thirdNode = node({ name: 'cucm-1051-a-sub2', address: '10.48.47.155', services: ['TFTP'], callManager: third });
  return clusterOf({
    release: plan.release,
    securityMode: plan.nonSecure ? 'non-secure' : 'mixed',
    nodes: [node(outline), ...(plan.withSubscriber ? [subscriberNode] : []), ...(plan.withThird ? [thirdNode] : [])],
    uploaded: allTokens,
  });
}

const styleArbitrary: fc.Arbitrary<Style> = fc
  .record({
    separator: fc.constantFrom(',', ';', ', '),
    reversedNames: fc.boolean(),
    reversedSerial: fc.boolean(),
    withSignature: fc.boolean(),
    extra: fc.array(fc.record({ tag: fc.integer({ min: 40, max: 42 }), value: fc.uint8Array({ maxLength: 5 }) }), {
      maxLength: 2,
    }),
    order: fc.shuffledSubarray([2, 3, 4, 5, 6, 7, 8, 9, 10, 40, 41], { minLength: 11 }),
  })
  .map((style) => ({ ...style, separator: style.separator }));

/** A list that some program wrote for the cluster, and how its records are spelled. */
interface Beginning {
  readonly styles: readonly Style[];
  readonly order: readonly number[];
  readonly hostless: boolean;
  readonly tokenless: boolean;
}

const beginningArbitrary: fc.Arbitrary<Beginning> = fc.record({
  styles: fc.array(styleArbitrary, { minLength: 8, maxLength: 8 }),
  order: fc.shuffledSubarray([0, 1, 2, 3, 4, 5, 6, 7], { minLength: 8 }),
  hostless: fc.boolean(),
  tokenless: fc.boolean(),
});

const other = (role: number, style: Style): RecordDraft =>
  foreignRecord(third.certificate, role, { name: 'elsewhere', address: Uint8Array.of(10, 5, 5, 5) }, style);

async function begin({ styles, order, hostless, tokenless }: Beginning): Promise<TrustList> {
  const at = (name: string, last: number): { name: string; address: Uint8Array } => ({
    name: tokenless ? name : `10.48.47.${last}`,
    address: Uint8Array.of(10, 48, 47, last),
  });
  const styleOf = (index: number): Style => ({ ...styles[index], withoutHost: hostless });
  const [pub, sub] = [at('cucm-1051-a-pub', 153), at('cucm-1051-a-sub1', 154)];
  const nowhere = { name: '', address: new Uint8Array(4) };
  const signers = tokenless
    ? [
        foreignRecord(publisher.certificate, 0, pub, styleOf(0)),
        foreignRecord(recovery.certificate, 0, pub, styleOf(1)),
      ]
    : [
        foreignRecord(tokenA.certificate, 0, nowhere, styleOf(0)),
        foreignRecord(tokenB.certificate, 0, nowhere, styleOf(1)),
      ];
  const drafts: readonly RecordDraft[] = [
    ...signers,
    foreignRecord(publisher.certificate, 2, pub, styleOf(2)),
    foreignRecord(publisherCapf.certificate, 4, pub, styleOf(3)),
    foreignRecord(subscriber.certificate, 2, sub, styleOf(4)),
    other(5, styleOf(5)),
    other(26, styleOf(6)),
    [
      { tag: 4, value: encodeNumber(21, 2) },
      { tag: 41, value: Uint8Array.of(1) },
    ],
  ];
  const shuffled = order.map((index) => drafts[index]!);
  return foreignList(shuffled, order.indexOf(0), tokenless ? publisher.signer : tokenA.signer);
}

type Step =
  | { readonly flow: 'update' | 'to-tokenless'; readonly plan: Plan }
  | { readonly flow: 'to-token'; readonly plan: Plan; readonly token: number }
  | { readonly flow: 'add-token' | 'remove-token'; readonly token: number }
  | { readonly flow: 'to-non-secure' | 'sign' };

const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ flow: fc.constantFrom('update', 'to-tokenless'), plan: planArbitrary }),
  fc.record({ flow: fc.constant('to-token'), plan: planArbitrary, token: fc.integer({ min: 0, max: 3 }) }),
  fc.record({ flow: fc.constantFrom('add-token', 'remove-token'), token: fc.integer({ min: 0, max: 3 }) }),
  fc.record({ flow: fc.constantFrom('to-non-secure', 'sign') }),
);

/** Renewals and lost tokens are accepted here: the question is what becomes of the bytes. */
const options: CtlOptions = {
  timestamp: 1_500_000_000,
  now: new Date('2026-01-31T12:00:00Z'),
  accept: ['A5', 'A7'],
};

/** Someone who may sign the list that is there; not one who leaves it. */
function signerFor(list: TrustList, leaving?: Identity): Identity {
  const knows = (identity: Identity): boolean =>
    identity !== leaving && holdersOf(list, identity.certificate).some((record) => record.function === 0);
  return identities.find(knows) ?? tokenA;
}

function clusterSigner(cluster: Cluster): Identity {
  const { certificate } = tokenlessSigner(cluster);
  return identities.find((identity) => identity.certificate === certificate)!;
}

async function take(list: TrustList, step: Step): Promise<{ result: CtlResult; signer: Identity }> {
  const known = signerFor(list);
  switch (step.flow) {
    case 'update': {
      const cluster = clusterFrom(step.plan);
      const signer = ctlMode(list) === 'token' ? known : clusterSigner(cluster);
      return { signer, result: await updateCtl(list, cluster, signer.signer, options) };
    }
    case 'to-tokenless': {
      const cluster = clusterFrom(step.plan);
      const signer = clusterSigner(cluster);
      return { signer, result: await toTokenless(list, cluster, signer.signer, options) };
    }
    case 'to-token': {
      const signer = allTokens[step.token]!;
      const certificates = [signer.certificate, tokenA.certificate, tokenD.certificate];
      return { signer, result: await toToken(list, clusterFrom(step.plan), certificates, signer.signer, options) };
    }
    case 'add-token':
      return { signer: known, result: await addToken(list, allTokens[step.token]!.certificate, known.signer, options) };
    case 'remove-token': {
      const leaving = allTokens[step.token]!;
      const signer = signerFor(list, leaving);
      const serial = formatHex(leaving.certificate.serialNumber);
      return { signer, result: await removeToken(list, serial, signer.signer, options) };
    }
    case 'to-non-secure':
      return { signer: known, result: await toNonSecure(list, known.signer, options) };
    case 'sign':
      return { signer: known, result: await signCtl(list, known.signer, options) };
  }
}

/** What the law says of two lists, one made from the other. */
function expectSpellingKept(before: TrustList, after: TrustList): void {
  for (const { certificate } of identities) {
    const spellings = new Set(holdersOf(before, certificate).map(spellingOf));
    if (spellings.size === 0) continue;
    for (const record of holdersOf(after, certificate)) expect([...spellings]).toContain(spellingOf(record));
  }
  const others = (list: TrustList): string[] => {
    const bytes = recordsOf(list);
    return bytes.filter((_, index) => ![0, 1, 2, 3, 4].includes(list.records[index]!.function));
  };
  expect(others(after)).toEqual(others(before));
}

/** Elements that nobody knows stay with the record of a certificate and function, whichever layout it is in. */
function expectUnknownKept(before: TrustList, after: TrustList): void {
  const unknown = (tags: readonly number[]): string => tags.filter((tag) => tag >= 40).join();
  for (const record of before.records) {
    if (record.certificate === undefined || record.function > 4) continue;
    const { certificate } = record;
    const isSame = (one: typeof record): boolean =>
      one.function === record.function &&
      one.certificate !== undefined &&
      Buffer.compare(one.certificate, certificate) === 0;
    if (before.records.filter(isSame).length > 1) continue;
    for (const next of after.records.filter(isSame)) expect(unknown(tagsOf(next))).toBe(unknown(tagsOf(record)));
  }
}

const refusals = ['wrong-mode', 'last-token', 'signing-token', 'no-such-token', 'already-present', 'A2', 'A9'];

test('whatever flows follow each other, what stays is spelled as it was, and every list verifies', async () => {
  const taken = new Map<string, number>();
  await fc.assert(
    fc.asyncProperty(
      beginningArbitrary,
      fc.array(stepArbitrary, { minLength: 6, maxLength: 12 }),
      async (beginning, steps) => {
        let list = await begin(beginning);
        for (const step of steps) {
          try {
            const { result, signer } = await take(list, step);
            expectProven(result, signer.signer);
            expectSpellingKept(list, result.list);
            expectUnknownKept(list, result.list);
            if (step.flow === 'sign') expect(recordsOf(result.list)).toEqual(recordsOf(list));
            if (step.flow === 'to-non-secure') expect(isEmptied(result.list)).toBe(true);
            if (ctlMode(list) === ctlMode(result.list)) expectTokensKept(list, result.list);
            taken.set(step.flow, (taken.get(step.flow) ?? 0) + 1);
            list = result.list;
          } catch (error) {
            if (!(error instanceof RefusalError)) throw error;
            expect(refusals).toContain(error.code);
          }
        }
      },
    ),
    { numRuns: 80 },
  );
  // The law would hold of nothing if everything were refused.
  expect(taken.size).toBe(7);
  for (const count of taken.values()) expect(count).toBeGreaterThan(0);
});

/** A token that stays is the same bytes. */
function expectTokensKept(before: TrustList, after: TrustList): void {
  const bytes = new Set(recordsOf(before));
  const [known, all] = [tokenRecords(before), recordsOf(after)];
  for (const record of tokenRecords(after)) {
    const index = after.records.indexOf(record);
    const wasThere = known.some((one) => formatHex(one.certificate!) === formatHex(record.certificate!));
    if (wasThere) expect(bytes).toContain(all[index]);
  }
}

test('an update that finds nothing to change is the same file, however it was written', async () => {
  await fc.assert(
    fc.asyncProperty(beginningArbitrary, planArbitrary, async (beginning, plan) => {
      const start = await begin(beginning);
      const cluster = clusterFrom({ ...plan, renewedCallManager: false, nonSecure: false });
      const isTokens = ctlMode(start) === 'token';
      const signer = isTokens ? tokenB : clusterSigner(cluster);
      const { list } = await updateCtl(start, cluster, signer.signer, options);
      const again = await updateCtl(list, cluster, signer.signer, options);
      expect(formatHex(again.list.bytes)).toBe(formatHex(list.bytes));
      expect(again.notices).toEqual([]);
    }),
    { numRuns: 100 },
  );
});
