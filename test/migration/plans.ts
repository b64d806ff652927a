import type { Plan, Step } from '../../src/migration/index.js';

/** A certificate as a plan names it, told apart by one hex digit. */
export function note(digit: string): { subject: string; serialNumber: string; sha1: string } {
  return { subject: `CN=SAST-ADN0054f50${digit}`, serialNumber: `31:AF:4${digit}`, sha1: digit.repeat(40) };
}

export function step(id: string, more: Partial<Step> & Pick<Step, 'action'>): Step {
  return {
    id,
    who: 'administrator',
    title: `the step ${id}`,
    requires: [],
    instructions: ['restart the TFTP service on every node'],
    checks: [],
    undo: ['put the former file back'],
    safe: true,
    ...more,
  };
}

/** From tokenless to tokens, with every kind of thing that a plan can say somewhere. */
export const plan: Plan = {
  version: 1,
  created: '2026-03-01T10:00:00.000Z',
  from: {
    mode: 'tokenless',
    release: '11.5.1',
    ctl: 'a'.repeat(40),
    itls: { 'cucm-pub': 'b'.repeat(40) },
    certificates: { 'cucm-pub CallManager': 'c'.repeat(40), 'cucm-sub CallManager': 'd'.repeat(40) },
  },
  to: { mode: 'token', release: '11.5.1', wanted: 'token' },
  findings: [
    { check: 'A3', severity: 'warning', message: 'no token in the present CTL', advice: 'upload both tokens first' },
  ],
  steps: [
    step('1-upload', {
      action: { kind: 'upload', store: 'Phone-SAST-trust', certificates: [note('1'), note('2')] },
      checks: [{ check: 'tvs-vouches', node: 'cucm-pub', certificate: note('1'), role: 0 }],
    }),
    step('2-build-ctl', {
      who: 'tool',
      action: {
        kind: 'build-ctl',
        flow: 'to-token',
        signer: { kind: 'token', certificate: note('1') },
        tokens: [note('1'), note('2')],
        accept: ['A5'],
      },
      checks: [{ check: 'file-verifies' }],
      undo: [],
    }),
    step('3-publish-ctl', {
      action: { kind: 'publish-ctl', built: '2-build-ctl', securityMode: 'mixed' },
      checks: [
        { check: 'tftp-serves', node: 'cucm-pub', file: 'CTLFile.tlv', built: '2-build-ctl' },
        { check: 'confirm', question: 'Were TFTP and CallManager restarted on every node?' },
      ],
      safe: false,
    }),
    step('4-restart-phones', {
      who: 'phones',
      action: { kind: 'restart-phones' },
      checks: [{ check: 'confirm', question: 'Did the phones come back?' }],
      undo: [],
    }),
    step('5-delete-list', {
      action: { kind: 'delete-list', list: 'ctl', groups: [1] },
      checks: [{ check: 'confirm', question: 'Were the lists deleted?' }],
      safe: true,
    }),
  ],
  phones: {
    total: 12,
    kept: 10,
    lost: 2,
    unknown: 0,
    groups: [
      { group: 0, count: 10, devices: ['SEPC80084AA8743'], securityByDefault: true, outcome: 'kept' },
      {
        group: 1,
        count: 2,
        devices: ['SEP00070E576FCE'],
        securityByDefault: false,
        outcome: 'lost',
        step: '3-publish-ctl',
        rule: 'P4',
        reason: 'the signer is not in its CTL',
      },
    ],
  },
};
