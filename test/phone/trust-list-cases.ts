import { createPhone, type PhoneState, type TvsReply, type Used } from '../../src/phone/index.js';
import type { TrustList } from '../../src/trust-list/index.js';
import { publisher, publisherRenewed, tokenA, tokenC, type Identity } from '../ctl/clusters.js';
import { cutSignature, signAgain } from '../trust-list/pieces.js';
import * as lists from './lists.js';
import { oldProfile, phone, vouches } from './lists.js';

const {
  tokenCtl,
  tokenCtlRenewed,
  tokenlessCtl,
  nonSecureCtl,
  otherTokensCtl,
  itl,
  itlRenewed,
  itlBothRenewed,
  itlWithoutTvs,
  emptyItl,
  ctlWithTvs,
  strangersCtl,
  strangersItl,
  subscribersItl,
} = lists;

const old = (ctl?: TrustList): PhoneState => createPhone(oldProfile, { ctl });

/** One row: who is offered what, what TVS at `pub` says, and what comes of it. */
export interface Case {
  readonly title: string;
  readonly state: PhoneState;
  readonly kind: 'ctl' | 'itl';
  readonly offered: TrustList | Uint8Array;
  readonly tvs?: TvsReply;
  readonly rule: string;
  readonly accepted: boolean;
  readonly used?: Used;
  readonly reason?: RegExp;
  /** How many questions TVS was asked; 0 unless told. */
  readonly questions?: number;
}

const refused: TvsReply = { status: 'not-trusted' };

function changed(list: TrustList, change: (bytes: Uint8Array) => void): Uint8Array {
  const bytes = list.bytes.slice();
  change(bytes);
  return bytes;
}

/** The same list, signed with another key, as by someone who has all but the key. */
export function forged(list: TrustList, { key }: Identity): Uint8Array {
  return signAgain(list.bytes, cutSignature(list.bytes), key);
}

/** A list whose header still names its signer, and whose function-0 records have become something else. */
export function withoutSigningRecord(list: TrustList, { key }: Identity): Uint8Array {
  const bytes = list.bytes.slice();
  for (const record of list.records.filter((each) => each.function === 0)) {
    const { offset } = record.elements.find(({ tag }) => tag === 4)!;
    bytes[offset + 4] = 7;
  }
  return signAgain(bytes, cutSignature(bytes), key);
}

export const cases: readonly Case[] = [
  // P3: nothing held.
  {
    title: 'P3 an ITL',
    state: phone(),
    kind: 'itl',
    offered: itl,
    rule: 'P3',
    accepted: true,
    used: { kind: 'own', record: 1 },
  },
  {
    title: 'P3 a CTL',
    state: phone(),
    kind: 'ctl',
    offered: tokenCtl,
    rule: 'P3',
    accepted: true,
    used: { kind: 'own', record: 1 },
  },
  {
    title: 'P3 a list of strangers, as bytes',
    state: phone(),
    kind: 'ctl',
    offered: strangersCtl.bytes,
    rule: 'P3',
    accepted: true,
  },
  {
    title: 'P3 not by a key that is not in the signing record',
    state: phone(),
    kind: 'itl',
    offered: forged(itl, lists.stranger),
    rule: 'P7',
    accepted: false,
  },

  // P4: a CTL and no ITL.
  {
    title: 'P4 an ITL signed by a CallManager of the CTL (2)',
    state: phone({ ctl: tokenCtl }),
    kind: 'itl',
    offered: itl,
    rule: 'P4',
    accepted: true,
    used: { kind: 'ctl', record: 2 },
  },
  {
    title: 'P4 an ITL signed by a function-0 record',
    state: phone({ ctl: tokenlessCtl }),
    kind: 'itl',
    offered: itl,
    rule: 'P4',
    accepted: true,
    used: { kind: 'ctl', record: 1 },
  },
  {
    title: 'P4 an ITL of the other node',
    state: phone({ ctl: tokenCtl }),
    kind: 'itl',
    offered: subscribersItl,
    rule: 'P4',
    accepted: true,
  },
  {
    title: 'P4 an ITL of a stranger; TVS is not asked',
    state: phone({ ctl: ctlWithTvs }),
    kind: 'itl',
    offered: itlRenewed,
    tvs: vouches(publisherRenewed.certificate, [0, 2]),
    rule: 'P4',
    accepted: false,
  },
  {
    title: 'P4 an emptied CTL knows no CallManager',
    state: phone({ ctl: nonSecureCtl }),
    kind: 'itl',
    offered: itl,
    rule: 'P4',
    accepted: false,
  },
  {
    title: 'P4 a CTL signed by the other token',
    state: phone({ ctl: tokenCtl }),
    kind: 'ctl',
    offered: tokenCtlRenewed,
    rule: 'P4',
    accepted: true,
    used: { kind: 'ctl', record: 5 },
  },
  {
    title: 'P4 a CTL signed by the CallManager, which is 2 and not 0',
    state: phone({ ctl: tokenCtl }),
    kind: 'ctl',
    offered: tokenlessCtl,
    rule: 'P4',
    accepted: false,
  },
  {
    title: 'P4 a CTL of strangers',
    state: phone({ ctl: tokenCtl }),
    kind: 'ctl',
    offered: strangersCtl,
    rule: 'P4',
    accepted: false,
  },

  // P5: both, or an ITL only.
  {
    title: 'P5 found in the CTL',
    state: phone({ ctl: tokenCtl, itl }),
    kind: 'ctl',
    offered: nonSecureCtl,
    rule: 'P5',
    accepted: true,
    used: { kind: 'ctl', record: 1 },
  },
  {
    title: 'P5 found in the ITL as 0, while the CTL has it as 2',
    state: phone({ ctl: tokenCtl, itl }),
    kind: 'ctl',
    offered: tokenlessCtl,
    rule: 'P5',
    accepted: true,
    used: { kind: 'itl', record: 1 },
  },
  {
    title: 'P5 the ITL of another node does not have it',
    state: phone({ ctl: tokenCtl, itl: subscribersItl, tvsServers: [] }),
    kind: 'ctl',
    offered: tokenlessCtl,
    rule: 'P5',
    accepted: false,
    reason: /names no TVS server/,
  },
  {
    title: 'P5 an ITL only, the same signer',
    state: phone({ itl }),
    kind: 'itl',
    offered: itlWithoutTvs,
    rule: 'P5',
    accepted: true,
    used: { kind: 'itl', record: 1 },
  },
  {
    title: 'P5 an ITL only, first tokenless CTL',
    state: phone({ itl }),
    kind: 'ctl',
    offered: tokenlessCtl,
    rule: 'P5',
    accepted: true,
    used: { kind: 'itl', record: 1 },
  },
  {
    title: 'P5 first token CTL through TVS',
    state: phone({ itl }),
    kind: 'ctl',
    offered: tokenCtl,
    tvs: vouches(tokenA.certificate, [0]),
    rule: 'P5',
    accepted: true,
    used: { kind: 'tvs', server: 'pub' },
    questions: 1,
  },
  {
    title: 'P5 tokenless to tokens in Phone-SAST-trust',
    state: phone({ ctl: tokenlessCtl, itl }),
    kind: 'ctl',
    offered: otherTokensCtl,
    tvs: vouches(tokenC.certificate, [0, 3]),
    rule: 'P5',
    accepted: true,
    used: { kind: 'tvs', server: 'pub' },
    questions: 1,
  },
  {
    title: 'P5 tokenless to tokens that TVS does not know',
    state: phone({ ctl: tokenlessCtl, itl }),
    kind: 'ctl',
    offered: otherTokensCtl,
    tvs: refused,
    rule: 'P5',
    accepted: false,
    reason: /TVS pub does not know it/,
    questions: 1,
  },
  {
    title: 'P5 TVS knows the signer for something else',
    state: phone({ itl }),
    kind: 'ctl',
    offered: strangersCtl,
    tvs: vouches(lists.stranger.certificate, [7]),
    rule: 'P5',
    accepted: false,
    reason: /roles \{7\}/,
    questions: 1,
  },
  {
    title: 'P5 TVS sends the certificate of another key',
    state: phone({ itl }),
    kind: 'itl',
    offered: itlRenewed,
    tvs: vouches(publisher.certificate, [0, 2]),
    rule: 'P7',
    accepted: false,
    used: { kind: 'tvs', server: 'pub' },
    questions: 1,
  },
  {
    title: 'P5 TVS sends no certificate',
    state: phone({ itl }),
    kind: 'itl',
    offered: itlRenewed,
    tvs: { status: 'success', certificate: Uint8Array.of(1, 2), roles: [0], timeToLive: 1 },
    rule: 'P5',
    accepted: false,
    questions: 1,
  },
  {
    title: 'P5 CallManager renewed, TVS vouches',
    state: phone({ itl }),
    kind: 'itl',
    offered: itlRenewed,
    tvs: vouches(publisherRenewed.certificate, [0, 2]),
    rule: 'P5',
    accepted: true,
    used: { kind: 'tvs', server: 'pub' },
    questions: 1,
  },
  {
    title: 'P5 CallManager renewed, TVS down',
    state: phone({ itl }),
    kind: 'itl',
    offered: itlRenewed,
    rule: 'P5',
    accepted: false,
    reason: /no TVS server could be reached \(pub: connection refused\)/,
    questions: 1,
  },
  {
    title: 'P5 CallManager and TVS renewed, a token CTL brought the new CallManager (A1)',
    state: phone({ ctl: tokenCtlRenewed, itl }),
    kind: 'itl',
    offered: itlBothRenewed,
    rule: 'P5',
    accepted: true,
    used: { kind: 'ctl', record: 2 },
  },
  {
    title: 'P5 a TVS certificate in the CTL lets TVS be asked',
    state: phone({ ctl: ctlWithTvs, itl: itlWithoutTvs }),
    kind: 'itl',
    offered: itlRenewed,
    tvs: vouches(publisherRenewed.certificate, [0, 2]),
    rule: 'P5',
    accepted: true,
    questions: 1,
  },
  {
    title: 'P9 without a TVS certificate TVS is not asked',
    state: phone({ itl: itlWithoutTvs, ctl: tokenCtl }),
    kind: 'itl',
    offered: itlRenewed,
    tvs: vouches(publisherRenewed.certificate, [0, 2]),
    rule: 'P5',
    accepted: false,
    reason: /P9/,
  },

  // P6: the empty ITL.
  {
    title: 'P6 an ITL of strangers',
    state: phone({ itl: emptyItl }),
    kind: 'itl',
    offered: strangersItl,
    rule: 'P6',
    accepted: true,
    used: { kind: 'any' },
  },
  {
    title: 'P6 a CTL of strangers',
    state: phone({ itl: emptyItl }),
    kind: 'ctl',
    offered: strangersCtl.bytes,
    rule: 'P6',
    accepted: true,
    used: { kind: 'any' },
  },
  {
    title: 'P6 but not what does not verify against itself',
    state: phone({ itl: emptyItl }),
    kind: 'itl',
    offered: forged(strangersItl, publisher),
    rule: 'P7',
    accepted: false,
  },
  {
    title: 'P6 but not what does not parse',
    state: phone({ itl: emptyItl }),
    kind: 'itl',
    offered: strangersItl.bytes.subarray(0, -1),
    rule: 'P7',
    accepted: false,
  },
  {
    title: 'P6 beside a CTL the CTL decides',
    state: phone({ ctl: tokenCtl, itl: emptyItl }),
    kind: 'itl',
    offered: strangersItl,
    tvs: vouches(lists.stranger.certificate, [0]),
    rule: 'P5',
    accepted: false,
    reason: /P9/,
  },
  {
    title: 'P6 beside a CTL a known signer still is one',
    state: phone({ ctl: tokenCtl, itl: emptyItl }),
    kind: 'ctl',
    offered: tokenCtlRenewed,
    rule: 'P5',
    accepted: true,
    used: { kind: 'ctl', record: 5 },
  },
  {
    title: 'P6 beside an emptied CTL too',
    state: phone({ ctl: nonSecureCtl, itl: emptyItl }),
    kind: 'ctl',
    offered: strangersCtl,
    rule: 'P5',
    accepted: false,
  },
  {
    title: 'P6 an ITL without TVS is not empty',
    state: phone({ itl: itlWithoutTvs }),
    kind: 'itl',
    offered: strangersItl,
    rule: 'P5',
    accepted: false,
  },

  // P7: the bytes.
  {
    title: 'P7 a changed byte in a record',
    state: phone({ itl }),
    kind: 'itl',
    offered: changed(itl, (bytes) => {
      bytes[bytes.length - 10]! ^= 1;
    }),
    rule: 'P7',
    accepted: false,
    reason: /signature/,
  },
  {
    title: 'P7 a changed timestamp',
    state: phone({ itl }),
    kind: 'itl',
    offered: changed(itl, (bytes) => {
      bytes[itl.header.elements.find(({ tag }) => tag === 15)!.offset + 6]! ^= 1;
    }),
    rule: 'P7',
    accepted: false,
  },
  {
    title: 'P7 a truncated list',
    state: phone({ itl }),
    kind: 'itl',
    offered: itl.bytes.subarray(0, 700),
    rule: 'P7',
    accepted: false,
    reason: /does not parse/,
  },
  { title: 'P7 nothing at all', state: phone(), kind: 'ctl', offered: new Uint8Array(), rule: 'P7', accepted: false },
  {
    title: 'P7 no signing record (A9)',
    state: phone({ ctl: tokenCtl, itl }),
    kind: 'itl',
    offered: withoutSigningRecord(itl, publisher),
    rule: 'P7',
    accepted: false,
    reason: /no function-0 record/,
  },
  {
    title: 'P7 a key that is not the one of the signing record (A9)',
    state: phone({ ctl: tokenCtl, itl }),
    kind: 'ctl',
    offered: forged(tokenCtlRenewed, tokenA),
    rule: 'P7',
    accepted: false,
  },
  {
    title: 'P7 an ITL for a CTL',
    state: phone({ itl }),
    kind: 'ctl',
    offered: itl,
    rule: 'P7',
    accepted: false,
    reason: /FILENAME/,
  },
  {
    title: 'P7 a CTL for an ITL',
    state: phone(),
    kind: 'itl',
    offered: tokenCtl,
    rule: 'P7',
    accepted: false,
    reason: /FILENAME/,
  },

  // P11: no Security by Default.
  { title: 'P11 takes no ITL', state: old(), kind: 'itl', offered: itl, rule: 'P11', accepted: false },
  { title: 'P11 takes its first CTL by P3', state: old(), kind: 'ctl', offered: tokenCtl, rule: 'P3', accepted: true },
  {
    title: 'P11 a CTL of a token it knows',
    state: old(tokenCtl),
    kind: 'ctl',
    offered: tokenCtlRenewed,
    rule: 'P11',
    accepted: true,
    used: { kind: 'ctl', record: 5 },
  },
  {
    title: 'P11 tokens to tokenless',
    state: old(tokenCtl),
    kind: 'ctl',
    offered: tokenlessCtl,
    rule: 'P11',
    accepted: false,
  },
  {
    title: 'P11 tokenless to tokens, TVS is not asked',
    state: createPhone(oldProfile, { ctl: tokenlessCtl, itl, tvsServers: ['pub'] }),
    kind: 'ctl',
    offered: tokenCtl,
    tvs: vouches(tokenA.certificate, [0]),
    rule: 'P11',
    accepted: false,
  },
  { title: 'P11 to non-secure', state: old(tokenCtl), kind: 'ctl', offered: nonSecureCtl, rule: 'P11', accepted: true },
];
