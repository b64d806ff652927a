import { isAtLeast, listSignerName, publisherOf, tokensEnd, type Cluster } from '../cluster/index.js';
import { ctlMode, isEmptied, tokenlessSigner, tokenRecords } from '../ctl/index.js';
import { equalBytes, formatHex } from '../bytes/index.js';
import {
  largestTrustList,
  recordHolds,
  signingRecords,
  trustListKind,
  verifyTrustList,
  type TrustList,
} from '../trust-list/index.js';
import type { Certificate } from '../x509/index.js';
import type { DiagnosisFinding, DiagnosisList } from './diagnosis.js';
import { bothLists, isEmptyItl, type DiagnosisCase, type ServedFile, listNames } from './diagnosis-case.js';

/** What is wrong with the lists of the server, whoever holds what (A5, A6, A8, A9, A14, P6, P7). */
export function checkServedLists(opened: DiagnosisCase): readonly DiagnosisFinding[] {
  const { cluster } = opened.evidence;
  return bothLists.flatMap((kind) => {
    const served = opened.served[kind];
    if (served === undefined) return [];
    const { list } = served;
    if (list === undefined) return [unreadable(kind, served)];
    const wrongKind = checkKind(kind, list);
    const proof = checkProof(kind, list);
    const content =
      kind === 'ctl' ? [...checkTokens(list, cluster), ...checkCtlSigner(list, cluster)] : checkItl(opened, list);
    return [...wrongKind, ...(served.bytes.length > largestTrustList ? [tooLarge(kind, served)] : []), ...proof].concat(
      wrongKind.length > 0 || proof.length > 0 ? [] : content,
    );
  });
}

/** How a server's list is written anew. */
function rewrite(kind: DiagnosisList): string {
  return kind === 'itl'
    ? 'restart the TFTP service on each node that serves phones: it writes the ITL anew; then compare with "show itl"'
    : 'run "utils ctl update CTLFile" on the publisher (with tokens: the CTL client), restart TFTP, compare with "show ctl"';
}

function unreadable(kind: DiagnosisList, { fault = '', bytes }: ServedFile): DiagnosisFinding {
  const name = listNames[kind];
  return {
    rule: 'P7',
    check: 'list-unreadable',
    severity: 'error',
    list: kind,
    what: `the server's ${name} is no trust list: every phone rejects it`,
    evidence: [
      fault,
      `the file has ${String(bytes.length)} bytes; "show ${kind}" says "Error parsing the ${name} File!!"`,
    ],
    whatToDo: [
      `check that the file is the one of the TFTP server, fetched in binary (octet) mode: "etoken-bridge tftp get"`,
      rewrite(kind),
    ],
  };
}

function tooLarge(kind: DiagnosisList, { bytes }: ServedFile): DiagnosisFinding {
  return {
    rule: 'P7',
    check: 'list-unreadable',
    severity: 'error',
    list: kind,
    what: `the server's ${listNames[kind]} is larger than phones load`,
    evidence: [`it has ${String(bytes.length)} bytes, and phones load ${String(largestTrustList)} at the most`],
    whatToDo: ['remove certificates that no phone needs from the cluster, or use shorter keys', rewrite(kind)],
  };
}

function checkKind(kind: DiagnosisList, { header }: TrustList): readonly DiagnosisFinding[] {
  const named = trustListKind(header.fileName);
  if (named === undefined || named === listNames[kind]) return [];
  return [
    {
      rule: 'P7',
      check: 'list-of-other-kind',
      severity: 'error',
      list: kind,
      what: `the file given as the server's ${listNames[kind]} calls itself an ${named}: phones do not take it for one`,
      evidence: [`its FILENAME is ${header.fileName}`],
      whatToDo: [
        'check that the two files were not mixed up, here and on the TFTP server',
        'give each under its own option',
      ],
    },
  ];
}

/** A9: the list is not signed by the key of its own signing record. */
function checkProof(kind: DiagnosisList, list: TrustList): readonly DiagnosisFinding[] {
  const verification = verifyTrustList(list);
  if (verification.verified) return [];
  const name = listNames[kind];
  const isUnsigned = verification.code === 'no-signing-record';
  const finding = { rule: 'A9', severity: 'error', list: kind } as const;
  const signer = `its header names the signer ${describeSigner(list)}`;
  if (isUnsigned) {
    return [
      {
        ...finding,
        check: 'no-signing-record',
        what: `the server's ${name} has no record of its signer: every phone rejects it`,
        evidence: [
          signer,
          verification.reason,
          `"show ${kind}" says "This etoken was not used to sign the ${name} file." of every signer, and "Verification of the ${name} file failed."`,
        ],
        whatToDo: [
          'a backup was probably restored without the CallManager key, so that TFTP signs with another one: restore the CallManager certificate with its key, or renew CallManager on this node',
          ...resetWords(kind),
          rewrite(kind),
        ],
      },
    ];
  }
  return [
    {
      ...finding,
      check: 'not-verified',
      what: `the server's ${name} does not verify: every phone rejects it`,
      evidence: [
        signer,
        verification.reason,
        `"show ${kind}" says "This etoken was not used to sign the ${name} file." of the other signers, and "Verification of the ${name} file failed."`,
      ],
      whatToDo: [
        'the file was changed after it was signed, or signed with a key that is not the one of its signer (a restored backup): compare it with the file on the other nodes',
        ...resetWords(kind),
        rewrite(kind),
      ],
    },
  ];
}

/** A restored backup brings the certificate of the signer back without its key; a CTL is not reset. */
function resetWords(kind: DiagnosisList): readonly string[] {
  if (kind !== 'itl') return [];
  return [
    'when the key of the signer is lost, phones with an ITL that has the ITLRecovery certificate take one that this key signs: "utils itl reset localkey" on the publisher, or "etoken-bridge itl reset localkey" without --itl; "remotekey" where the recovery key was kept elsewhere',
  ];
}

/** A5, A8 and A14: how many tokens, and whether the release knows them. */
function checkTokens(list: TrustList, cluster: Cluster | undefined): readonly DiagnosisFinding[] {
  if (ctlMode(list) === 'tokenless') return checkTokenless(cluster);
  const tokens = tokenRecords(list);
  const isEnded = cluster !== undefined && tokensEnd(cluster.release);
  return [...(isEnded ? [tokensEnded(cluster, tokens.length)] : []), ...(tokens.length < 2 ? [oneToken(tokens)] : [])];
}

/** A8: tokenless lists begin with 10.0. */
function checkTokenless(cluster: Cluster | undefined): readonly DiagnosisFinding[] {
  if (cluster === undefined || isAtLeast(cluster.release, '10.0')) return [];
  return [
    {
      rule: 'A8',
      check: 'tokenless-too-early',
      severity: 'warning',
      list: 'ctl',
      what: `the CTL is tokenless, and release ${cluster.release.text} knows no tokenless lists: its CTL client finds no token to change it with`,
      evidence: ['no function-0 record of the CTL is a token', `the cluster file says ${cluster.release.text}`],
      whatToDo: ['build a token CTL with "etoken-bridge ctl to-token"; devices that reject it need their CTL deleted'],
    },
  ];
}

/** A14: tokens end with 14SU3. */
function tokensEnded({ release }: Cluster, count: number): DiagnosisFinding {
  return {
    rule: 'A14',
    check: 'tokens-end',
    severity: 'error',
    list: 'ctl',
    what: `the CTL is signed by tokens, and from 14SU3 on clusters know only tokenless lists`,
    evidence: [`the CTL has ${String(count)} tokens`, `the cluster file says ${release.text}`],
    whatToDo: [
      'move to a tokenless CTL: "etoken-bridge migrate plan --to tokenless", or "utils ctl set-cluster mixed-mode"',
    ],
  };
}

/** A5. */
function oneToken(tokens: ReturnType<typeof tokenRecords>): DiagnosisFinding {
  return {
    rule: 'A5',
    check: 'one-token',
    severity: 'warning',
    list: 'ctl',
    what: 'the CTL has one token only: when it is lost or locked, nobody can change the CTL any more',
    evidence: tokens.map(({ subjectName = '', serialNumber = new Uint8Array() }) => {
      return `its only token is ${subjectName} (serial ${formatHex(serialNumber, ':').toUpperCase()})`;
    }),
    whatToDo: [
      'add a second token with "etoken-bridge ctl add-token", and keep it elsewhere; or go tokenless (10.0 and later)',
    ],
  };
}

/** A6: a tokenless CTL is signed by a certificate that the cluster does not sign with any more. */
function checkCtlSigner(list: TrustList, cluster: Cluster | undefined): readonly DiagnosisFinding[] {
  if (cluster === undefined || ctlMode(list) === 'token' || !isAtLeast(cluster.release, '10.0')) return [];
  const { name, certificate } = tokenlessSigner(cluster);
  if (isSignedBy(list, certificate) || isEmptied(list)) return [];
  return [
    {
      rule: 'A6',
      check: 'signer-not-current',
      severity: 'warning',
      list: 'ctl',
      what: `the CTL is not signed by the cluster's present ${name} certificate: it was renewed, or changed with the release, and the CTL was not updated since`,
      evidence: [
        `the CTL names the signer ${describeSigner(list)}`,
        `the ${name} certificate of ${publisherOf(cluster).name} has serial ${serialOf(certificate)}`,
      ],
      whatToDo: [
        "see that TVS runs on the nodes of the phones' TVS servers, for phones find the new signer only in their ITL or through it",
        'run "utils ctl update CTLFile" on the publisher, restart TFTP and CallManager where they run, then the phones',
      ],
    },
  ];
}

function checkItl(opened: DiagnosisCase, list: TrustList): readonly DiagnosisFinding[] {
  const { cluster } = opened.evidence;
  const found: DiagnosisFinding[] = [];
  if (isEmptyItl(list)) found.push(emptyItlFinding(opened));
  else if (cluster !== undefined && !isSignedByCluster(list, cluster)) found.push(staleItl(list, cluster));
  return found;
}

function isSignedByCluster(list: TrustList, cluster: Cluster): boolean {
  const name = listSignerName(cluster.release);
  // "utils itl reset" signs with ITLRecovery in any release.
  return cluster.nodes.some(({ certificates }) =>
    [certificates[name], certificates.ITLRecovery].some((one) => one !== undefined && isSignedBy(list, one)),
  );
}

function staleItl(list: TrustList, cluster: Cluster): DiagnosisFinding {
  const name = listSignerName(cluster.release);
  const present = cluster.nodes.flatMap((node) => {
    const certificate = node.certificates[name];
    return certificate === undefined
      ? []
      : [`the ${name} certificate of ${node.name} has serial ${serialOf(certificate)}`];
  });
  return {
    rule: 'A9',
    check: 'signer-not-current',
    severity: 'warning',
    list: 'itl',
    what: `the server's ITL is not signed by a ${name} certificate of the cluster file: the certificate was renewed and TFTP not restarted, a backup was restored, or the list is another cluster's`,
    evidence: [`the ITL names the signer ${describeSigner(list)}`, ...present],
    whatToDo: [
      rewrite('itl'),
      'if a backup was restored, restore the certificate with its key, or renew it once on this node',
    ],
  };
}

function emptyItlFinding(opened: DiagnosisCase): DiagnosisFinding {
  const hasCtl =
    opened.held.ctl.kind === 'known' || opened.held.ctl.kind === 'unknown' || opened.served.ctl !== undefined;
  const finding = { rule: 'P6', check: 'empty-itl', severity: 'warning', list: 'itl' } as const;
  const evidence = ['no TFTP and no TVS record of the ITL holds a certificate'];
  if (hasCtl) {
    return {
      ...finding,
      what: "the server's ITL is empty, and there is a CTL: the CTL still decides what phones take, and they cannot ask TVS (P9)",
      evidence,
      whatToDo: [
        'an empty ITL does not free phones that hold a CTL: sign with a key that their CTL knows, or delete the CTL at the phone',
        'set the enterprise parameter "Prepare Cluster for Rollback to pre 8.0" back to False, restart TVS and TFTP, then the phones',
      ],
    };
  }
  return {
    ...finding,
    what: "the server's ITL is empty: phones without a CTL take any list and any configuration, whoever signed it",
    evidence,
    whatToDo: [
      'when the move or rollback is done, set "Prepare Cluster for Rollback to pre 8.0" back to False, restart TVS and TFTP, then the phones',
    ],
  };
}

/** Whether the signing record of a list holds a certificate. */
export function isSignedBy(list: TrustList, { der, serialNumber }: Certificate): boolean {
  const [record] = signingRecords(list);
  if (record === undefined) return false;
  if (record.certificate !== undefined || record.certificateHash !== undefined) return recordHolds(record, der);
  return equalBytes(record.serialNumber ?? new Uint8Array(), serialNumber);
}

/** The signer as the header of a list names it. */
export function describeSigner({ header }: TrustList): string {
  return `${header.signerName} (serial ${formatHex(header.serialNumber, ':').toUpperCase()})`;
}

function serialOf({ serialNumber }: Certificate): string {
  return formatHex(serialNumber, ':').toUpperCase();
}
