import type { DiagnosisFinding } from './diagnosis.js';
import type { DiagnosisCase } from './diagnosis-case.js';
import type { LoggedFile, PhoneLog, PhoneLogEvent, TvsLogQuestion } from './phone-log.js';

/** An event of one of these kinds. */
type Event<Kind extends PhoneLogEvent['kind']> = Extract<PhoneLogEvent, { readonly kind: Kind }>;

/** What a phone decided about a file. */
type LoggedDecision = Extract<PhoneLogEvent, { readonly what: LoggedFile }>;

/** What the logs say happened. */
export function checkLogs({ evidence: { logs = [] } }: DiagnosisCase): readonly DiagnosisFinding[] {
  return logs.flatMap((log) => {
    const found = [
      ...decisions(log),
      ...tvsQuestions(log),
      ...tvsFailures(log),
      ...tvsAnswers(log),
      ...centralTftp(log),
      ...severalPhones(log),
    ];
    return found.length > 0 || log.events.length > 0 ? found : [nothingUnderstood(log)];
  });
}

function ofKind<Kind extends PhoneLogEvent['kind']>({ events }: PhoneLog, kind: Kind): readonly Event<Kind>[] {
  return events.filter((event): event is Event<Kind> => event.kind === kind);
}

function where({ source }: PhoneLog, line: number): string {
  return `${source}, line ${String(line)}`;
}

const fileNames: Readonly<Record<LoggedFile, string>> = {
  ctl: 'CTL',
  itl: 'ITL',
  configuration: 'configuration',
  unknown: 'trust list',
};

/** What the phone said last about each file. */
function decisions(log: PhoneLog): readonly DiagnosisFinding[] {
  const last = new Map<string, LoggedDecision>();
  for (const event of log.events) {
    if (event.kind === 'accepted' || event.kind === 'rejected') last.set(event.what, event);
  }
  return [...last.values()].map((event) => {
    const { kind, line, what, file, rule, reason } = event;
    const list = what === 'ctl' || what === 'itl' ? what : undefined;
    const name = `${fileNames[what]}${file === undefined ? '' : ` (${file})`}`;
    const isRejected = kind === 'rejected';
    const times = log.events.filter((other) => other.kind === kind && other.what === what).length;
    return {
      rule,
      check: isRejected ? 'rejected-in-log' : 'accepted-in-log',
      severity: isRejected ? 'error' : 'note',
      list,
      what: `the phone ${kind} its ${name}`,
      evidence: [
        `${where(log, line)}${times > 1 ? `, the last of ${String(times)} times` : ''}`,
        ...(reason === undefined ? [] : [reason]),
      ],
      whatToDo: isRejected
        ? [
            what === 'configuration'
              ? 'see the findings about the ITL: its TFTP certificate proves the configuration (P12)'
              : `give the list of the server (--${list ?? 'itl'}) and the one that the phone holds (--held-${list ?? 'itl'}): then it can be told why`,
          ]
        : [],
    };
  });
}

/** What TVS was asked for, and whether it knew it. */
function tvsQuestions(log: PhoneLog): readonly DiagnosisFinding[] {
  const asked = new Map<string, TvsLogQuestion>();
  for (const question of ofKind(log, 'tvs-question')) {
    asked.set(`${question.serialNumber ?? ''} ${question.issuerName ?? ''}`, question);
  }
  return [...asked.values()].map((question): DiagnosisFinding => {
    const { line, outcome, roles, subjectName, issuerName = '', serialNumber = '' } = question;
    const signer = `${subjectName ?? issuerName} (serial ${serialNumber})`;
    const evidence = [`${where(log, line)}: issuer ${issuerName}`];
    if (outcome === 'not-known') {
      return {
        rule: 'P10',
        check: 'tvs-refused-in-log',
        severity: 'error',
        list: undefined,
        what: `TVS was asked for ${signer}, and does not know it: the phone rejects what it signed`,
        evidence,
        whatToDo: [
          'upload this certificate to Phone-SAST-trust on every node when it is a token or of another cluster, and restart TVS',
          'when it is the renewed CallManager certificate, restart the Trust Verification Service',
        ],
      };
    }
    const answer = outcome === 'known' ? 'knows it' : 'the log does not say what it answered';
    return {
      rule: 'P10',
      check: 'tvs-answered-in-log',
      severity: 'note',
      list: undefined,
      what: `TVS was asked for ${signer}: ${answer}${roles.length === 0 ? '' : `, roles {${roles.join(', ')}}`}`,
      evidence,
      whatToDo: [],
    };
  });
}

/** Servers that did not answer, unless they did later. */
function tvsFailures(log: PhoneLog): readonly DiagnosisFinding[] {
  const failed = new Map<string, Event<'tvs-failed'>>();
  for (const event of log.events) {
    if (event.kind === 'tvs-failed') failed.set(event.server ?? '', event);
    if (event.kind === 'tvs-answered') failed.delete(event.server ?? '');
  }
  return [...failed.values()].map(({ line, server, reason }) => {
    // Lab phones say it when the server's certificate is not the one of their lists.
    const isCertificate = /certificate/i.test(reason);
    return {
      rule: isCertificate ? 'P9' : 'P10',
      check: 'tvs-failed-in-log',
      severity: 'error',
      list: undefined,
      what: isCertificate
        ? `the phone does not trust the certificate of TVS ${server ?? ''}`.trimEnd()
        : `the phone did not reach TVS ${server ?? ''}`.trimEnd(),
      evidence: [`${where(log, line)}: ${reason}`],
      whatToDo: isCertificate
        ? ['give --tvs HOST and --held-itl FILE: the certificate is then compared with what the phone holds']
        : ['start the Trust Verification Service there, and see that TCP port 2445 is open from the phones'],
    };
  });
}

function tvsAnswers(log: PhoneLog): readonly DiagnosisFinding[] {
  const answers = ofKind(log, 'tvs-answered');
  const [last] = answers.slice(-1);
  if (last === undefined) return [];
  const server = last.server === undefined ? 'TVS' : `TVS ${last.server}`;
  const evidence = [
    `${where(log, last.line)}${answers.length > 1 ? `, the last of ${String(answers.length)} answers` : ''}`,
  ];
  if (last.trusted) {
    const what = `${server} vouched for what the phone asked about`;
    return [
      { rule: 'P10', check: 'tvs-answered-in-log', severity: 'note', list: undefined, what, evidence, whatToDo: [] },
    ];
  }
  return [
    {
      rule: 'P10',
      check: 'tvs-refused-in-log',
      severity: 'error',
      list: undefined,
      what: `${server} does not know what the phone asked about`,
      evidence,
      whatToDo: ['give --tvs HOST and --itl or --ctl: it is then asked for the signer, and its answer shown'],
    },
  ];
}

/** A13: the list was not there under the name of the device, the common one was taken, and the configuration fails. */
function centralTftp(log: PhoneLog): readonly DiagnosisFinding[] {
  const { events } = log;
  const asked = events.filter(
    (event): event is Event<'missing' | 'requested'> => event.kind === 'missing' || event.kind === 'requested',
  );
  const missing = asked.find(({ kind, file }) => kind === 'missing' && /^ITLSEP/i.test(file));
  const common = asked.find(({ kind, file }) => kind === 'requested' && file === 'ITLFile.tlv');
  const taken = events.findLast(
    (event) => (event.kind === 'accepted' || event.kind === 'rejected') && event.what === 'itl',
  );
  const configuration = events.findLast(
    (event) => (event.kind === 'accepted' || event.kind === 'rejected') && event.what === 'configuration',
  );
  if (missing === undefined || common === undefined) return [];
  if (taken?.kind !== 'accepted' || configuration?.kind !== 'rejected' || configuration.line < taken.line) return [];
  return [
    {
      rule: 'A13',
      check: 'central-tftp-in-log',
      severity: 'warning',
      list: 'itl',
      what: 'the phone took the common ITLFile.tlv, for none has its name, and then rejected its configuration: with a central TFTP server this is the list of another cluster',
      evidence: [
        `${where(log, missing.line)}: ${missing.file} is not there`,
        `${where(log, taken.line)}: the ITL was accepted`,
        `${where(log, configuration.line)}: the configuration was rejected`,
      ],
      whatToDo: [
        'let every cluster behind the central TFTP server serve lists under the names of devices, or none of them',
        'delete the ITL at the phone once that is so',
      ],
    },
  ];
}

/** What one phone holds is diagnosed: the last that reported it. */
function severalPhones(log: PhoneLog): readonly DiagnosisFinding[] {
  const alarms = ofKind(log, 'alarm');
  const devices = new Set(alarms.map(({ device }) => device));
  const last = alarms.at(-1);
  if (devices.size < 2 || last === undefined) return [];
  return [
    {
      rule: undefined,
      check: 'several-phones-in-log',
      severity: 'note',
      list: undefined,
      what: `${log.source} has alarms of ${String(devices.size)} phones; the last one, ${last.device}, is taken for the phone`,
      evidence: [where(log, last.line)],
      whatToDo: ['for many phones use "etoken-bridge fleet check"; here give the log of one'],
    },
  ];
}

function nothingUnderstood({ source, lines }: PhoneLog): DiagnosisFinding {
  return {
    rule: undefined,
    check: 'nothing-in-log',
    severity: 'note',
    list: undefined,
    what: `nothing in ${source} is known to this tool`,
    evidence: [`${String(lines)} lines were read`],
    whatToDo: [
      "give the console log of a phone (web page of the phone, Console Logs), its status messages, its DeviceTLInfo alarms, or the TVS server's log (traces of the Trust Verification Service at level debug)",
    ],
  };
}
