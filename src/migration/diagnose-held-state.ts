import { isEmptied } from '../ctl/index.js';
import type { DiagnosisFinding } from './diagnosis.js';
import { heldList, isEmptyItl, sha1Of, type DiagnosisCase } from './diagnosis-case.js';

/** What the phone holds, whatever it is served: a CTL left over, an empty ITL, no ITL at all (P2, P6, P11). */
export function checkHeldState(opened: DiagnosisCase): readonly DiagnosisFinding[] {
  return [...checkLeftOver(opened), ...checkHeldEmptyItl(opened), ...checkPlainDevice(opened)];
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
