import { describe, expect, test } from 'vitest';
import {
  acceptsTvsServer,
  createPhone,
  decideAsync,
  offerSignedFile,
  offerTrustList,
  setTvsServers,
  type TvsReply,
} from '../../src/phone/index.js';
import { encodeText } from '../../src/tlv/index.js';
import { publisherRenewed, tokenA } from '../ctl/clusters.js';
import { foreignRecord } from '../ctl/lists.js';
import {
  configuration,
  ctlWithTvs,
  emptyItl,
  impostorOf,
  itl,
  itlBothRenewed,
  itlRecord,
  itlRenewed,
  itlTwoTvs,
  listOf,
  now,
  oldProfile,
  phone,
  tokenCtl,
  tvs,
  tvsRenewed,
  tvsTwo,
  vouches,
  withTvs,
} from './lists.js';

const yes = vouches(publisherRenewed.certificate, [0, 2]);
const no: TvsReply = { status: 'not-trusted' };

describe('P9 which server is a TVS server', () => {
  const presented = tvs.certificate.der;

  test('one whose certificate stands in the ITL as its hash', () => {
    const decision = acceptsTvsServer(phone({ itl }), presented);
    expect(decision).toMatchObject({ accepted: true, rule: 'P9', used: { kind: 'itl', record: 4 } });
  });

  test('the CTL is looked at first, whole certificates count as well', async () => {
    expect(acceptsTvsServer(phone({ ctl: ctlWithTvs, itl }), presented).used).toEqual({ kind: 'ctl', record: 3 });
    const host = { name: 'pub', address: Uint8Array.of(0, 0, 0, 0) };
    const foreign = await listOf('CTL', tokenA, [
      itlRecord(tokenA, 0),
      foreignRecord(tvs.certificate, 21, host, { separator: ', ', reversedNames: true }),
    ]);
    expect(acceptsTvsServer(phone({ ctl: foreign }), presented)).toMatchObject({ accepted: true });
  });

  test('each of several TVS certificates', () => {
    expect(acceptsTvsServer(phone({ itl: itlTwoTvs }), tvsTwo.certificate.der)).toMatchObject({ accepted: true });
  });

  test('not a renewed certificate, nor one with the same issuer and serial', async () => {
    const impostor = await impostorOf(tvs);
    for (const other of [tvsRenewed, tvsTwo, impostor]) {
      const decision = acceptsTvsServer(phone({ itl }), other.certificate.der);
      expect(decision).toMatchObject({ accepted: false, rule: 'P9', used: undefined });
      expect(decision.reason).toMatch(/not the one/);
    }
  });

  test('not one that is in the list with another function', async () => {
    const asCapf = await listOf('ITL', publisherRenewed, [itlRecord(publisherRenewed, 0), itlRecord(tvs, 4)]);
    expect(acceptsTvsServer(phone({ itl: asCapf }), presented).reason).toMatch(/neither CTL nor ITL/);
  });

  test('none without a list, with an empty ITL, or without Security by Default', () => {
    expect(acceptsTvsServer(phone(), presented)).toMatchObject({ accepted: false, rule: 'P9' });
    expect(acceptsTvsServer(phone({ itl: emptyItl }), presented)).toMatchObject({ accepted: false, rule: 'P9' });
    const old = createPhone(oldProfile, { ctl: ctlWithTvs });
    expect(acceptsTvsServer(old, presented)).toMatchObject({ accepted: false, rule: 'P11' });
  });
});

describe('P10 which servers are asked', () => {
  const state = phone({ itl, tvsServers: ['pub', 'sub1:2446', 'sub2'] });
  const offer = () => offerTrustList(state, 'itl', itlRenewed, now);

  test.each<[string, Record<string, TvsReply>, string[], boolean]>([
    ['the first yes counts', { pub: yes, 'sub1:2446': no }, ['pub'], true],
    ['the first no counts', { pub: no, 'sub1:2446': yes }, ['pub'], false],
    ['who cannot be reached is skipped', { 'sub1:2446': yes }, ['pub', 'sub1:2446'], true],
    ['the third may be the one that says no', { sub2: no }, ['pub', 'sub1:2446', 'sub2'], false],
    ['nobody can be reached', {}, ['pub', 'sub1:2446', 'sub2'], false],
  ])('%s', (_title, replies, servers, accepted) => {
    const { result, asked } = withTvs(offer(), replies);
    expect(asked.map(({ server }) => server)).toEqual(servers);
    expect(result.decision).toMatchObject({ accepted, rule: 'P5' });
    if (accepted) expect(result.decision.used).toEqual({ kind: 'tvs', server: servers.at(-1) });
  });

  test('decide and decideAsync ask and decide the same', async () => {
    for (const replies of [{ pub: yes }, { pub: no }, { sub2: yes }, {}] as Record<string, TvsReply>[]) {
      const asked: string[] = [];
      const outcome = await decideAsync(offer(), async (question) => {
        asked.push(question.server);
        await Promise.resolve();
        return replies[question.server] ?? { status: 'unreachable', reason: 'connection refused' };
      });
      const sync = withTvs(offer(), replies);
      expect(asked).toEqual(sync.asked.map(({ server }) => server));
      expect(outcome).toEqual(sync.result);
    }
  });

  test('what asking throws is thrown', async () => {
    await expect(decideAsync(offer(), () => Promise.reject(new Error('no socket')))).rejects.toThrow('no socket');
  });

  test('of four servers the first three count', () => {
    const four = ['a', 'b', 'c', 'd'];
    expect(phone({ itl, tvsServers: four }).tvsServers).toEqual(['a', 'b', 'c']);
    expect(setTvsServers(phone({ itl }), four).tvsServers).toEqual(['a', 'b', 'c']);
    expect(setTvsServers(createPhone(oldProfile), four).tvsServers).toEqual([]);
  });

  test('CallManager and TVS renewed together: stuck on one node, saved by a second TVS (A1)', () => {
    // The lab's phones ask over TLS; here a server that P9 refuses counts as unreachable, as it does there.
    const renewed = (itlHeld: typeof itl, servers: string[]) => {
      const held = phone({ itl: itlHeld, tvsServers: servers });
      const shown = { pub: tvsRenewed, sub: tvsTwo };
      return withTvs(
        offerTrustList(held, 'itl', itlBothRenewed, now),
        Object.fromEntries(
          Object.entries(shown).map(([server, { certificate }]) => [
            server,
            acceptsTvsServer(held, certificate.der).accepted ? yes : { status: 'unreachable', reason: 'P9' },
          ]),
        ),
      );
    };
    expect(renewed(itl, ['pub']).result.decision).toMatchObject({ accepted: false, rule: 'P5' });
    expect(renewed(itlTwoTvs, ['pub', 'sub']).result.decision).toMatchObject({
      accepted: true,
      rule: 'P5',
      used: { kind: 'tvs', server: 'sub' },
    });
  });

  test('a yes is kept for its time to live, in a copy, and used without asking', async () => {
    const file = await configuration(publisherRenewed);
    const certificate = publisherRenewed.certificate.der.slice();
    const reply: TvsReply = { status: 'success', certificate, roles: [0, 2], timeToLive: 60 };
    const first = withTvs(offerSignedFile(phone({ ctl: tokenCtl, itl }), file, undefined, now), { pub: reply });
    expect(first.result.decision).toMatchObject({ accepted: true, rule: 'P12', used: { kind: 'tvs', server: 'pub' } });
    certificate.fill(0);
    const kept = first.result.state;
    expect([...kept.tvsCache.values()].map(({ expires }) => expires)).toEqual([now + 60]);
    const again = withTvs(offerSignedFile(kept, file, undefined, now + 59));
    expect(again.result.decision).toMatchObject({ accepted: true, rule: 'P12', used: { kind: 'tvs-cache' } });
    expect(again.result.state).toBe(kept);
    expect(again.asked).toEqual([]);
    const late = withTvs(offerSignedFile(kept, file, undefined, now + 60));
    expect(late.result.decision.accepted).toBe(false);
    expect(late.asked).toHaveLength(1);
  });

  test('an answer takes the place of those that expired', async () => {
    const file = await configuration(publisherRenewed);
    const old = { certificate: tvs.certificate.der, roles: [21], expires: now };
    const held = {
      ...phone({ itl }),
      tvsCache: new Map([
        ['old', old],
        ['new', { ...old, expires: now + 1 }],
      ]),
    };
    const { state } = withTvs(offerSignedFile(held, file, undefined, now), { pub: yes }).result;
    expect(state.tvsCache.size).toBe(2);
    expect(state.tvsCache.has('old')).toBe(false);
    expect(held.tvsCache.size).toBe(2);
  });

  test('a reason with control characters is made safe to print', () => {
    const { decision } = withTvs(offer(), { pub: { status: 'unreachable', reason: 'a\u001b[2Jb' } }).result;
    expect(decision.reason).not.toContain('\u001b');
  });
});

test('names in a question are those of the header, without the closing NUL', () => {
  const { asked } = withTvs(offerTrustList(phone({ itl }), 'itl', itlRenewed, now));
  const [question] = asked;
  if (question?.kind !== 'query') throw new Error('no query was asked');
  expect(encodeText(question.issuerName)).toEqual(
    itlRenewed.header.elements[2]!.children!.find(({ tag }) => tag === 6)!.value,
  );
});
