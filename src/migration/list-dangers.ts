import { formatHex } from '../bytes/index.js';
import { isAtLeast, listSignerName, nodeCertificate, parseRelease, publisherOf, tokensEnd } from '../cluster/index.js';
import { recordFunction, recordHolds, verifyTrustList, type TrustList } from '../trust-list/index.js';
import type { Danger } from './dangers.js';
import { examineCtl, isUploaded } from './present.js';
import type { PhoneGroup, Situation, Wanted } from './situation.js';

function releaseAfter({ cluster }: Situation, { release }: Wanted): ReturnType<typeof parseRelease> {
  return release === undefined ? cluster.release : parseRelease(release);
}

/** Whether the CTL is to be signed by tokens in the end. */
function wantsTokens(situation: Situation, { mode }: Wanted): boolean {
  const present = examineCtl(situation);
  return mode === 'token' || (mode === undefined && present.mode === 'token' && !present.isEmptied);
}

/** Whether the CTL has to be signed again by tokens. */
function signsWithTokens(situation: Situation, wanted: Wanted): boolean {
  const isChanged = wanted.mode !== undefined || (wanted.renewals ?? []).length + (wanted.renamings ?? []).length > 0;
  return wantsTokens(situation, wanted) && isChanged;
}

/** Phones without an ITL know a signer only by the CTL that they hold (P11). */
function plainPhonesWithCtl({ phones, ctl }: Situation): readonly PhoneGroup[] {
  return phones.filter((phone) => !phone.securityByDefault && (phone.ctl.kind !== 'none' || ctl !== undefined));
}

/** A2: the CTL client changes a list only by a token that is in it. */
const tokenNotInList: Danger = (situation, wanted) => {
  const present = examineCtl(situation);
  if (present.mode !== 'token' || present.tokensAtHand.length > 0) return undefined;
  const { mode } = wanted;
  const isChanged = mode === undefined ? signsWithTokens(situation, wanted) : mode !== 'tokenless';
  if (!isChanged || (present.isEmptied && mode !== 'token')) return undefined;
  if (mode === undefined) {
    return {
      severity: 'refused',
      message:
        'none of the tokens at hand is in the present CTL, which must name the new certificates: nobody could sign it',
      advice: 'bring a token of the list, or go tokenless as well (--to tokenless)',
    };
  }
  return {
    severity: 'warning',
    message: 'none of the tokens at hand is in the present CTL: it cannot be changed, only replaced by a new one',
    advice:
      'find a token of the list; else phones accept the new list only where TVS vouches for its signer, and the others need their CTL deleted by hand',
  };
};

/** A3: phones with a tokenless CTL know no token. */
const tokenlessToTokens: Danger = (situation, wanted) => {
  if (wanted.mode !== 'token' || examineCtl(situation).mode !== 'tokenless') return undefined;
  const missing = situation.tokens.filter((token) => !isUploaded(situation.cluster, 'Phone-SAST-trust', token));
  const plain = plainPhonesWithCtl(situation);
  if (missing.length === 0 && plain.length === 0) return undefined;
  const words = [
    ...(missing.length === 0
      ? []
      : [
          `${String(missing.length)} token certificates are not in Phone-SAST-trust, so that TVS does not vouch for them`,
        ]),
    ...(plain.length === 0 ? [] : ['phones without Security by Default hold a CTL without tokens']),
  ];
  return {
    severity: 'warning',
    message: `the present CTL has no token: ${words.join('; ')}`,
    advice:
      'upload both token certificates to Phone-SAST-trust first; delete the CTL by hand on phones without Security by Default',
  };
};

/** A4: the cluster's key is in a token CTL as a server only. */
const tokensToTokenless: Danger = (situation, wanted) => {
  if (wanted.mode !== 'tokenless' || examineCtl(situation).mode !== 'token') return undefined;
  const signer = nodeCertificate(publisherOf(situation.cluster), listSignerName(situation.cluster.release));
  const knows = ({ itl }: PhoneGroup): boolean => itl.kind === 'known' && namesSigner(itl.list, signer.der);
  const unsure = situation.phones.filter((phone) => phone.securityByDefault && !knows(phone));
  const plain = plainPhonesWithCtl(situation);
  if (unsure.length === 0 && plain.length === 0) return undefined;
  const words = [
    ...(unsure.length === 0 ? [] : ['phones whose ITL does not name it as a signer depend on TVS']),
    ...(plain.length === 0 ? [] : ['phones without Security by Default need their CTL deleted by hand']),
  ];
  return {
    severity: 'warning',
    message: `the certificate that will sign is in the present CTL as a server, not as a signer: ${words.join('; ')}`,
    advice: 'see to it that TVS runs on every node before the list is served',
  };
};

function namesSigner(list: TrustList, der: Uint8Array): boolean {
  return list.records.some((record) => record.function === recordFunction.sast && recordHolds(record, der));
}

/** A5: the last token must not be lost. */
const tooFewTokens: Danger = (situation, wanted) => {
  const present = examineCtl(situation);
  if (wanted.mode === 'token') {
    const isFirst = present.mode === 'tokenless' || present.tokensAtHand.length === 0;
    const count = isFirst ? differentKeys(situation) : present.tokenCount + Math.min(1, present.newTokens.length);
    if (count < 2) {
      return {
        severity: 'refused',
        message: `the CTL would name ${count === 0 ? 'no token' : 'one token'}: if it is lost, nobody can sign a list that phones accept`,
        advice: 'bring a second token, or its certificate',
      };
    }
  }
  if (present.mode !== 'token') return undefined;
  if (present.tokensAtHand.length === 0 && (wanted.mode !== undefined || signsWithTokens(situation, wanted))) {
    const isTokenless = isAtLeast(situation.cluster.release, '10.0');
    return {
      severity: 'warning',
      message: 'no token of the present CTL is at hand: if they are lost, nobody can change this list any more',
      advice: isTokenless
        ? 'go tokenless'
        : 'make a new list with a new pair of tokens, and delete the CTL on every phone that rejects it',
    };
  }
  if (present.tokenCount >= 2 || (wanted.mode !== undefined && wanted.mode !== 'token')) return undefined;
  return {
    severity: 'warning',
    message: 'the present CTL names one token only: if it is lost, nobody can change this list any more',
    advice: 'add a second token, or go tokenless',
  };
};

function differentKeys({ tokens }: Situation): number {
  return new Set(tokens.map(({ publicKey }) => formatHex(publicKey))).size;
}

/** A8: clients before 10.0 find no token in a tokenless CTL, nor in what an emptied one leaves on the phones. */
const tokenlessBelow10: Danger = (situation, wanted) => {
  const { mode } = examineCtl(situation);
  const staysTokenless = mode === 'tokenless' && wanted.mode !== 'token' && wanted.mode !== 'no-ctl';
  const isChange = wanted.mode !== undefined || wanted.release !== undefined || (wanted.renewals ?? []).length > 0;
  const release = releaseAfter(situation, wanted);
  if (!(staysTokenless || wanted.mode === 'tokenless') || !isChange || isAtLeast(release, '10.0')) return undefined;
  return {
    severity: 'refused',
    message: `tokenless lists begin with 10.0, and the release is ${release.text}: its CTL client finds no token in the list and could not change it`,
    advice: 'go to tokens before the release changes, or to no CTL at all (--to token, --to no-ctl)',
  };
};

function namedLists(
  { ctl, itls }: Pick<Situation, 'ctl' | 'itls'>,
  where: string,
): readonly (readonly [string, TrustList])[] {
  const named = Object.entries(itls).map(([node, itl]) => [`the ITL of ${node}${where}`, itl] as const);
  return ctl === undefined ? named : [[`the CTL${where}`, ctl], ...named];
}

/** A9: what the servers serve is rejected by every phone. */
const notVerified: Danger = ({ ctl, itls }, { destination }) => {
  const lists = [
    ...namedLists({ ctl, itls }, ''),
    ...(destination === undefined ? [] : namedLists(destination, ' of the new cluster')),
  ];
  for (const [what, list] of lists) {
    const verification = verifyTrustList(list);
    if (verification.verified) continue;
    return {
      severity: 'refused',
      message: `${what} that the servers serve does not verify (${verification.reason}): every phone rejects it`,
      advice:
        'restore the key that belongs to the certificate, or let the cluster sign its lists anew; "diagnose" says which',
    };
  }
  return undefined;
};

/** A14: no hardware tokens from 14SU3 on. */
const tokensEnded: Danger = (situation, wanted) => {
  const release = releaseAfter(situation, wanted);
  if (!tokensEnd(release)) return undefined;
  const isUpgrade = wanted.release !== undefined;
  if (!(isUpgrade ? wantsTokens(situation, wanted) : signsWithTokens(situation, wanted))) return undefined;
  return {
    severity: 'refused',
    message: `hardware tokens end with 14SU3, and the release is ${release.text}`,
    advice: 'go tokenless: --to tokenless',
  };
};

export const listDangers: Readonly<
  Record<
    | 'tokenNotInList'
    | 'tokenlessToTokens'
    | 'tokensToTokenless'
    | 'tooFewTokens'
    | 'tokenlessBelow10'
    | 'notVerified'
    | 'tokensEnded',
    Danger
  >
> = {
  tokenNotInList,
  tokenlessToTokens,
  tokensToTokenless,
  tooFewTokens,
  tokenlessBelow10,
  notVerified,
  tokensEnded,
};
