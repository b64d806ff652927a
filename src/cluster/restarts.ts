import type { CertificateName, Service } from './cluster.js';

/** A service that is restarted, and where: on the node whose certificate was renewed, or on all nodes that run it. */
export interface Restart {
  readonly service: Service;
  readonly on: 'node' | 'all';
}

/**
 * What is restarted after a certificate was renewed, in this order, so that it is used. Cisco Tftp writes the ITLs and
 * signs the files; TVS reads the signers that it vouches for when it
 * starts; the certificates of TVS and CAPF, and ITLRecovery, stand in the ITL of every TFTP node.
 */
export const restartsAfterRenewal: Readonly<Record<CertificateName, readonly Restart[]>> = {
  CallManager: [
    { service: 'TVS', on: 'all' },
    { service: 'TFTP', on: 'all' },
    { service: 'CallManager', on: 'all' },
  ],
  CAPF: [
    { service: 'CAPF', on: 'node' },
    { service: 'TFTP', on: 'all' },
  ],
  TVS: [
    { service: 'TVS', on: 'node' },
    { service: 'TFTP', on: 'all' },
  ],
  ITLRecovery: [
    { service: 'TVS', on: 'all' },
    { service: 'TFTP', on: 'all' },
  ],
};

/** The services as Cisco Unified Serviceability names them. */
export const serviceNames: Readonly<Record<Service, string>> = {
  CallManager: 'Cisco CallManager',
  TFTP: 'Cisco Tftp',
  CAPF: 'Cisco Certificate Authority Proxy Function',
  TVS: 'Cisco Trust Verification Service',
};
