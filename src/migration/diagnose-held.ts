import type { Decision } from '../phone/index.js';
import { recordFunction, signingRecords, verifyTrustList } from '../trust-list/index.js';
import type { DiagnosisFinding, DiagnosisList } from './diagnosis.js';
import {
  bothLists,
  filledRecords,
  hasDigest,
  holdSame,
  isCtlDoubtful,
  listNames,
  sha1Of,
  type DiagnosisCase,
} from './diagnosis-case.js';
import { findHelpfulDeletion, findWayOut } from './diagnose-ways-out.js';
import { isCertain, offerAll, type Offers } from './diagnosis-offers.js';
import { tvsCertificateDiffers } from './diagnosis-tvs.js';

/** What the phone holds against what the server has (P3 to P5, P11, P12). */
export function checkHeldLists(opened: DiagnosisCase): readonly DiagnosisFinding[] {
  return [
    ...bothLists.flatMap((kind) => [...checkReport(opened, kind), ...checkList(opened, kind)]),
    ...checkConfiguration(opened),
  ];
}

/** The file that was given as the phone's must be the one that the phone reports. */
function checkReport({ evidence, reported, served }: DiagnosisCase, kind: DiagnosisList): readonly DiagnosisFinding[] {
  const told = evidence.held?.[kind];
  const digest = reported[kind];
  if (told === undefined || digest === undefined) return [];
  const isTold =
    told.kind === 'none'
      ? digest === 'none'
      : told.kind === 'known'
        ? sha1Of(told.list) === digest
        : told.digest === digest || told.digest.length !== digest.length;
  if (isTold) return [];
  const isServed = served[kind] !== undefined && hasDigest(served[kind], digest);
  const name = listNames[kind];
  return [
    {
      rule: undefined,
      check: 'held-is-another',
      severity: 'warning',
      list: kind,
      what: `what was given as the phone's ${name} is not the ${name} that the phone reports`,
      evidence: [
        `the last DeviceTLInfo alarm of the log says ${digest}${isServed ? `, which is the server's ${name}` : ''}`,
        `given was ${told.kind === 'known' ? sha1Of(told.list) : told.kind === 'none' ? 'none' : told.digest}`,
      ],
      whatToDo: ['check that log and file are of the same phone and the same time'],
    },
  ];
}

/** Whether the phone would take the list of the server. */
function checkList(opened: DiagnosisCase, kind: DiagnosisList): readonly DiagnosisFinding[] {
  const { served, held, same } = opened;
  const file = served[kind];
  if (file === undefined || held[kind].kind === 'untold' || (kind === 'itl' && !opened.securityByDefault)) return [];
  // What is wrong with the list itself is said of the list, and nobody takes it.
  if (file.list === undefined || !verifyTrustList(file.list).verified) return [];
  if (same[kind] === true) return [sameList(kind, file.sha1)];
  const silent = offerAll(opened, 'silent');
  const decision = silent?.[kind];
  if (silent === undefined || decision === undefined) return [unknownList(opened, kind)];
  // A list of the wrong kind or size.
  if (decision.rule === 'P7') return [];
  if (!decision.accepted) return [judgeByTvs(opened, kind, silent, decision)];
  return [isCertain(opened, silent, decision) ? wouldTake(opened, kind, decision) : unknownList(opened, kind)];
}

function sameList(kind: DiagnosisList, sha1: string): DiagnosisFinding {
  const name = listNames[kind];
  return {
    rule: undefined,
    check: 'list-same',
    severity: 'note',
    list: kind,
    what: `the phone holds the very ${name} that the server has: the ${name} is not the problem`,
    evidence: [`both have SHA-1 ${sha1}`],
    whatToDo: [],
  };
}

/** What the phone holds of either kind is not at hand, and would decide. */
function unknownList(opened: DiagnosisCase, kind: DiagnosisList): DiagnosisFinding {
  const { held, served } = opened;
  const isMissing = (one: DiagnosisList): boolean =>
    held[one].kind === 'unknown' || (held[one].kind === 'untold' && (one === 'itl' || isCtlDoubtful(opened)));
  const missing = bothLists.filter(isMissing);
  const untold = missing.some((one) => held[one].kind === 'untold');
  const isItself = held[kind].kind === 'unknown';
  const name = listNames[kind];
  const shown = missing.map((one) => {
    const list = held[one];
    return list.kind === 'unknown'
      ? `the phone's ${listNames[one]} has the checksum ${list.digest}`
      : `nobody told which ${listNames[one]} the phone holds: it may know the signer, or a TVS server that does`;
  });
  return {
    rule: 'P5',
    check: 'list-differs',
    severity: 'warning',
    list: kind,
    what: `the phone's ${name} is not the server's; whether it would take that one cannot be told ${untold ? `before its ${missing.map((one) => listNames[one]).join(' and ')} is at hand` : 'by a checksum'}`,
    evidence: [...shown, `the server's ${name} has SHA-1 ${served[kind]?.sha1 ?? ''}, MD5 ${served[kind]?.md5 ?? ''}`],
    whatToDo: [
      untold
        ? `give ${missing.map((one) => `--held-${one} (or --phone-${one}-checksum none, if the phone holds none)`).join(' and ')}`
        : `find the file with that checksum (backups of the TFTP server, "show ${isItself ? kind : 'ctl'}" of earlier times) and give it with ${missing.map((one) => `--held-${one}`).join(' and ')}`,
      'reset the phone, and look at its status messages: a phone that takes the list says "Trust List Updated"',
    ],
  };
}

function wouldTake(opened: DiagnosisCase, kind: DiagnosisList, { rule, reason }: Decision): DiagnosisFinding {
  const name = listNames[kind];
  const isHeld = opened.held[kind].kind === 'known';
  return {
    rule,
    check: 'list-would-be-taken',
    severity: 'note',
    list: kind,
    what: `the phone ${isHeld ? `holds another ${name}` : `holds no ${name}`}, and takes the server's without TVS`,
    evidence: [reason],
    whatToDo: [
      'reset the phone; if the list stays, see which TFTP server it really asks (its network settings, option 150)',
    ],
  };
}

function judgeByTvs(opened: DiagnosisCase, kind: DiagnosisList, silent: Offers, alone: Decision): DiagnosisFinding {
  const name = listNames[kind];
  const byTvs = opened.securityByDefault && opened.tvs.length > 0 ? offerAll(opened, 'asked')?.[kind] : undefined;
  if (byTvs?.accepted === true) {
    return {
      rule: byTvs.rule,
      check: 'list-would-be-taken',
      severity: 'note',
      list: kind,
      what: `the phone takes the server's ${name} as long as TVS answers as it does now`,
      evidence: [byTvs.reason, `without TVS: ${alone.reason}`],
      whatToDo: ['reset the phone while TVS runs, and leave the TVS certificate alone until all phones have the list'],
    };
  }
  if (byTvs === undefined && opened.securityByDefault && tvsCertificateDiffers(opened).answer !== 'yes') {
    const vouched = offerAll(opened, 'vouching')?.[kind];
    if (vouched?.accepted === true) return needsTvs(kind, alone);
  }
  if (!isCertain(opened, silent, alone)) return unknownList(opened, kind);
  return rejectedList(opened, kind, silent, byTvs ?? alone);
}

function needsTvs(kind: DiagnosisList, alone: Decision): DiagnosisFinding {
  return {
    rule: 'P10',
    check: 'needs-tvs',
    severity: 'warning',
    list: kind,
    what: `the phone takes the server's ${listNames[kind]} only if TVS vouches for its signer`,
    evidence: [`without TVS, ${alone.rule}: ${alone.reason}`],
    whatToDo: [
      'give --tvs HOST for each TVS server of the phone: it is then asked whether it vouches',
      'see that the Trust Verification Service runs on the TVS servers of the phone, and reset the phone',
    ],
  };
}

function rejectedList(
  opened: DiagnosisCase,
  kind: DiagnosisList,
  silent: Offers,
  decision: Decision,
): DiagnosisFinding {
  const name = listNames[kind];
  const assumed = silent.assumed.map((one) => {
    return `nobody told which ${listNames[one]} the phone holds; it was taken for none (--held-${one}, --phone-${one}-checksum)`;
  });
  const isPlain = decision.rule === 'P11' || decision.rule === 'P4';
  return {
    rule: decision.rule,
    check: 'list-rejected',
    severity: 'error',
    list: kind,
    what: `the phone rejects the server's ${name} and keeps the old one`,
    evidence: [`${decision.rule}: ${decision.reason}`, ...assumed],
    whatToDo: isPlain
      ? [
          'sign the list with a key that the CTL of the device holds as a signer, if there is one',
          'else delete the CTL at the device by hand: nothing else can vouch for the new signer',
        ]
      : [
          'see the findings about TVS: a TVS server that the phone knows must run and know the signer',
          ...(kind === 'ctl' && isSignerInServedItl(opened) && isItlInReach(opened)
            ? [
                "settle the ITL first: the server's ITL knows the signer of the CTL, so that a phone that has it takes the CTL (P5)",
              ]
            : []),
          ...(kind === 'ctl' && opened.held.ctl.kind === 'known'
            ? ['else the CTL is deleted at the phone by hand: see below whether the ITL with it (A12)']
            : []),
          ...(kind === 'itl' ? ['whether the ITL must be deleted by hand is said below (A12)'] : []),
        ],
  };
}

/** Whether a phone that takes the server's ITL finds the signer of the server's CTL in it. */
function isSignerInServedItl({ served }: DiagnosisCase): boolean {
  const [ctl, itl] = [served.ctl?.list, served.itl?.list];
  if (ctl === undefined || itl === undefined) return false;
  const [signer] = signingRecords(ctl);
  return signer !== undefined && filledRecords(itl, recordFunction.sast).some((record) => holdSame(record, signer));
}

/** Whether the phone can come to hold the server's ITL while it keeps its CTL. */
function isItlInReach(opened: DiagnosisCase): boolean {
  if (findWayOut(opened) !== undefined) return true;
  const vouched = offerAll(opened, 'vouching')?.itl;
  if (vouched?.accepted === true && tvsCertificateDiffers(opened).answer !== 'yes') return true;
  return findHelpfulDeletion(opened)?.kind === 'itl';
}

/** P12: the signed configuration. */
function checkConfiguration(opened: DiagnosisCase): readonly DiagnosisFinding[] {
  const decision = (opened.tvs.length > 0 ? offerAll(opened, 'asked') : offerAll(opened, 'silent'))?.configuration;
  if (decision === undefined || decision.accepted) return [];
  return [
    {
      rule: decision.rule,
      check: 'configuration-rejected',
      severity: 'error',
      list: undefined,
      what: 'the phone rejects its signed configuration, and does not register with what is new in it',
      evidence: [decision.reason],
      whatToDo: [
        'see that the TFTP server that signed it is of the cluster whose lists the phone holds',
        'restart TFTP on that node after a renewal of CallManager: it signs the configurations anew',
      ],
    },
  ];
}
