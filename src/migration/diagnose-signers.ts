import { equalBytes } from '../bytes/index.js';
import { listSignerName, publisherOf, type Cluster } from '../cluster/index.js';
import { ctlMode } from '../ctl/index.js';
import {
  recordFunction,
  recordHolds,
  signingRecords,
  verifyTrustList,
  type TrustList,
  type TrustListRecord,
} from '../trust-list/index.js';
import type { DiagnosisFinding, DiagnosisSeverity } from './diagnosis.js';
import { filledRecords, heldList, holdSame, shareCertificate, type DiagnosisCase } from './diagnosis-case.js';
import { describeSigner } from './diagnose-served.js';
import { isCertain, offerAll, type TvsAssumption } from './diagnosis-offers.js';
import { isUnrelated } from './diagnosis-relation.js';
import { tvsCertificateDiffers } from './diagnosis-tvs.js';

/** Why the signer is another than the phone knows (A1, A3, A4, A6, A7). */
export function checkSigners(opened: DiagnosisCase): readonly DiagnosisFinding[] {
  // Between two clusters no CTL was changed: everything is another. Where nodes were renamed, all was renewed.
  return [...bothRenewed(opened), ...(isUnrelated(opened) ? [] : ctlSigner(opened))];
}

/** A1: neither the signer nor any TVS certificate of the new ITL is known to the phone. */
function bothRenewed(opened: DiagnosisCase): readonly DiagnosisFinding[] {
  const [held, served] = [heldList(opened, 'itl'), opened.served.itl?.list];
  if (!opened.securityByDefault || held === undefined || served === undefined || opened.same.itl === true) return [];
  if (!verifyTrustList(served).verified) return [];
  const offers = offerAll(opened, 'silent');
  const silent = offers?.itl;
  if (offers === undefined || silent?.accepted !== false || silent.rule !== 'P5') return [];
  const heldTvs = filledRecords(held, recordFunction.tvs);
  // An empty ITL was emptied on purpose (P6).
  if (heldTvs.length === 0) return [];
  const tvs = tvsCertificateDiffers(opened);
  const inLists = shareCertificate(filledRecords(served, recordFunction.tvs), heldTvs);
  const isRenewed = tvs.answer === 'unknown' ? !inLists : tvs.answer === 'yes';
  if (!isRenewed) return [];
  const isOther = isUnrelated(opened);
  return [
    {
      rule: 'A1',
      check: 'both-renewed',
      severity: isOther || !isCertain(opened, offers, silent) ? 'warning' : 'error',
      list: 'itl',
      what: isOther
        ? 'if the nodes were renamed, CallManager and TVS were both renewed with it: the phone knows neither the signer nor any TVS server'
        : 'CallManager and TVS were both renewed before the phone had the new ITL: it knows neither the signer nor any TVS server',
      evidence: [
        `the server's ITL is signed by ${describeSigner(served)}, which the phone's ITL does not know`,
        tvs.answer === 'yes' ? tvs.evidence : "none of the TVS records of the server's ITL is in the phone's",
        ...(isCertain(opened, offers, silent) ? [] : ['nobody told which CTL the phone holds (--held-ctl)']),
      ],
      whatToDo: [
        'a second TVS server that the phone still knows, or a CTL that a token signs, would carry it over: see whether there is one',
        'restore the old CallManager or TVS certificate with its key from a backup, if there is one',
        'else the ITL is deleted by hand, under the four conditions of A12 below',
      ],
    },
  ];
}

/** A3, A4, A6, A7: who signs the CTL now, and who did. */
function ctlSigner(opened: DiagnosisCase): readonly DiagnosisFinding[] {
  const [held, served] = [heldList(opened, 'ctl'), opened.served.ctl?.list];
  const { cluster } = opened.evidence;
  if (served === undefined || !verifyTrustList(served).verified) return [];
  if (held === undefined || opened.same.ctl === true) return cluster === undefined ? [] : allRenewed(served, cluster);
  const [before, after] = [ctlMode(held), ctlMode(served)];
  if (before !== after) return [changedMode(opened, held, served)];
  if (before === 'token' || knowsSigner(held, served)) return cluster === undefined ? [] : allRenewed(served, cluster);
  return [renewedSigner(opened, held, served)];
}

/** How bad it is: the phone rejects the list, it takes it if TVS vouches, it takes it. */
function severityOf(opened: DiagnosisCase): DiagnosisSeverity {
  const of = (assumption: TvsAssumption): boolean | undefined => offerAll(opened, assumption)?.ctl?.accepted;
  if (of('silent') === true) return 'note';
  if (!isSure(opened)) return 'warning';
  if (opened.tvs.length > 0) return of('asked') === true ? 'note' : 'error';
  return opened.securityByDefault && tvsCertificateDiffers(opened).answer !== 'yes' && of('vouching') === true
    ? 'warning'
    : 'error';
}

/** Whether everything that could know the signer of the CTL is at hand. */
function isSure(opened: DiagnosisCase): boolean {
  const offers = offerAll(opened, 'silent');
  return offers?.ctl !== undefined && isCertain(opened, offers, offers.ctl);
}

function changedMode(opened: DiagnosisCase, held: TrustList, served: TrustList): DiagnosisFinding {
  const severity = severityOf(opened);
  const evidence = [
    `the phone's CTL is signed by ${describeSigner(held)}`,
    `the server's by ${describeSigner(served)}`,
  ];
  if (ctlMode(served) === 'token') {
    return {
      rule: 'A3',
      check: 'tokenless-to-tokens',
      severity,
      list: 'ctl',
      what: 'the CTL went from tokenless to tokens: no token is in the CTL of the phone, which takes the new one only through TVS',
      evidence,
      whatToDo: follow(
        opened,
        'upload the certificates of both tokens to Phone-SAST-trust ("etoken-bridge token export"), or put the new CTL on the TVS servers, and restart TVS',
      ),
    };
  }
  const [signer] = signingRecords(served);
  const asServer =
    signer !== undefined &&
    filledRecords(held).some((record) => record.function !== recordFunction.sast && holdSame(record, signer));
  return {
    rule: 'A4',
    check: 'tokens-to-tokenless',
    severity,
    list: 'ctl',
    what: 'the CTL went from tokens to tokenless: the certificate that signs it is no signer in the CTL of the phone',
    evidence: [
      ...evidence,
      ...(asServer ? ["the phone's CTL has that certificate as a server only (function 2), not as a signer (0)"] : []),
    ],
    whatToDo: follow(
      opened,
      'a phone with an ITL of the signing node finds the signer there; else TVS must vouch for it: see that TVS runs and knows it',
    ),
  };
}

/** What phones need for the new signer. A device without Security by Default has neither ITL nor TVS to find it by. */
function follow({ securityByDefault }: DiagnosisCase, byTvs: string): readonly string[] {
  if (securityByDefault) {
    return [byTvs, 'devices without Security by Default cannot follow: their CTL must be deleted by hand (P11)'];
  }
  return [
    'sign the CTL with a key that the CTL of the device holds as a signer, if there is one: the device asks no TVS (P11)',
    'else its CTL must be deleted at the device by hand',
  ];
}

/** A6 and A7: tokenless before and after, and the signer is another. */
function renewedSigner(opened: DiagnosisCase, held: TrustList, served: TrustList): DiagnosisFinding {
  const evidence = [
    `the server's CTL is signed by ${describeSigner(served)}`,
    `the phone's CTL was signed by ${describeSigner(held)}`,
  ];
  const [before, after] = [signersOf(held), signersOf(served)];
  const severity = severityOf(opened);
  if (before.length > 1 && after.length > 1 && !shareCertificate(before, after) && severity !== 'note') {
    return {
      ...signersRenewed,
      evidence: [...evidence, 'no signer of the one CTL is in the other'],
      severity: isSure(opened) ? 'error' : 'warning',
    };
  }
  return {
    rule: 'A6',
    check: 'signer-renewed',
    severity,
    list: 'ctl',
    what: "the certificate that signs the tokenless CTL was renewed or changed: the phone's CTL does not know it as a signer",
    evidence,
    whatToDo: follow(
      opened,
      'see that TVS runs on the TVS servers of the phone and knows the new certificate (restart it after the renewal), then reset the phone',
    ),
  };
}

const signersRenewed = {
  rule: 'A7',
  check: 'signers-renewed',
  list: 'ctl',
  what: 'CallManager and ITLRecovery were both renewed before the CTL was updated: the CTL of the phones knows no signer of the cluster any more',
  whatToDo: [
    'restore one of the two certificates with its key from a backup, update the CTL, let all phones fetch it, then renew again',
    'else delete the CTL on every phone by hand',
  ],
} as const;

/** A7: the CTL on the server knows no certificate that the cluster signs with from 12.0 on. */
function allRenewed(ctl: TrustList, cluster: Cluster): readonly DiagnosisFinding[] {
  if (ctlMode(ctl) === 'token' || listSignerName(cluster.release) !== 'ITLRecovery') return [];
  const { CallManager, ITLRecovery } = publisherOf(cluster).certificates;
  const present = [CallManager, ITLRecovery].filter((one) => one !== undefined);
  if (present.length < 2) return [];
  if (signersOf(ctl).some((record) => present.some(({ der }) => recordHolds(record, der)))) return [];
  return [
    {
      ...signersRenewed,
      severity: 'error',
      evidence: [
        `the server's CTL is signed by ${describeSigner(ctl)}`,
        'neither the CallManager nor the ITLRecovery certificate of the publisher is a signer in it',
      ],
    },
  ];
}

function signersOf(list: TrustList): readonly TrustListRecord[] {
  return filledRecords(list, recordFunction.sast);
}

/** Whether a list has the signer of another as a signer, issuer and serial as phones compare them. */
function knowsSigner(held: TrustList, { header }: TrustList): boolean {
  return signersOf(held).some((record) => isNamed(record, header));
}

function isNamed(
  { issuerName, serialNumber }: TrustListRecord,
  signer: { readonly issuerName: string; readonly serialNumber: Uint8Array },
): boolean {
  return issuerName === signer.issuerName && equalBytes(serialNumber ?? new Uint8Array(), signer.serialNumber);
}
