import type { Decision } from '../phone/index.js';
import { isEmptied } from '../ctl/index.js';
import { recordFunction, signingRecords, verifyTrustList } from '../trust-list/index.js';
import type { DiagnosisFinding, DiagnosisList } from './diagnosis.js';
import {
  bothLists,
  hasDigest,
  heldList,
  isEmptyItl,
  sha1Of,
  type DiagnosisCase,
  listNames,
  filledRecords,
  holdSame,
} from './diagnosis-case.js';
import { tvsCertificateDiffers } from './diagnose-deletion.js';
import { offerAll, type Offers } from './diagnosis-offers.js';

/** What the phone holds against what the server has (P2, P4, P5, P6, P11, P12). */
export function checkHeldLists(opened: DiagnosisCase): readonly DiagnosisFinding[] {
  return [
    ...bothLists.flatMap((kind) => [...checkReport(opened, kind), ...checkList(opened, kind)]),
    ...checkConfiguration(opened),
    ...checkLeftOver(opened),
    ...checkHeldEmptyItl(opened),
    ...checkPlainDevice(opened),
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
  if (decision.accepted) return [wouldTake(opened, kind, decision)];
  // A list of the wrong kind or size.
  if (decision.rule === 'P7') return [];
  return [judgeByTvs(opened, kind, silent, decision)];
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

function unknownList(opened: DiagnosisCase, kind: DiagnosisList): DiagnosisFinding {
  const { held, served } = opened;
  const unknown = bothLists.filter((one) => held[one].kind === 'unknown');
  const isItself = held[kind].kind === 'unknown';
  const name = listNames[kind];
  const digests = unknown.map((one) => {
    const list = held[one];
    return `the phone's ${listNames[one]} has the checksum ${list.kind === 'unknown' ? list.digest : ''}`;
  });
  return {
    rule: 'P5',
    check: 'list-differs',
    severity: 'warning',
    list: kind,
    what: `the phone's ${name} is not the server's; whether it would take that one cannot be told by a checksum`,
    evidence: [
      ...digests,
      `the server's ${name} has SHA-1 ${served[kind]?.sha1 ?? ''}, MD5 ${served[kind]?.md5 ?? ''}`,
    ],
    whatToDo: [
      `find the file with that checksum (backups of the TFTP server, "show ${isItself ? kind : 'ctl'}" of earlier times) and give it with ${unknown.map((one) => `--held-${one}`).join(' and ')}`,
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
  // A cluster of which nobody gave a CTL most likely has none.
  const isCertain = silent.assumed.every(
    (one) => one === 'ctl' && opened.served.ctl === undefined && opened.evidence.cluster?.securityMode !== 'mixed',
  );
  const isPlain = decision.rule === 'P11' || decision.rule === 'P4';
  return {
    rule: decision.rule,
    check: 'list-rejected',
    severity: isCertain ? 'error' : 'warning',
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
          ...(kind === 'ctl' && isSignerInServedItl(opened)
            ? [
                "settle the ITL first: the server's ITL knows the signer of the CTL, so that a phone that has it takes the CTL (P5)",
              ]
            : []),
          ...(kind === 'ctl' && opened.held.ctl.kind === 'known' ? ['else delete the CTL at the phone by hand'] : []),
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

/** P2: setting a cluster to non-secure leaves the CTL on the phones. */
function checkLeftOver({ evidence, held, served, same }: DiagnosisCase): readonly DiagnosisFinding[] {
  if (held.ctl.kind === 'none' || held.ctl.kind === 'untold') return [];
  const isEmptiedCtl = served.ctl?.list !== undefined && isEmptied(served.ctl.list);
  if (evidence.cluster?.securityMode !== 'non-secure' && !isEmptiedCtl) return [];
  // The list of a cluster that was set to non-secure is what phones should hold.
  if (isEmptiedCtl && same.ctl === true) return [];
  return [
    {
      rule: 'P2',
      check: 'ctl-left-over',
      severity: 'warning',
      list: 'ctl',
      what: 'the cluster is non-secure, and the phone still holds a CTL of before: a missing CTL file removes none',
      evidence: [
        isEmptiedCtl ? "the servers of the server's CTL are emptied" : 'the cluster file says non-secure',
        `the phone's CTL is ${held.ctl.kind === 'known' ? sha1Of(held.ctl.list) : held.ctl.digest}`,
      ],
      whatToDo: [
        'delete the CTL at the phone by hand when it is in the way: it still decides whose lists and files are taken (P5, P12), and an empty ITL does not free the phone (P6)',
      ],
    },
  ];
}

/** P6: the phone holds an empty ITL. */
function checkHeldEmptyItl(opened: DiagnosisCase): readonly DiagnosisFinding[] {
  const itl = heldList(opened, 'itl');
  // That of the server is said of the server's list.
  if (!opened.securityByDefault || itl === undefined || !isEmptyItl(itl) || opened.same.itl === true) return [];
  const evidence = ["no TFTP and no TVS record of the phone's ITL holds a certificate"];
  const finding = { rule: 'P6', check: 'empty-itl', list: 'itl' } as const;
  if (opened.held.ctl.kind === 'known' || opened.held.ctl.kind === 'unknown') {
    return [
      {
        ...finding,
        severity: 'warning',
        what: 'the ITL of the phone is empty, but it holds a CTL: the CTL still decides, and the phone cannot ask TVS (P9)',
        evidence,
        whatToDo: ['sign with a key that the CTL holds as a signer, or delete the CTL at the phone by hand'],
      },
    ];
  }
  return [
    {
      ...finding,
      severity: 'note',
      what: 'the ITL of the phone is empty and it holds no CTL: it takes any list and any configuration, whoever signed it',
      evidence,
      whatToDo: ['let it boot where it belongs: the next ITL that it takes ends this'],
    },
  ];
}

/** P11: the device has neither ITL nor TVS. */
function checkPlainDevice(opened: DiagnosisCase): readonly DiagnosisFinding[] {
  if (opened.securityByDefault) return [];
  return [
    {
      rule: 'P11',
      check: 'no-security-by-default',
      severity: 'note',
      list: undefined,
      what: 'the device has no Security by Default: it has no ITL and asks no TVS, only its CTL counts',
      evidence: ['it was told with --no-security-by-default'],
      whatToDo: ['when its CTL knows the new signer no more, the CTL must be deleted at the device by hand'],
    },
  ];
}
