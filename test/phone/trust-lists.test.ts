import { describe, expect, test } from 'vitest';
import { offerTrustList, type PhoneState } from '../../src/phone/index.js';
import { decodeTrustList, verifyTrustList } from '../../src/trust-list/index.js';
import { publisher, publisherRenewed, tokenA } from '../ctl/clusters.js';
import * as lists from './lists.js';
import { itl, itlRenewed, itlWithoutTvs, now, phone, strangersItl, tokenCtl, withTvs } from './lists.js';
import { cases, forged, withoutSigningRecord } from './trust-list-cases.js';

describe('a trust list is offered', () => {
  test.each(cases)('$title', (row) => {
    const replies = row.tvs === undefined ? {} : { pub: row.tvs };
    const { result, asked } = withTvs(offerTrustList(row.state, row.kind, row.offered, now), replies);
    const { decision, state } = result;
    expect(decision).toMatchObject({ accepted: row.accepted, rule: row.rule });
    if (row.used !== undefined) expect(decision.used).toEqual(row.used);
    if (row.reason !== undefined) expect(decision.reason).toMatch(row.reason);
    expect(asked).toHaveLength(row.questions ?? 0);
    if (!row.accepted) {
      expect(state).toBe(row.state);
      return;
    }
    const bytes = row.offered instanceof Uint8Array ? row.offered : row.offered.bytes;
    expect(Buffer.from(state[row.kind]!.bytes).equals(bytes)).toBe(true);
    const other = row.kind === 'ctl' ? 'itl' : 'ctl';
    expect(state[other]).toBe(row.state[other]);
    expect(state.profile).toBe(row.state.profile);
  });
});

test('the forged and stripped lists parse, so that only their proof is wrong', () => {
  expect(verifyTrustList(decodeTrustList(forged(itl, lists.stranger)))).toMatchObject({ code: 'signature-mismatch' });
  expect(verifyTrustList(decodeTrustList(withoutSigningRecord(itl, publisher)))).toMatchObject({
    code: 'no-signing-record',
  });
});

test('the question about a signer repeats the spelling of the header, a reversed serial too', () => {
  const { asked } = withTvs(offerTrustList(phone({ itl }), 'ctl', tokenCtl, now));
  const { signerName, issuerName, serialNumber } = tokenCtl.header;
  expect(asked).toEqual([{ kind: 'query', server: 'pub', subjectName: signerName, issuerName, serialNumber }]);
  expect([...serialNumber]).toEqual([...tokenA.certificate.serialNumber].reverse());
});

test('P5 a signer with the name and serial of a record and another key is rejected', async () => {
  const impostor = await lists.impostorOf(publisher);
  const list = await lists.itlOf(impostor, [lists.tvs]);
  const { result } = withTvs(offerTrustList(phone({ itl }), 'itl', list, now));
  expect(result.decision).toMatchObject({ accepted: false, rule: 'P7', used: { kind: 'itl', record: 1 } });
});

test('P7 a list above 65,535 bytes is rejected, parsed or not', async () => {
  const many = Array.from({ length: 80 }, () => lists.itlRecord(publisher, 2));
  const large = await lists.listOf('CTL', publisher, [lists.itlRecord(publisher, 0), ...many]);
  expect(large.bytes.length).toBeGreaterThan(65_535);
  for (const offered of [large, large.bytes]) {
    const { decision } = withTvs(offerTrustList(phone(), 'ctl', offered, now)).result;
    expect(decision).toMatchObject({ accepted: false, rule: 'P7' });
    expect(decision.reason).toMatch(/65535/);
  }
});

test('a phone keeps a copy of the bytes it was offered', () => {
  const bytes = itl.bytes.slice();
  const { state } = withTvs(offerTrustList(phone(), 'itl', bytes, now)).result;
  bytes.fill(0);
  expect(Buffer.from(state.itl!.bytes).equals(itl.bytes)).toBe(true);
});

test('P8 an accepted list clears the TVS cache, a rejected one does not', () => {
  const entry = { certificate: lists.tomcat.certificate.der, roles: [7], expires: now + 1 };
  const state: PhoneState = { ...phone({ itl }), tvsCache: new Map([['01CN=x', entry]]) };
  const rejected = withTvs(offerTrustList(state, 'itl', strangersItl, now)).result;
  expect(rejected.state).toBe(state);
  expect(rejected.state.tvsCache.size).toBe(1);
  const accepted = withTvs(offerTrustList(state, 'itl', itlWithoutTvs, now)).result;
  expect(accepted.state.tvsCache.size).toBe(0);
  expect(accepted.state.tvsServers).toEqual(['pub']);
});

test('P5 an answer in the TVS cache counts before TVS, until it expires', () => {
  const { header } = itlRenewed;
  const key = `${Buffer.from(header.serialNumber).toString('hex').toUpperCase()}${header.issuerName}`;
  const entry = { certificate: publisherRenewed.certificate.der, roles: [0, 2], expires: now + 10 };
  const state: PhoneState = { ...phone({ itl }), tvsCache: new Map([[key, entry]]) };
  const known = withTvs(offerTrustList(state, 'itl', itlRenewed, now + 9));
  expect(known.result.decision).toMatchObject({ accepted: true, rule: 'P5', used: { kind: 'tvs-cache' } });
  expect(known.asked).toHaveLength(0);
  const expired = withTvs(offerTrustList(state, 'itl', itlRenewed, now + 10));
  expect(expired.result.decision).toMatchObject({ accepted: false, rule: 'P5' });
  expect(expired.asked).toHaveLength(1);
  const other: PhoneState = { ...state, tvsCache: new Map([[key, { ...entry, roles: [2] }]]) };
  expect(withTvs(offerTrustList(other, 'itl', itlRenewed, now)).asked).toHaveLength(1);
});
