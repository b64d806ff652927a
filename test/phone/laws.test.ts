import { createHash, createPublicKey, verify, X509Certificate, type KeyObject } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  checkPeer,
  createPhone,
  decide,
  decideAsync,
  offerSignedFile,
  offerTrustList,
  type Deciding,
  type Outcome,
  type PhoneState,
  type TvsReply,
} from '../../src/phone/index.js';
import type { TrustList } from '../../src/trust-list/index.js';
import { publisher, publisherRenewed, subscriber, tokenA, tokenC } from '../ctl/clusters.js';
import { cutSignature } from '../trust-list/pieces.js';
import * as lists from './lists.js';
import { configuration, now, oldProfile, profile, vouches } from './lists.js';

const ctls = [
  undefined,
  lists.tokenCtl,
  lists.tokenCtlRenewed,
  lists.otherTokensCtl,
  lists.tokenlessCtl,
  lists.nonSecureCtl,
  lists.ctlWithTvs,
  lists.strangersCtl,
];
const itls = [
  undefined,
  lists.itl,
  lists.itlRenewed,
  lists.itlTwoTvs,
  lists.itlBothRenewed,
  lists.itlWithoutTvs,
  lists.subscribersItl,
  lists.emptyItl,
  lists.strangersItl,
];
const files = await Promise.all(
  [publisher, publisherRenewed, subscriber, lists.stranger].map((identity) => configuration(identity)),
);
const identities = [publisher, publisherRenewed, subscriber, tokenA, tokenC, lists.stranger, lists.tomcat];

const anyReply: fc.Arbitrary<TvsReply> = fc.oneof(
  fc.record({ status: fc.constant('unreachable' as const), reason: fc.string() }),
  fc.constant<TvsReply>({ status: 'not-trusted' }),
  fc
    .record({
      identity: fc.constantFrom(...identities),
      roles: fc.subarray([0, 2, 3, 4, 7, 21]),
      timeToLive: fc.nat(10),
    })
    .map(({ identity, roles, timeToLive }) => vouches(identity.certificate, roles, timeToLive)),
);
const anyState: fc.Arbitrary<PhoneState> = fc
  .record({
    ctl: fc.constantFrom(...ctls),
    itl: fc.constantFrom(...itls),
    old: fc.boolean(),
    tvsServers: fc.subarray(['a', 'b', 'c']),
    cached: fc.array(fc.record({ identity: fc.constantFrom(...identities), roles: fc.subarray([0, 2, 7]) })),
  })
  .map(({ ctl, itl, old, tvsServers, cached }) => {
    const state = createPhone(old ? oldProfile : profile, { ctl, itl, tvsServers });
    // A cache as P10 fills it: by serial and issuer in the cluster's spelling.
    const entries = cached.map(({ identity, roles }) => {
      const { serialNumber } = identity.certificate;
      const issuer = lists.issuerOf(identity);
      const key = `${Buffer.from(serialNumber).toString('hex').toUpperCase()}${issuer}`;
      return [key, { certificate: identity.certificate.der, roles, expires: now + 1 }] as const;
    });
    return old ? state : { ...state, tvsCache: new Map(entries) };
  });

/** A file as it is, cut short, with bytes changed, or with bytes put in. */
function damaged(all: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  const place = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  const at = (bytes: Uint8Array, part: number): number => Math.floor(bytes.length * part);
  const file = fc.constantFrom(...all);
  return fc.oneof(
    { weight: 3, arbitrary: file },
    fc.tuple(file, place).map(([bytes, part]) => bytes.subarray(0, at(bytes, part))),
    fc.tuple(file, place, fc.uint8Array({ maxLength: 8 })).map(([bytes, part, more]) => {
      return new Uint8Array(Buffer.concat([bytes.subarray(0, at(bytes, part)), more, bytes.subarray(at(bytes, part))]));
    }),
    fc
      .tuple(file, fc.array(fc.tuple(place, fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 3 }))
      .map(([bytes, changes]) => {
        const changed = bytes.slice();
        for (const [part, mask] of changes) changed[at(bytes, part)]! ^= mask;
        return changed;
      }),
  );
}
const listBytes = [...ctls, ...itls].flatMap((list) => (list === undefined ? [] : [list.bytes]));
const anyList = damaged(listBytes);
const anyFile = damaged([...files, ...listBytes.slice(0, 2)]);

/** All that a phone holds, in bytes: to see that nothing of it was touched. */
function imprint({ profile: of, ctl, itl, tvsServers, tvsCache }: PhoneState): string {
  const hash = (bytes: Uint8Array | undefined): string | undefined =>
    bytes === undefined ? undefined : createHash('sha256').update(bytes).digest('hex');
  const cache = [...tvsCache].map(([key, { certificate, roles, expires }]) => [key, hash(certificate), roles, expires]);
  return JSON.stringify([of, hash(ctl?.bytes), hash(itl?.bytes), tvsServers, cache]);
}

const rsaKey = (publicKey: Uint8Array): KeyObject =>
  createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'pkcs1' });

/** Every key that a phone may believe: of its lists, of its cache, and of what TVS vouched for. */
function trustedKeys(state: PhoneState, replies: readonly TvsReply[]): KeyObject[] {
  const records = [state.ctl, state.itl].flatMap((list) => list?.records ?? []);
  const certificates = [
    ...[...state.tvsCache.values()].map(({ certificate }) => certificate),
    ...replies.flatMap((reply) => (reply.status === 'success' ? [reply.certificate] : [])),
  ];
  return [
    ...records.flatMap(({ publicKey }) => (publicKey === undefined ? [] : [rsaKey(publicKey)])),
    ...certificates.map((certificate) => new X509Certificate(certificate).publicKey),
  ];
}

function isSignedByOne(file: Uint8Array, keys: readonly KeyObject[]): boolean {
  const { signed, signature } = cutSignature(file);
  return keys.some((key) => verify('sha1', signed, key, signature));
}

/** Runs a decision with one reply for each server, and again across a promise: both must be the same. */
async function run<T extends Outcome>(make: () => Deciding<T>, replies: readonly TvsReply[]): Promise<T> {
  const replyOf = (server: string): TvsReply => replies['abc'.indexOf(server)]!;
  const outcome = decide(make(), ({ server }) => replyOf(server));
  const other = await decideAsync(make(), ({ server }) => Promise.resolve(replyOf(server)));
  expect(other.decision).toEqual(outcome.decision);
  expect(imprint(other.state)).toBe(imprint(outcome.state));
  return outcome;
}

const threeReplies = fc.array(anyReply, { minLength: 3, maxLength: 3 });
const kinds = fc.constantFrom('ctl' as const, 'itl' as const);
const isFreeForAll = ({ ctl, itl }: PhoneState): boolean =>
  ctl === undefined && (itl === undefined || itl === lists.emptyItl);

describe('a rejected file changes nothing, an accepted one was signed with a key that was trusted', () => {
  test('trust lists', async () => {
    const seen = new Map<string, number>();
    await fc.assert(
      fc.asyncProperty(anyState, kinds, anyList, threeReplies, async (state, kind, bytes, replies) => {
        const before = imprint(state);
        const { decision, state: after } = await run(() => offerTrustList(state, kind, bytes, now), replies);
        const verdict = `${decision.rule} ${String(decision.accepted)}`;
        seen.set(verdict, (seen.get(verdict) ?? 0) + 1);
        expect(imprint(state)).toBe(before);
        if (!decision.accepted) {
          expect(after).toBe(state);
          return;
        }
        expect(Buffer.from(after[kind]!.bytes).equals(bytes)).toBe(true);
        expect(after.tvsCache.size).toBe(0);
        const own = after[kind]!.records.flatMap(({ function: role, publicKey }) =>
          role === 0 && publicKey !== undefined ? [rsaKey(publicKey)] : [],
        );
        expect(isSignedByOne(bytes, own)).toBe(true);
        if (isFreeForAll(state)) expect(['P3', 'P6']).toContain(decision.rule);
        else expect(isSignedByOne(bytes, trustedKeys(state, replies))).toBe(true);
      }),
      { numRuns: 1500 },
    );
    // The law says nothing unless both sides of the rules were met.
    for (const verdict of ['P3 true', 'P5 true', 'P5 false', 'P7 false', 'P11 false']) {
      expect([verdict, (seen.get(verdict) ?? 0) > 0]).toEqual([verdict, true]);
    }
  });

  test('trust lists that were parsed decide like their bytes', async () => {
    const parsed = fc.constantFrom(...[...ctls, ...itls].filter((list) => list !== undefined));
    await fc.assert(
      fc.asyncProperty(anyState, kinds, parsed, threeReplies, async (state, kind, list: TrustList, replies) => {
        const whole = await run(() => offerTrustList(state, kind, list, now), replies);
        const bytes = await run(() => offerTrustList(state, kind, list.bytes, now), replies);
        expect(whole.decision).toEqual(bytes.decision);
        expect(imprint(whole.state)).toBe(imprint(bytes.state));
        if (whole.decision.accepted) expect(whole.state[kind]).toBe(list);
      }),
      { numRuns: 500 },
    );
  });

  test('signed files', async () => {
    await fc.assert(
      fc.asyncProperty(anyState, anyFile, threeReplies, async (state, file, replies) => {
        const before = imprint(state);
        const outcome = await run(() => offerSignedFile(state, file, undefined, now), replies);
        const { decision, state: after } = outcome;
        expect(imprint(state)).toBe(before);
        expect(outcome.content === undefined).toBe(!decision.accepted);
        if (!decision.accepted || decision.used?.kind !== 'tvs') expect(after).toBe(state);
        if (!decision.accepted) return;
        expect([after.ctl, after.itl]).toEqual([state.ctl, state.itl]);
        if (decision.rule === 'P6') expect(isFreeForAll(state)).toBe(true);
        else expect(isSignedByOne(file, trustedKeys(state, replies))).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  test('TLS peers', async () => {
    const certificates = damaged([...identities, lists.tvs, lists.capf].map(({ certificate }) => certificate.der));
    const wanted = fc.constantFrom(1, 2, 3, 4, 7, 21);
    await fc.assert(
      fc.asyncProperty(anyState, certificates, wanted, threeReplies, async (state, der, role, replies) => {
        const before = imprint(state);
        const { decision, state: after } = await run(() => checkPeer(state, der, role, now), replies);
        expect(imprint(state)).toBe(before);
        expect([after.ctl, after.itl]).toEqual([state.ctl, state.itl]);
        if (decision.used?.kind !== 'tvs') expect(after).toBe(state);
        expect(decision.accepted).toBe(decision.used !== undefined);
      }),
      { numRuns: 1000 },
    );
  });
});
