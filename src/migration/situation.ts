import type { CertificateName, Cluster } from '../cluster/index.js';
import type { TrustList } from '../trust-list/index.js';
import type { Certificate } from '../x509/index.js';

/**
 * A list that a phone holds. `unknown`: only its checksum is known, and no file with it is at hand, so that nobody can
 * tell what the phone would accept.
 */
export type HeldList =
  | { readonly kind: 'none' }
  | { readonly kind: 'known'; readonly list: TrustList }
  | {
      readonly kind: 'unknown';
      /** In lower-case hex; 40 digits are SHA-1, 32 are MD5. `not told` where not even that is known. */
      readonly digest: string;
    };

/** Phones that hold the same and so decide the same. */
export interface PhoneGroup {
  /** Names of the devices, e.g. `SEPC80084AA8743`. */
  readonly devices: readonly string[];
  /** Whether they have an ITL and TVS (rule P11). */
  readonly securityByDefault: boolean;
  readonly ctl: HeldList;
  readonly itl: HeldList;
  /** The TVS servers of their configuration, each a name or address with or without a port, at most three. */
  readonly tvsServers: readonly string[];
  /** The TFTP server that they ask first, by name or address; the cluster's first one unless told. */
  readonly tftpServer?: string | undefined;
}

/** Whether TVS of a node answers: it runs; it was stopped and can be started; nobody can make it answer. */
export type TvsState = 'running' | 'stopped' | 'unreachable';

/** A TFTP server that also serves phones of other clusters (rule A13). */
export interface CentralTftp {
  readonly clusters: readonly {
    readonly name: string;
    /** Whether its TFTP servers have lists under the names of devices (`ITLSEP<MAC>.tlv`). */
    readonly perDevice: boolean;
  }[];
}

/** What is there before anything is changed. */
export interface Situation {
  readonly cluster: Cluster;
  /** The CTL that the TFTP servers serve. */
  readonly ctl: TrustList | undefined;
  /** The ITL that each TFTP node serves, by the name of the node. */
  readonly itls: Readonly<Record<string, TrustList>>;
  /** By the name of the node; a node that is not named runs it. */
  readonly tvs: Readonly<Record<string, TvsState>>;
  /** The SAST certificates of the tokens that are at hand, those to come included. */
  readonly tokens: readonly Certificate[];
  readonly phones: readonly PhoneGroup[];
  readonly centralTftp?: CentralTftp | undefined;
}

/** A certificate that is to be renewed. */
export interface Renewal {
  readonly node: string;
  readonly certificate: CertificateName;
}

/** A node that is to get another host name. All certificates of the node are made anew with it, together. */
export interface Renaming {
  readonly node: string;
  readonly name: string;
}

/** How the cluster's CTL is to be in the end. `no-ctl`: no phone holds one any more. */
export type WantedMode = 'token' | 'tokenless' | 'non-secure' | 'no-ctl';

/** What is wanted. What is not named stays as it is. */
export interface Wanted {
  readonly mode?: WantedMode | undefined;
  readonly renewals?: readonly Renewal[] | undefined;
  readonly renamings?: readonly Renaming[] | undefined;
  /** An upgrade or downgrade, e.g. `9.1.2`. */
  readonly release?: string | undefined;
  /** The cluster that the phones are to move to, with the lists that it serves. */
  readonly destination?: Pick<Situation, 'cluster' | 'ctl' | 'itls' | 'tvs'> | undefined;
}
