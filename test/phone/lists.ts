import { encodeNumber } from '../../src/bytes/index.js';
import { createTokenCtl, createTokenlessCtl, toNonSecure, updateCtl } from '../../src/ctl/index.js';
import {
  createPhone,
  decide,
  type Deciding,
  type HeldFiles,
  type PhoneProfile,
  type PhoneState,
  type TvsQuestion,
  type TvsReply,
} from '../../src/phone/index.js';
import { clusterIdentity as spellingOf, signFile } from '../../src/signed-file/index.js';
import { digestOf } from '../../src/signer/index.js';
import { encodeText } from '../../src/tlv/index.js';
import { signTrustList, type RecordDraft, type TrustList } from '../../src/trust-list/index.js';
import type { Certificate } from '../../src/x509/index.js';
import {
  clusterIdentity,
  clusterOf,
  issue,
  node,
  options,
  publisher,
  publisherOutline,
  publisherRenewed,
  subscriber,
  subscriberOutline,
  tokenA,
  tokenB,
  tokenC,
  type Identity,
} from '../ctl/clusters.js';

/** Seconds since 1970-01-01 UTC: the clock of every test. */
export const now = 1_769_860_800;

export const [tvs, tvsRenewed, tvsTwo, capf, tomcat, stranger] = await Promise.all([
  clusterIdentity('TVS-pub'),
  clusterIdentity('TVS-pub'),
  clusterIdentity('TVS-sub'),
  clusterIdentity('CAPF-1'),
  clusterIdentity('tomcat-pub'),
  clusterIdentity('another-cluster'),
]);

/** A record as the TFTP service writes it into an ITL; CAPF and TVS certificates as their hash. */
export function itlRecord({ certificate }: Identity, role: number): RecordDraft {
  const isHashed = role === 4 || role === 21;
  const { signerName, issuerName, serialNumber } = spellingOf(certificate);
  return [
    { tag: 2, value: Uint8Array.of(0x20, 0) },
    { tag: 3, value: signerName },
    { tag: 4, value: encodeNumber(role, 2) },
    { tag: 5, value: issuerName },
    { tag: 6, value: serialNumber },
    { tag: 7, value: certificate.publicKey },
    { tag: 8, value: certificate.signature },
    ...(isHashed
      ? [
          { tag: 11, value: digestOf('sha1', certificate.der) },
          { tag: 12, value: Uint8Array.of(1) },
        ]
      : [{ tag: 9, value: certificate.der }]),
  ];
}

/** A record that a rollback emptied. */
export function emptiedRecord(role: number): RecordDraft {
  return [
    { tag: 2, value: Uint8Array.of(0x20, 0) },
    { tag: 4, value: encodeNumber(role, 2) },
  ];
}

/** A list of these records, signed with the first. */
export function listOf(kind: 'CTL' | 'ITL', signer: Identity, records: readonly RecordDraft[]): Promise<TrustList> {
  return signTrustList(
    {
      version: { major: 1, minor: 2 },
      digestAlgorithm: 'sha1',
      fileName: encodeText(`${kind}File.tlv`),
      timestamp: now,
      records,
      signingRecord: 0,
    },
    signer.signer,
  );
}

/** The ITL of a node: its CallManager signs; TVS certificates of the nodes that have one. */
export function itlOf(callManager: Identity, tvsServers: readonly Identity[]): Promise<TrustList> {
  return listOf('ITL', callManager, [
    itlRecord(callManager, 0),
    itlRecord(callManager, 3),
    itlRecord(capf, 4),
    ...tvsServers.map((identity) => itlRecord(identity, 21)),
  ]);
}

const cluster = clusterOf();
const renewedCluster = clusterOf({
  nodes: [node({ ...publisherOutline, callManager: publisherRenewed }), node(subscriberOutline)],
});

/** Made by the flows of the CTL builder. */
export const tokenCtl = (
  await createTokenCtl(cluster, [tokenA.certificate, tokenB.certificate], tokenA.signer, options)
).list;
export const tokenCtlRenewed = (await updateCtl(tokenCtl, renewedCluster, tokenB.signer, options)).list;
export const otherTokensCtl = (
  await createTokenCtl(cluster, [tokenC.certificate, tokenB.certificate], tokenC.signer, options)
).list;
export const tokenlessCtl = (await createTokenlessCtl(cluster, publisher.signer, options)).list;
export const nonSecureCtl = (await toNonSecure(tokenCtl, tokenA.signer, options)).list;

export const [itl, itlRenewed, itlTwoTvs, itlBothRenewed, itlWithoutTvs, strangersItl, strangersCtl, subscribersItl] =
  await Promise.all([
    itlOf(publisher, [tvs]),
    itlOf(publisherRenewed, [tvs]),
    itlOf(publisher, [tvs, tvsTwo]),
    itlOf(publisherRenewed, [tvsRenewed]),
    itlOf(publisher, []),
    itlOf(stranger, [tvsRenewed]),
    listOf('CTL', stranger, [itlRecord(stranger, 0), itlRecord(stranger, 2)]),
    itlOf(subscriber, [tvs]),
  ]);

/** The rollback ITL: signed, with its function-0 record, the TFTP and TVS records emptied. */
export const emptyItl = await listOf('ITL', publisher, [
  itlRecord(publisher, 0),
  emptiedRecord(3),
  itlRecord(capf, 4),
  emptiedRecord(21),
]);

/** A token-signed CTL that has a TVS certificate too. */
export const ctlWithTvs = await listOf('CTL', tokenA, [
  itlRecord(tokenA, 0),
  itlRecord(publisher, 2),
  itlRecord(tvs, 21),
]);

export const profile: PhoneProfile = {
  mac: 'B000B4BA0AEE',
  model: 'CP-8861',
  securityByDefault: true,
  encryptedConfiguration: false,
};
export const oldProfile: PhoneProfile = { ...profile, model: 'CP-7960', securityByDefault: false };

/** A phone with one TVS server, `pub`, unless others are given. */
export function phone(held: HeldFiles = {}, change: Partial<PhoneProfile> = {}): PhoneState {
  return createPhone({ ...profile, ...change }, { tvsServers: ['pub'], ...held });
}

/** What TVS says when it vouches for a certificate. */
export function vouches(certificate: Certificate, roles: readonly number[], timeToLive = 86_400): TvsReply {
  return { status: 'success', certificate: certificate.der, roles, timeToLive };
}

/** Runs a decision with TVS servers that reply by their name; the rest cannot be reached. Tells what was asked. */
export function withTvs<T>(
  steps: Deciding<T>,
  replies: Readonly<Record<string, TvsReply>> = {},
): { readonly result: T; readonly asked: readonly TvsQuestion[] } {
  const asked: TvsQuestion[] = [];
  const result = decide(steps, (question) => {
    asked.push(question);
    return replies[question.server] ?? { status: 'unreachable', reason: 'connection refused' };
  });
  return { result, asked };
}

/** A signed configuration. */
export function configuration(signer: Identity, name = 'SEPB000B4BA0AEE.cnf.xml'): Promise<Uint8Array> {
  return signFile(Buffer.from('<device/>'), { name, timestamp: now }, signer.signer);
}

/** Someone whose certificate has the names and serial of another one's, and another key. */
export async function impostorOf({ certificate }: Identity): Promise<Identity> {
  const serialNumber = Buffer.from(certificate.serialNumber).toString('hex');
  return issue({ subject: certificate.subject, serialNumber });
}

/** The issuer of a certificate in the cluster's spelling, without NUL. */
export function issuerOf({ certificate }: Identity): string {
  return Buffer.from(spellingOf(certificate).issuerName).toString('utf8').slice(0, -1);
}
