import { randomInt, type KeyObject } from 'node:crypto';
import { parseHex } from '../../src/bytes/index.js';
import {
  parseRelease,
  type Cluster,
  type ClusterNode,
  type SecurityMode,
  type Service,
} from '../../src/cluster/index.js';
import type { CtlOptions } from '../../src/ctl/index.js';
import { createSoftwareSigner, type Signer } from '../../src/signer/index.js';
import { generateRsaKey, issueCertificate, type Certificate, type DistinguishedName } from '../../src/x509/index.js';

/** A certificate, and who signs with its key. */
export interface Identity {
  readonly certificate: Certificate;
  readonly key: KeyObject;
  readonly signer: Signer;
}

interface IdentityRequest {
  readonly subject: DistinguishedName;
  /** Hex, big-endian. */
  readonly serialNumber: string;
  /** Self-signed unless given. */
  readonly issuer?: { readonly name: DistinguishedName; readonly key: KeyObject };
  readonly key?: KeyObject;
  readonly bits?: number;
  readonly notAfter?: Date;
}

export const now = new Date('2026-01-31T12:00:00Z');
export const options: CtlOptions = { timestamp: 1_425_675_367, now };

/** Issues a certificate with a key of its own. */
export async function issue(request: IdentityRequest): Promise<Identity> {
  const key = request.key ?? (await generateRsaKey(request.bits ?? 1024));
  const certificate = await issueCertificate(
    {
      subject: request.subject,
      publicKey: key,
      serialNumber: hex(request.serialNumber),
      notBefore: new Date('2015-01-01T00:00:00Z'),
      notAfter: request.notAfter ?? new Date('2040-01-01T00:00:00Z'),
    },
    request.issuer ?? { name: request.subject, key },
  );
  return { certificate, key, signer: createSoftwareSigner(certificate, key) };
}

export function hex(text: string): Uint8Array {
  const bytes = parseHex(text);
  if (bytes === undefined) throw new Error(`${text} is no hex`);
  return bytes;
}

/** A subject as a cluster of the printed lists has it, in an order that is not the one that trust lists have. */
export function clusterSubject(commonName: string): DistinguishedName {
  return [
    { type: 'L', value: 'Krakow' },
    { type: 'CN', value: commonName },
    { type: 'OU', value: 'TAC' },
    { type: 'O', value: 'Cisco' },
    { type: 'ST', value: 'Malopolska' },
    { type: 'C', value: 'PL' },
  ];
}

/** A self-signed certificate of a cluster. */
export async function clusterIdentity(commonName: string, request: Partial<IdentityRequest> = {}): Promise<Identity> {
  const serialNumber = request.serialNumber ?? freshSerial();
  return issue({ subject: clusterSubject(commonName), ...request, serialNumber });
}

/** 16 bytes that DER writes with 16 bytes. */
function freshSerial(): string {
  const bytes = Array.from({ length: 16 }, (_, index) => (index === 0 ? randomInt(0x40, 0x7f) : randomInt(256)));
  return Buffer.from(bytes).toString('hex');
}

const authorityName: DistinguishedName = [
  { type: 'CN', value: 'Cisco Manufacturing CA' },
  { type: 'O', value: 'Cisco Systems' },
];

/** A stand-in for the vendor's authority: its key is made for the run. */
export const manufacturing = { name: authorityName, key: await generateRsaKey(1024) };

/** The subject of a vendor's token: blanks fill the common name up to 24 characters. */
export function tokenSubject(name: string): DistinguishedName {
  return [
    { type: 'CN', value: name.padEnd(24) },
    { type: 'OU', value: 'IPCBU' },
    { type: 'O', value: 'Cisco Systems, Inc.' },
  ];
}

/** A token of the vendor, e.g. `SAST-ADN0054f509` with serial 45DAA2AF00000027F93C. */
export async function tokenIdentity(
  name: string,
  serialNumber: string,
  request: Partial<IdentityRequest> = {},
): Promise<Identity> {
  return issue({ subject: tokenSubject(name), issuer: manufacturing, ...request, serialNumber });
}

export const [tokenA, tokenB, tokenC] = await Promise.all([
  tokenIdentity('SAST-ADN0054f509', '45DAA2AF00000027F93C'),
  tokenIdentity('SAST-ADN008580ef', '31AF455500000008E983'),
  tokenIdentity('SAST-ADN00aa55cc', '6103de2b000000a1b2c3'),
]);

export const [publisher, publisherRenewed, publisherCapf, recovery, recoveryRenewed, subscriber, subscriberRenewed] =
  await Promise.all([
    clusterIdentity('cucm-1051-a-pub', { serialNumber: '70CAF64E090751B9DF22F49F754FC5BB' }),
    clusterIdentity('cucm-1051-a-pub', { serialNumber: '6B1D357B6841740B078FEE4A1813D5D6', bits: 2048 }),
    clusterIdentity('CAPF-e41e7d87', { serialNumber: '744B4999770496E799E91E81D3C8109B' }),
    clusterIdentity('ITLRECOVERY_cucm-1051-a-pub', { bits: 2048 }),
    clusterIdentity('ITLRECOVERY_cucm-1051-a-pub', { bits: 2048 }),
    clusterIdentity('cucm-1051-a-sub1', { serialNumber: '6BEBFDCDCD8CA277CB2FD1D183A60E72' }),
    clusterIdentity('cucm-1051-a-sub1'),
  ]);

interface NodeOutline {
  readonly name: string;
  readonly address: string;
  readonly services: readonly Service[];
  readonly callManager?: Identity;
  readonly capf?: Identity;
  readonly recovery?: Identity;
}

/** A node of a cluster as a value. */
export function node(outline: NodeOutline): ClusterNode {
  const { name, address, services, callManager, capf, recovery: itlRecovery } = outline;
  return {
    name,
    address,
    services,
    certificates: {
      ...(callManager === undefined ? {} : { CallManager: callManager.certificate }),
      ...(capf === undefined ? {} : { CAPF: capf.certificate }),
      ...(itlRecovery === undefined ? {} : { ITLRecovery: itlRecovery.certificate }),
    },
    keys: {},
  };
}

export const publisherOutline: NodeOutline = {
  name: 'cucm-1051-a-pub',
  address: '10.48.47.153',
  services: ['CallManager', 'TFTP', 'CAPF', 'TVS'],
  callManager: publisher,
  capf: publisherCapf,
  recovery,
};

export const subscriberOutline: NodeOutline = {
  name: 'cucm-1051-a-sub1',
  address: '10.48.47.154',
  services: ['CallManager', 'TFTP', 'TVS'],
  callManager: subscriber,
};

interface ClusterOutline {
  readonly release?: string;
  readonly securityMode?: SecurityMode;
  readonly nodes?: readonly ClusterNode[];
  /** What is in Phone-SAST-trust; no such store when it is left out. */
  readonly uploaded?: readonly Identity[];
}

/** The cluster of the printed lists, or what was changed of it. */
export function clusterOf(outline: ClusterOutline = {}): Cluster {
  const { uploaded } = outline;
  return {
    release: parseRelease(outline.release ?? '10.5.1'),
    securityMode: outline.securityMode ?? 'mixed',
    nodes: outline.nodes ?? [node(publisherOutline), node(subscriberOutline)],
    trustStores: uploaded === undefined ? {} : { 'Phone-SAST-trust': uploaded.map(({ certificate }) => certificate) },
  };
}

/** A signer that tells how often it was asked: a refused plan must not ask a token. */
export function counted({ signer }: Identity): { readonly signer: Signer; readonly asked: () => number } {
  let asked = 0;
  return {
    signer: {
      certificate: signer.certificate,
      digests: signer.digests,
      sign: (request) => {
        asked += 1;
        return signer.sign(request);
      },
    },
    asked: () => asked,
  };
}
