import { createHash } from 'node:crypto';
import { equalBytes, formatHex } from '../bytes/index.js';
import { acceptsTvsServer, p9MayAskTvs, type PhoneState } from '../phone/index.js';
import { recordFunction, recordHolds } from '../trust-list/index.js';
import type { SignerNames } from '../tvs/index.js';
import type { DiagnosisEvidence, DiagnosisFinding, DiagnosisRule, TvsEvidence, TvsSignerReply } from './diagnosis.js';
import { filledRecords, phoneWithLists, signedHeaderOf, type DiagnosisCase } from './diagnosis-case.js';
import { offerAll } from './diagnosis-offers.js';

/** The signers that TVS should be asked for: those of the files of the server, each once. */
export function signersToAsk(evidence: Pick<DiagnosisEvidence, 'served' | 'configuration'>): readonly SignerNames[] {
  const files = [evidence.served?.ctl, evidence.served?.itl, evidence.configuration];
  const signers = new Map<string, SignerNames>();
  for (const file of files) {
    const header = file === undefined ? undefined : signedHeaderOf(file);
    if (header === undefined) continue;
    const { signerName: subjectName, issuerName, serialNumber } = header;
    signers.set(signerKey(header), { subjectName, issuerName, serialNumber });
  }
  return [...signers.values()];
}

function signerKey({ issuerName, serialNumber }: Pick<SignerNames, 'issuerName' | 'serialNumber'>): string {
  return `${formatHex(serialNumber)}${issuerName}`;
}

/** What is wrong with the TVS servers, as the phone meets them (P9, P10). */
export function checkTvs(opened: DiagnosisCase): readonly DiagnosisFinding[] {
  if (!opened.securityByDefault) return [];
  const judge = judgeNeed(opened);
  return [
    ...opened.tvs.flatMap((server) =>
      server.kind === 'unreachable'
        ? [unreachableServer(server, judge)]
        : [
            ...checkCertificate(opened, `TVS ${server.server}`, server.certificate, judge),
            ...server.replies.flatMap((reply) => checkReply(opened, server.server, reply, judge)),
          ],
    ),
    ...checkFiles(opened, judge),
  ];
}

/** Whether anything that the phone is offered needs TVS, so that a TVS that fails is an error and no warning. */
type Need = 'error' | 'warning';

function judgeNeed(opened: DiagnosisCase): Need {
  const lacks = (['silent', 'asked'] as const).every((assumption) => {
    const offers = offerAll(opened, assumption);
    if (offers === undefined) return false;
    const rejected = (['ctl', 'itl'] as const).filter(
      (kind) => opened.same[kind] !== true && offers[kind]?.accepted === false,
    );
    return rejected.length > 0 || offers.configuration?.accepted === false;
  });
  return lacks ? 'error' : 'warning';
}

function unreachableServer(
  { server, reason }: Extract<TvsEvidence, { kind: 'unreachable' }>,
  need: Need,
): DiagnosisFinding {
  return {
    rule: 'P10',
    check: 'tvs-unreachable',
    severity: need,
    list: undefined,
    what: `TVS ${server} cannot be reached: phones skip it, and without another one reject every signer that their lists do not know`,
    evidence: [reason],
    whatToDo: [
      'start the Cisco Trust Verification Service on that node ("utils service list"), and see that TCP port 2445 is open from the phones',
      'give the phones a second TVS server (the next nodes of their CallManager group)',
    ],
  };
}

/** P9: the phone must know the certificate that the server shows. */
function checkCertificate(
  opened: DiagnosisCase,
  owner: string,
  certificate: Uint8Array,
  need: Need,
): readonly DiagnosisFinding[] {
  const phone = phoneOf(opened);
  return phone === undefined
    ? checkAgainstServed(opened, owner, certificate)
    : checkAgainstPhone(phone, owner, certificate, need);
}

function checkAgainstPhone(
  phone: PhoneState,
  owner: string,
  certificate: Uint8Array,
  need: Need,
): readonly DiagnosisFinding[] {
  const { accepted, reason } = acceptsTvsServer(phone, certificate);
  if (accepted) return [];
  return [
    {
      rule: 'P9',
      check: 'tvs-certificate',
      severity: need,
      list: undefined,
      what: `the phone does not know the certificate of ${owner}, and so asks it nothing`,
      evidence: [describeOwn(owner, certificate), reason],
      whatToDo: p9MayAskTvs(phone)
        ? [
            'restore the TVS certificate and key that the lists of the phone name, or let the phone ask another TVS server that they name',
            'if TVS was renewed but not restarted, or the other way round, restart it and ask again',
          ]
        : [
            'nothing can be asked until the phone holds a list with a TVS certificate: see the findings about its lists',
          ],
    },
  ];
}

/** Where it is not known what the phone holds: whether phones with the lists of the server could ask it. */
function checkAgainstServed(
  { served }: DiagnosisCase,
  owner: string,
  certificate: Uint8Array,
): readonly DiagnosisFinding[] {
  const lists = [served.ctl?.list, served.itl?.list].filter((list) => list !== undefined);
  const records = lists.flatMap((list) => filledRecords(list, recordFunction.tvs));
  if (served.itl?.list === undefined || records.some((record) => recordHolds(record, certificate))) return [];
  const seen = `the server's lists have ${String(records.length)} TVS records, none of this certificate`;
  return [
    {
      rule: 'P9',
      check: 'tvs-certificate',
      severity: 'warning',
      list: 'itl',
      what: `the server's lists do not name the certificate of ${owner}: phones with these lists ask it nothing`,
      evidence: [describeOwn(owner, certificate), seen],
      whatToDo: [
        'if TVS was renewed: restart TVS, then TFTP, so that the ITL names the certificate that TVS works with',
        'else see that server and list are of the same cluster',
      ],
    },
  ];
}

function describeOwn(owner: string, certificate: Uint8Array): string {
  return `the certificate of ${owner} has SHA-1 ${fingerprint(certificate)}`;
}

/** The phone as TVS meets it, when its ITL or, without one, its CTL is at hand. */
function phoneOf(opened: DiagnosisCase): PhoneState | undefined {
  const { ctl, itl } = opened.held;
  const isKnown = itl.kind === 'known' || (itl.kind === 'none' && ctl.kind === 'known');
  return isKnown ? phoneWithLists(opened) : undefined;
}

/** P10: what the server says about the signers of the files. */
function checkReply(
  opened: DiagnosisCase,
  server: string,
  { issuerName, serialNumber, reply }: TvsSignerReply,
  need: Need,
): readonly DiagnosisFinding[] {
  const signed = filesSignedBy(opened, { issuerName, serialNumber });
  const signer = `${issuerName}, serial ${formatHex(serialNumber, ':').toUpperCase()}`;
  const asked = `TVS ${server} was asked for the signer of the ${signed.names.join(' and the ')}: ${signer}`;
  const finding = { list: undefined, severity: need } as const;
  if (reply.status === 'unreachable') {
    const what = `TVS ${server} gave no answer about the signer of the ${signed.names.join(' and the ')}`;
    const whatToDo = ['look at the log of the Trust Verification Service on that node, and restart it'];
    return [{ ...finding, rule: 'P10', check: 'tvs-unreachable', what, evidence: [asked, reply.reason], whatToDo }];
  }
  if (reply.status === 'not-trusted') {
    return [
      {
        ...finding,
        rule: 'P10',
        check: 'tvs-not-trusted',
        what: `TVS ${server} does not know the signer of the ${signed.names.join(' and the ')}: phones that must ask it reject what it signed`,
        evidence: [asked, 'it answered: not trusted'],
        whatToDo: teach,
      },
    ];
  }
  const found = checkRoles(server, signed, reply.roles, asked);
  return found === undefined ? [] : [{ ...finding, ...found }];
}

/** P10 and P12: for which files the roles that TVS vouches for are not enough. */
function checkRoles(
  server: string,
  signed: SignedFiles,
  given: readonly number[],
  asked: string,
): Omit<DiagnosisFinding, 'severity' | 'list'> | undefined {
  const missing = signed.roles.filter(({ wanted }) => !wanted.some((role) => given.includes(role)));
  if (missing.length === 0) return undefined;
  const rule: DiagnosisRule = missing.some(({ isList }) => isList) ? 'P10' : 'P12';
  const wanted = missing.map(({ name, wanted: roles }) => `the ${name} needs role ${roles.join(' or ')}`);
  return {
    rule,
    check: 'tvs-roles',
    what: `TVS ${server} knows the signer of the ${missing.map(({ name }) => name).join(' and the ')}, but not as a signer of it`,
    evidence: [asked, `it vouches for the roles {${given.join(', ')}}`, ...wanted],
    whatToDo: teach,
  };
}

const teach: readonly string[] = [
  'of a token or of another cluster: upload the certificate of the signer to Phone-SAST-trust on every node (a signer of lists needs that store), and restart TVS',
  'of a renewed CallManager certificate: restart the Trust Verification Service, which still has the old one',
];

interface SignedFiles {
  readonly names: readonly string[];
  readonly roles: readonly { readonly name: string; readonly isList: boolean; readonly wanted: readonly number[] }[];
}

/** The files with this signer, and for which roles TVS must vouch for it. */
function filesSignedBy(
  { served, evidence }: DiagnosisCase,
  signer: Pick<SignerNames, 'issuerName' | 'serialNumber'>,
): SignedFiles {
  const { ccmTftp, sast, tftp } = recordFunction;
  const files = [
    { name: 'CTL', isList: true, bytes: served.ctl?.bytes, wanted: [sast] },
    { name: 'ITL', isList: true, bytes: served.itl?.bytes, wanted: [sast] },
    { name: 'configuration', isList: false, bytes: evidence.configuration, wanted: [ccmTftp, tftp] },
  ].filter(({ bytes }) => {
    const header = bytes === undefined ? undefined : signedHeaderOf(bytes);
    return header !== undefined && signerKey(header) === signerKey(signer);
  });
  return { names: files.map(({ name }) => name), roles: files };
}

/** A certificate file beside what servers showed, or alone. */
function checkFiles(opened: DiagnosisCase, need: Need): readonly DiagnosisFinding[] {
  const { tvs, evidence } = opened;
  return (evidence.tvsCertificates ?? []).flatMap(({ name, certificate }) => {
    const answered = tvs.filter((one) => one.kind === 'answered');
    if (answered.length === 0) return checkCertificate(opened, `TVS in ${name}`, certificate, need);
    if (answered.some((one) => equalBytes(one.certificate, certificate))) return [];
    const evidenceOf = answered.map((one) => `TVS ${one.server} shows SHA-1 ${fingerprint(one.certificate)}`);
    return [
      {
        rule: 'P9',
        check: 'tvs-certificate-file',
        severity: 'warning',
        list: undefined,
        what: `no TVS server shows the certificate of ${name}`,
        evidence: [`${name} has SHA-1 ${fingerprint(certificate)}`, ...evidenceOf],
        whatToDo: [
          'if TVS was renewed, restart the Trust Verification Service: it works with the old certificate until then',
        ],
      },
    ];
  });
}

function fingerprint(certificate: Uint8Array): string {
  return formatHex(createHash('sha1').update(certificate).digest(), ':').toUpperCase();
}
