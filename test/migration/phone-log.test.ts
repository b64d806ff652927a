import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { ConsoleLog } from '../../src/lab/console-log.js';
import { stories, tellStory, type Lab, type LabPhone, type Stage } from '../../src/lab/index.js';
import { diagnose, parseDeviceTlInfo, readPhoneLog, type PhoneLogEvent } from '../../src/migration/index.js';
import type { TrustList } from '../../src/trust-list/index.js';
import { alarm, ccmSignerQuery, certificateVerification, etokenQuery, wireQuery } from './phone-log-transcripts.js';

const folder = mkdtempSync(join(tmpdir(), 'etb-phone-log-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const eventsOf = (text: string): readonly PhoneLogEvent[] => readPhoneLog(text, 'log').events;
const withoutLine = (text: string): object[] => eventsOf(text).map(({ line: _line, ...event }) => event);

describe('published logs are read', () => {
  test('TVS finds a renewed CallManager certificate with its roles', () => {
    expect(withoutLine(ccmSignerQuery)).toMatchObject([
      { kind: 'tvs-asked' },
      {
        kind: 'tvs-question',
        question: 'query',
        subjectName: 'CN=cucm-1051-a-pub; OU=TAC;O=Cisco;L=Krakow;ST=Malopolska',
        serialNumber: '6B1D357B6841740B078FEE4A1813D5D6',
        outcome: 'known',
        roles: [0, 2],
      },
    ]);
  });

  test('TVS does not find a token in its database, and then in its CTL', () => {
    expect(withoutLine(etokenQuery)).toMatchObject([
      { kind: 'tvs-asked' },
      {
        kind: 'tvs-question',
        issuerName: 'cn=Cisco Manufacturing CA;o=Cisco Systems',
        serialNumber: '83E908000005545AF31',
        outcome: 'known',
        roles: [0],
      },
    ]);
  });

  test('TVS verifies one certificate and does not find another', () => {
    expect(withoutLine(certificateVerification)).toMatchObject([
      { kind: 'tvs-asked' },
      { kind: 'tvs-answered', trusted: true },
      { kind: 'tvs-question', question: 'verify', serialNumber: '6F969D5B784D0448980F7557A90A6344', outcome: 'known' },
      {
        kind: 'tvs-question',
        question: 'look-up',
        issuerName: 'CN=cucmpub9;OU=TAC;O=Cisco;L=Bangalore;ST=KN;C=IN',
        serialNumber: '62E09123B09A61D20E77BE5BF5A82CD4',
        outcome: 'not-known',
      },
    ]);
  });

  test('a phone that moves asks TVS of the old cluster, and takes both lists', () => {
    expect(withoutLine(wireQuery)).toMatchObject([
      { kind: 'requested', file: 'CTLSEPB000B4BA0AEE.tlv' },
      { kind: 'tvs-asked', server: '192.168.11.32' },
      { kind: 'tvs-question', serialNumber: '24000000179479B8F124AC3F3B000000000017', outcome: 'known', roles: [0, 3] },
      { kind: 'tvs-answered', server: '192.168.11.32', trusted: true },
      { kind: 'accepted', what: 'ctl', file: 'CTLSEPB000B4BA0AEE.tlv' },
      { kind: 'requested', file: 'ITLSEPB000B4BA0AEE.tlv' },
      { kind: 'accepted', what: 'itl', file: 'ITLSEPB000B4BA0AEE.tlv' },
    ]);
  });

  test('an alarm tells the device and what it holds', () => {
    expect(eventsOf(alarm)).toEqual([
      {
        kind: 'alarm',
        line: 2,
        device: 'SEPC80084AA8743',
        ctl: 'none',
        itl: '1ba1c907e99e4d3c539dc81424af6c9f7dce4d6d',
      },
    ]);
    // The last one of a log counts for what the phone holds.
    const later = `${alarm}\n${alarm.replace('1B A1', 'AA AA')}`;
    const { deletion } = diagnose({ logs: [readPhoneLog(later, 'log')], now: 0 });
    expect(deletion.conditions[0]!.evidence).toContain('aaaac907');
  });

  test('lines end as on any system, and are counted', () => {
    for (const end of ['\n', '\r\n']) {
      const { events, lines } = readPhoneLog(certificateVerification.replaceAll('\n', end), 'log');
      expect([lines, events.at(-1)?.line]).toEqual([20, 18]);
    }
  });
});

describe('status messages of phones are read', () => {
  test.each([
    ['10:15:02a Trust List update failed', { kind: 'rejected', what: 'unknown' }],
    ['10:15:02a Trust List updated', { kind: 'accepted', what: 'unknown' }],
    ['10:15:02a File Not Found : CTLSEP001122334455.tlv', { kind: 'missing', file: 'CTLSEP001122334455.tlv' }],
    ['10:15:02a File Auth Fail SEP001122334455.cnf.xml.sgn', { kind: 'rejected', what: 'configuration' }],
    ['SECUREAPP-updateFromFile: TL parse to table: CTL_SIGNATURE_BAD', { kind: 'rejected', what: 'unknown' }],
    ['3311 ERR SECUREAPP-TVS provider Init - connect failed', { kind: 'tvs-failed' }],
  ])('%s', (line, event) => {
    expect(eventsOf(line)).toMatchObject([event]);
  });
});

describe('what has the words of a failure and is none', () => {
  test.each([
    'SECD: TVS proxy: no failure, timeout set to 5',
    'SECD: TVS proxy started, 0 failures',
    'SECUREAPP-TVS timeout is 5 seconds',
    'SECUREAPP-TVS connect: set timeout 5',
    'SECUREAPP-TVS failover servers: 2',
  ])('%s', (line) => {
    expect(eventsOf(line)).toEqual([]);
  });

  test.each([
    'SECD: TVS proxy: connect failed',
    'SECD: TVS request timed out',
    'SECUREAPP-TVS connect timeout',
    'SECUREAPP-TVS connection failure',
    'SECUREAPP-TVS handshake fails',
    'SECUREAPP-TVS connection refused',
  ])('but: %s', (line) => {
    expect(eventsOf(line)).toMatchObject([{ kind: 'tvs-failed' }]);
  });
});

describe('alarms are read as those of an inventory', () => {
  const held = (text: string): object[] =>
    eventsOf(text).flatMap((event) => (event.kind === 'alarm' ? [{ ctl: event.ctl, itl: event.itl }] : []));
  const itl = '1ba1c907e99e4d3c539dc81424af6c9f7dce4d6d';

  test.each([
    ['N/A', alarm.replace('Not Installed', 'N/A')],
    ['Not Installed', alarm],
    ['a checksum', alarm.replace('Not Installed', itl)],
    ['no checksum', alarm.replace('Not Installed', 'FFFF')],
    ['cut off', alarm.slice(0, alarm.indexOf('StatusCode'))],
    ['none of a phone', alarm.replace('SEPC80084AA8743', 'a b')],
  ])('%s', (_name, text) => {
    const ofFleet = parseDeviceTlInfo(text).map(({ ctl = 'none', itl: other = 'none' }) => ({ ctl, itl: other }));
    expect(held(text)).toEqual(ofFleet);
    expect(ofFleet.length).toBeLessThanOrEqual(1);
  });

  test('what is whole counts, whatever stands around it', () => {
    const text = `noise\n${alarm.slice(0, 300)}\n10:00 other words ${alarm.replaceAll('\n', '')} and more\n`;
    expect(held(text)).toEqual([{ ctl: 'none', itl }]);
  });
});

describe('the console log of a lab phone', () => {
  test('every line that decides something is read', () => {
    const log = new ConsoleLog();
    const rejected = { accepted: false, rule: 'P5', reason: 'not in its lists', used: undefined } as const;
    const accepted = { accepted: true, rule: 'P12', reason: 'found', used: undefined } as const;
    const question = { kind: 'verify', server: '192.0.2.10', certificate: Uint8Array.of() } as const;
    log.requestFile('ITLFile.tlv');
    log.missingFile('ITLFile.tlv');
    log.failedFile('CTLFile.tlv', 'no access');
    log.searchList('itl');
    log.askTvs(question);
    log.answerOfTvs('192.0.2.10', { status: 'unreachable', reason: 'ECONNREFUSED' });
    log.askTvs(question);
    log.answerOfTvs('192.0.2.10', { status: 'success', certificate: Uint8Array.of(), roles: [0], timeToLive: 86_400 });
    log.askTvs({ ...question, server: '192.0.2.11' });
    log.answerOfTvs('192.0.2.11', { status: 'not-trusted' });
    log.trustList('itl', rejected);
    log.configuration('SEP001122334455.cnf.xml.sgn', accepted);
    log.configuration('SEP001122334455.cnf.xml.sgn', { ...rejected, rule: 'P12' });
    expect(withoutLine(log.lines.join('\n'))).toEqual([
      { kind: 'requested', file: 'ITLFile.tlv' },
      { kind: 'missing', file: 'ITLFile.tlv' },
      { kind: 'download-failed', file: 'CTLFile.tlv', reason: 'no access' },
      { kind: 'tvs-asked', server: '192.0.2.10' },
      { kind: 'tvs-failed', server: '192.0.2.10', reason: 'ECONNREFUSED' },
      { kind: 'tvs-asked', server: '192.0.2.10' },
      { kind: 'tvs-answered', server: '192.0.2.10', trusted: true },
      { kind: 'tvs-asked', server: '192.0.2.11' },
      { kind: 'tvs-answered', server: '192.0.2.11', trusted: false },
      { kind: 'rejected', what: 'itl', file: 'ITLFile.tlv', rule: 'P5', reason: 'not in its lists' },
      {
        kind: 'accepted',
        what: 'configuration',
        file: 'SEP001122334455.cnf.xml.sgn',
        rule: 'P12',
        reason: 'found',
      },
      {
        kind: 'rejected',
        what: 'configuration',
        file: 'SEP001122334455.cnf.xml.sgn',
        rule: 'P12',
        reason: 'not in its lists',
      },
    ]);
  });

  test('of the story in which CallManager and TVS were renewed together is diagnosed: A1, and what A12 says', async () => {
    const story = stories.find(({ name }) => name === 'both-renewed-one-node')!;
    const told: { lab?: Lab; phone?: LabPhone } = {};
    const listening = {
      ...story,
      tell: async (stage: Stage) => {
        const [startLab, addPhone] = [stage.startLab.bind(stage), stage.addPhone.bind(stage)];
        stage.startLab = async (...words) => (told.lab = await startLab(...words));
        stage.addPhone = async (...words) => (told.phone = await addPhone(...words));
        await story.tell(stage);
      },
    };
    // What there is when the phones are stuck, before the ITL is deleted by hand.
    const stuck: { itl: Uint8Array; held: TrustList; lines: readonly string[]; tvs: Uint8Array }[] = [];
    await tellStory(listening, {
      directory: join(folder, 'story'),
      start: new Date('2026-01-31T12:00:00Z'),
      keyBits: 1024,
      onScene: ({ title }) => {
        if (title !== 'CallManager and TVS were renewed together') return;
        const [lab, phone] = [told.lab!, told.phone!];
        stuck.push({
          itl: lab.itl('cucm-pub')!.bytes,
          held: phone.state.itl!,
          lines: [...phone.log],
          tvs: lab.certificates.identity('cucm-pub', 'TVS').certificate.der,
        });
      },
    });
    const [{ itl, held, lines, tvs }] = stuck as [(typeof stuck)[number]];
    const log = readPhoneLog(lines.join('\n'), 'phone.log');
    const { findings, deletion } = diagnose({
      served: { itl },
      held: { itl: { kind: 'known', list: held }, ctl: { kind: 'none' } },
      tvsCertificates: [{ name: 'TVS', certificate: tvs }],
      logs: [log],
      oldKeyBackup: false,
      now: 1_769_860_800,
    });
    const errors = findings.filter(({ severity }) => severity === 'error').map(({ rule, check }) => [rule, check]);
    expect(errors).toContainEqual(['A1', 'both-renewed']);
    expect(errors).toContainEqual(['P5', 'list-rejected']);
    expect(errors).toContainEqual(['P5', 'rejected-in-log']);
    expect(errors).toContainEqual(['P12', 'rejected-in-log']);
    expect(errors).toContainEqual(['P9', 'tvs-failed-in-log']);
    expect(deletion.conditions.map(({ answer }) => answer)).toEqual(['yes', 'yes', 'yes', 'yes']);
    // The cluster is 11.5.1: its ITLRecovery key could still be used instead of going to every phone.
    expect(deletion.verdict).toBe('need-not');
    expect(deletion.reason).toContain('ITLRecovery');
  });
});

describe('any text is a log', () => {
  const pieces = [
    ...[wireQuery, etokenQuery, ccmSignerQuery, certificateVerification, alarm].flatMap((text) => text.split('\n')),
    ...['Unique MAP ID : ', 'Unique MAP ID : ABCN=', '{role : 999999}', '<Alarm Name="DeviceTLInfo">', '</Alarm>'],
    ...['[src=', '[src=]', 'dgetfile-GETXXTP [src=__proto__]', 'CTL (P99: )', 'status : ', '\u0000', '\u202e'],
  ];

  test('whatever it says, it is read and diagnosed, and every line number is one of its lines', () => {
    const part = fc.oneof(fc.constantFrom(...pieces), fc.string(), fc.string({ unit: 'binary' }));
    const text = fc
      .array(part, { maxLength: 30 })
      .chain((parts) => fc.constantFrom('\n', '\r\n', ' ', '').map((by) => parts.join(by)));
    fc.assert(
      fc.property(text, (log) => {
        const { events, lines } = readPhoneLog(log, 'log');
        for (const { line } of events) {
          expect(line).toBeGreaterThanOrEqual(1);
          expect(line).toBeLessThanOrEqual(lines);
        }
        expect(diagnose({ logs: [{ source: 'log', lines, events }], now: 0 }).deletion.conditions).toHaveLength(4);
      }),
      { numRuns: 500 },
    );
  });
});
