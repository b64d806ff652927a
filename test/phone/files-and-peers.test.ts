import { describe, expect, test } from 'vitest';
import {
  bootFiles,
  checkPeer,
  createPhone,
  deleteTrustList,
  missingTrustList,
  offerSignedFile,
  offerUnsignedConfiguration,
  type PhoneState,
  type TvsReply,
} from '../../src/phone/index.js';
import { signFile } from '../../src/signed-file/index.js';
import { publisher, publisherRenewed, subscriber, tokenA } from '../ctl/clusters.js';
import { encryptedFile } from './encrypted-file.js';
import {
  capf,
  configuration,
  emptyItl,
  impostorOf,
  itl,
  itlWithoutTvs,
  nonSecureCtl,
  now,
  oldProfile,
  phone,
  profile,
  stranger,
  tokenCtl,
  tokenlessCtl,
  tomcat,
  tvs,
  vouches,
  withTvs,
} from './lists.js';

const old = (ctl?: typeof tokenCtl): PhoneState => createPhone(oldProfile, { ctl });

describe('P1 what a phone asks for', () => {
  const names = (state: PhoneState): string[] => bootFiles(state).flatMap((file) => file.names);
  const listNames = ['CTLSEPB000B4BA0AEE.tlv', 'CTLFile.tlv', 'ITLSEPB000B4BA0AEE.tlv', 'ITLFile.tlv'];
  const signed = 'SEPB000B4BA0AEE.cnf.xml.sgn';
  const unsigned = 'SEPB000B4BA0AEE.cnf.xml';

  test('with nothing held: lists, the signed and the unsigned configuration', () => {
    expect(names(phone())).toEqual([...listNames, signed, unsigned]);
    const kinds = bootFiles(phone()).map(({ kind }) => kind);
    expect(kinds).toEqual(['ctl', 'itl', 'signed-configuration', 'unsigned-configuration']);
  });

  test('with any list: the signed configuration only', () => {
    for (const held of [{ itl }, { ctl: tokenCtl }, { ctl: nonSecureCtl }, { ctl: tokenCtl, itl: emptyItl }]) {
      expect(names(phone(held))).toEqual([...listNames, signed]);
      expect(offerUnsignedConfiguration(phone(held)).decision).toMatchObject({ accepted: false, rule: 'P1' });
    }
  });

  test('P6 an empty ITL and no CTL: the unsigned one too', () => {
    expect(names(phone({ itl: emptyItl }))).toEqual([...listNames, signed, unsigned]);
    expect(offerUnsignedConfiguration(phone({ itl: emptyItl })).decision).toMatchObject({
      accepted: true,
      rule: 'P6',
      used: { kind: 'any' },
    });
  });

  test('an encrypted configuration has another name', () => {
    const state = phone({ itl }, { encryptedConfiguration: true });
    expect(names(state)).toEqual([...listNames, 'SEPB000B4BA0AEE.cnf.xml.enc.sgn']);
  });

  test('P11 no ITL without Security by Default', () => {
    expect(names(old())).toEqual([...listNames.slice(0, 2), signed, unsigned]);
    expect(names(old(tokenCtl))).toEqual([...listNames.slice(0, 2), signed]);
  });

  test('the unsigned configuration is taken with nothing held, and changes no list', () => {
    const state = phone();
    const outcome = offerUnsignedConfiguration(state);
    expect(outcome.decision).toMatchObject({ accepted: true, rule: 'P1' });
    expect(outcome.state).toBe(state);
  });
});

test.each(['ctl', 'itl'] as const)('P2 a missing %s changes nothing', (kind) => {
  for (const state of [phone(), phone({ ctl: tokenCtl, itl })]) {
    const outcome = missingTrustList(state, kind);
    expect(outcome.decision).toMatchObject({ accepted: false, rule: 'P2' });
    expect(outcome.state).toBe(state);
  }
  expect(missingTrustList(phone({ ctl: tokenCtl, itl }), kind).decision.reason).toMatch(/keeps/);
});

test('deleting a list by hand takes it and the TVS cache away', () => {
  const entry = { certificate: tomcat.certificate.der, roles: [7], expires: now + 1 };
  const state: PhoneState = { ...phone({ ctl: tokenCtl, itl }), tvsCache: new Map([['key', entry]]) };
  expect(deleteTrustList(state, 'ctl')).toMatchObject({ ctl: undefined, itl, tvsServers: ['pub'] });
  expect(deleteTrustList(state, 'itl')).toMatchObject({ ctl: tokenCtl, itl: undefined });
  const both = deleteTrustList(state, 'both');
  expect([both.ctl, both.itl, both.tvsCache.size]).toEqual([undefined, undefined, 0]);
  expect(state.tvsCache.size).toBe(1);
});

test('P11 a phone without Security by Default keeps neither ITL nor TVS servers', () => {
  const state = createPhone(oldProfile, { ctl: tokenCtl, itl, tvsServers: ['pub'] });
  expect([state.ctl, state.itl, state.tvsServers]).toEqual([tokenCtl, undefined, []]);
});

describe('P12 a signed file', () => {
  const name = 'SEPB000B4BA0AEE.cnf.xml.sgn';
  const offer = (state: PhoneState, file: Uint8Array, reply?: TvsReply, expected: string | undefined = name) =>
    withTvs(offerSignedFile(state, file, expected, now), reply === undefined ? {} : { pub: reply });

  test('signer in the CTL with function 2: the content comes out', async () => {
    const { result } = offer(phone({ ctl: tokenCtl, itl }), await configuration(publisher));
    expect(result.decision).toMatchObject({ accepted: true, rule: 'P12', used: { kind: 'ctl', record: 2 } });
    expect(Buffer.from(result.content!).toString()).toBe('<device/>');
    expect(result.encrypted).toBe(false);
  });

  test('signer in the CTL beside its function-0 record', async () => {
    const { result } = offer(phone({ ctl: tokenlessCtl }), await configuration(publisher));
    expect(result.decision.used).toEqual({ kind: 'ctl', record: 2 });
  });

  test('signer in the ITL with function 3, also beside an emptied CTL', async () => {
    const file = await configuration(publisher);
    for (const state of [phone({ itl }), phone({ ctl: nonSecureCtl, itl })]) {
      const { decision } = offer(state, file).result;
      expect(decision).toMatchObject({ accepted: true, rule: 'P12', used: { kind: 'itl', record: 2 } });
    }
  });

  test('a signer with function 0 only is none for files', async () => {
    const { serialNumber, issuerName, signerName } = tokenCtl.header;
    const encode = (text: string) => Buffer.from(`${text}\0`);
    const file = await signFile(
      Buffer.from('<device/>'),
      {
        name: 'SEPB000B4BA0AEE.cnf.xml',
        timestamp: now,
        identity: { serialNumber, issuerName: encode(issuerName), signerName: encode(signerName) },
      },
      tokenA.signer,
    );
    expect(offer(phone({ ctl: tokenCtl }), file).result.decision).toMatchObject({ accepted: false, rule: 'P12' });
  });

  test.each([
    [[0, 2], true],
    [[0, 3], true],
    [[0], false],
    [[7], false],
    [[], false],
  ])('TVS vouches for the roles %j: %s', async (roles, accepted) => {
    const state = phone({ itl });
    const reply = vouches(publisherRenewed.certificate, roles);
    const { result, asked } = offer(state, await configuration(publisherRenewed), reply);
    expect(asked).toHaveLength(1);
    expect(result.decision).toMatchObject({ accepted, rule: 'P12' });
    if (!accepted) expect(result).toMatchObject({ state, content: undefined });
  });

  test('TVS sends the certificate of another key: nothing is kept', async () => {
    const state = phone({ itl });
    const { result } = offer(state, await configuration(stranger), vouches(publisher.certificate, [0, 2]));
    expect(result.decision).toMatchObject({ accepted: false, used: { kind: 'tvs', server: 'pub' } });
    expect(result.state).toBe(state);
  });

  test('not by a stranger, without TVS, or without Security by Default', async () => {
    const file = await configuration(stranger);
    expect(offer(phone({ itl }), file, { status: 'not-trusted' }).result.decision.accepted).toBe(false);
    expect(offer(phone({ itl: itlWithoutTvs }), file, vouches(stranger.certificate, [2])).asked).toEqual([]);
    expect(offer(old(tokenCtl), file, vouches(stranger.certificate, [2])).result.decision.reason).toMatch(/P11/);
    expect(offer(old(tokenCtl), await configuration(subscriber)).result.decision.accepted).toBe(true);
    expect(offer(phone(), file).result.decision).toMatchObject({ accepted: false, rule: 'P12' });
  });

  test('not with a changed byte, under another name, as a list, or cut short', async () => {
    const state = phone({ ctl: tokenCtl });
    const file = await configuration(publisher);
    const bad = file.slice();
    bad[bad.length - 1]! ^= 1;
    expect(offer(state, bad).result.decision).toMatchObject({ accepted: false, used: { kind: 'ctl', record: 2 } });
    expect(offer(state, file, undefined, 'SEP000000000000.cnf.xml.sgn').result.decision.reason).toMatch(/FILENAME/);
    expect(offer(state, tokenCtl.bytes, undefined, undefined).result.decision).toMatchObject({ accepted: false });
    expect(offer(state, file.subarray(0, 100)).result.decision.reason).toMatch(/does not parse/);
    expect(offer(state, file, undefined, undefined).result.decision.accepted).toBe(true);
  });

  test('P6 any configuration, whoever signed it', async () => {
    const file = await configuration(stranger);
    const { result } = offer(phone({ itl: emptyItl }), file);
    expect(result.decision).toMatchObject({ accepted: true, rule: 'P6', used: { kind: 'any' } });
    expect(Buffer.from(result.content!).toString()).toBe('<device/>');
    expect(offer(phone({ itl: emptyItl }), file.subarray(0, 50)).result.decision.accepted).toBe(false);
    expect(offer(phone({ ctl: tokenCtl, itl: emptyItl }), file).result.decision.accepted).toBe(false);
  });

  test('an encrypted file: signer and signature count, for a phone that can decrypt', () => {
    const file = encryptedFile(publisher, 'SEPB000B4BA0AEE.cnf.xml.enc.sgn');
    const encName = 'SEPB000B4BA0AEE.cnf.xml.enc.sgn';
    const state = createPhone({ ...profile, encryptedConfiguration: true }, { ctl: tokenCtl });
    const { result } = offer(state, file, undefined, encName);
    expect(result).toMatchObject({ encrypted: true, decision: { accepted: true, rule: 'P12' } });
    expect(result.content).toHaveLength(32);
    const bad = file.slice();
    bad[bad.length - 1]! ^= 1;
    expect(offer(state, bad, undefined, encName).result.decision.accepted).toBe(false);
    expect(offer(phone({ ctl: tokenCtl }), file, undefined, encName).result.decision.reason).toMatch(/encrypted/);
  });
});

describe('P13 a TLS peer', () => {
  const check = (state: PhoneState, der: Uint8Array, wanted: number, reply?: TvsReply) =>
    withTvs(checkPeer(state, der, wanted, now), reply === undefined ? {} : { pub: reply });
  const callManager = publisher.certificate.der;

  test.each([1, 2, 3])('CallManager in the CTL as CCM+TFTP, wanted %i', (wanted) => {
    const { decision } = check(phone({ ctl: tokenCtl, itl }), callManager, wanted).result;
    expect(decision).toMatchObject({ accepted: true, rule: 'P13', used: { kind: 'ctl', record: 2 } });
  });

  test('CAPF in the ITL as its hash', () => {
    const { decision } = check(phone({ itl }), capf.certificate.der, 4).result;
    expect(decision).toMatchObject({ accepted: true, used: { kind: 'itl', record: 3 } });
  });

  test('a certificate with another function is asked of TVS', () => {
    const state = phone({ itl });
    expect(check(state, capf.certificate.der, 2).asked).toEqual([
      { kind: 'verify', server: 'pub', certificate: capf.certificate.der },
    ]);
    expect(check(state, callManager, 2).result.decision.accepted).toBe(false);
  });

  test('tomcat through TVS, then from the cache, until a list is accepted', () => {
    const der = tomcat.certificate.der;
    const first = check(phone({ itl }), der, 7, vouches(tomcat.certificate, [7], 100));
    expect(first.result.decision).toMatchObject({ accepted: true, rule: 'P13', used: { kind: 'tvs', server: 'pub' } });
    const again = check(first.result.state, der, 7);
    expect(again.result).toMatchObject({ decision: { accepted: true, used: { kind: 'tvs-cache' } } });
    expect(again.asked).toEqual([]);
    expect(check(first.result.state, der, 4).asked).toHaveLength(1);
    expect(withTvs(checkPeer(first.result.state, der, 7, now + 100)).asked).toHaveLength(1);
  });

  test('rejected: TVS says no, vouches for something else, is down, or may not be asked', () => {
    const der = tomcat.certificate.der;
    const rows: [PhoneState, TvsReply | undefined, number][] = [
      [phone({ itl }), { status: 'not-trusted' }, 1],
      [phone({ itl }), vouches(tomcat.certificate, [4]), 1],
      [phone({ itl }), vouches(tomcat.certificate, []), 1],
      [phone({ itl }), undefined, 1],
      [phone({ itl: itlWithoutTvs }), vouches(tomcat.certificate, [7]), 0],
      [phone({ itl: emptyItl }), vouches(tomcat.certificate, [7]), 0],
      [phone(), vouches(tomcat.certificate, [7]), 0],
      [old(tokenCtl), vouches(tomcat.certificate, [7]), 0],
    ];
    for (const [state, reply, questions] of rows) {
      const { result, asked } = check(state, der, 7, reply);
      expect(result.decision).toMatchObject({ accepted: false, rule: 'P13', used: undefined });
      expect(result.state).toBe(state);
      expect(asked).toHaveLength(questions);
    }
  });

  test('a renewed certificate, or one with the same issuer and serial, is not the one of the lists', async () => {
    for (const other of [publisherRenewed, await impostorOf(publisher)]) {
      for (const state of [phone({ ctl: tokenCtl }), phone({ itl: itlWithoutTvs })]) {
        const { decision } = check(state, other.certificate.der, 3).result;
        expect(decision).toMatchObject({ accepted: false, rule: 'P13' });
      }
    }
  });

  test('bytes that are no certificate are asked of nobody', () => {
    const { result, asked } = check(phone({ itl }), Uint8Array.of(0x30, 1), 7, vouches(tvs.certificate, [7]));
    expect(result.decision.reason).toMatch(/no certificate/);
    expect(asked).toEqual([]);
  });
});
