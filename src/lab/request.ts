import type { KeySource, NodeOutline } from '../cluster/index.js';
import { InputError } from '../errors.js';

/** A lab that is to be started. */
export interface LabRequest {
  /** The folder for its keys, certificates, and what its TFTP servers serve. */
  readonly directory: string;
  /** 11.5.1 unless given. */
  readonly release?: string;
  /** One publisher with all services unless given. All services listen on this machine, whatever address a node has. */
  readonly nodes?: readonly NodeOutline[];
  /** The size of the RSA keys in bits: 2048 unless given. */
  readonly keyBits?: 1024 | 2048 | 4096;
  /** Where the RSA keys come from: new ones unless given. */
  readonly makeKey?: KeySource;
  /** The moment it is. */
  readonly clock: () => Date;
  /** The address of this machine to listen on: 127.0.0.1 unless given. */
  readonly host?: string;
  /** Of the first node, UDP and TCP; the others follow in order. 0, for any that is free, unless given. */
  readonly tftpPort?: number;
  readonly tvsPort?: number;
  /** Told what starts and changes. */
  readonly log?: (line: string) => void;
}

/** The nodes of a lab for which none are named. */
export const oneNode: readonly NodeOutline[] = [
  { name: 'cucm-pub', address: '192.0.2.10', services: ['CallManager', 'TFTP', 'CAPF', 'TVS'] },
];

/** Phones must be able to reach what their configurations name. @throws InputError `usage` */
export function requirePlaces({ host, tftpPort = 0, tvsPort = 0, nodes = oneNode }: LabRequest): void {
  if (host === '0.0.0.0' || host === '::') {
    throw new InputError('usage', `phones are told where TVS is, and ${host} is no address that they can reach`, {
      hint: 'give the address of this machine that the phones see',
    });
  }
  for (const [what, first] of [['TFTP', tftpPort] as const, ['TVS', tvsPort] as const]) {
    const last = first + nodes.length - 1;
    if (first === 0 || last <= 65_535) continue;
    throw new InputError(
      'usage',
      `${what} of ${String(nodes.length)} nodes from port ${String(first)} on would need ${String(last)}`,
      {
        hint: 'begin at a lower port',
      },
    );
  }
}
