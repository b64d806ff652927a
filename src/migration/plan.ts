import type { CertificateName, SecurityMode } from '../cluster/index.js';
import type { AcceptableCheck } from '../ctl/index.js';
import type { Rule } from '../phone/index.js';
import type { WantedMode } from './situation.js';

/** A certificate as a plan names it. */
export interface CertificateNote {
  readonly subject: string;
  /** Upper-case hex, colons between bytes. */
  readonly serialNumber: string;
  /** Of the DER; lower-case hex. */
  readonly sha1: string;
}

/**
 * Whose key signs a list: a token's, or one of the publisher's. Of the publisher no certificate is named, for it may have
 * been renewed by an earlier step: it is the one that the cluster file names when the step is done.
 */
export type ListSigner =
  | { readonly kind: 'token'; readonly certificate: CertificateNote }
  | { readonly kind: 'cluster'; readonly name: 'CallManager' | 'ITLRecovery' };

/** Who does a step: this tool; the administrator, at the cluster; the phones by themselves. */
export type Performer = 'tool' | 'administrator' | 'phones';

/** The flows of the ctl room that a plan uses. */
export type CtlFlow =
  'create-token' | 'create-tokenless' | 'update' | 'add-token' | 'to-token' | 'to-tokenless' | 'to-non-secure';

/** What a step does, as data: the simulation, the lab and `migrate apply` each carry it out in their way. */
export type Action =
  /** Certificates go to a trust store, and TVS is restarted on every node that runs it. */
  | { readonly kind: 'upload'; readonly store: string; readonly certificates: readonly CertificateNote[] }
  /** A TVS that was stopped is started. */
  | { readonly kind: 'start-tvs'; readonly node: string }
  /** Further TVS servers of the cluster go into the CallManager group of the phones, and so into their configuration. */
  | { readonly kind: 'add-tvs-servers'; readonly nodes: readonly string[] }
  /**
   * A CTL is built and signed, and not yet served. `tokens`: those of a new token list, the signer first; of `add-token`
   * the one that is added.
   */
  | {
      readonly kind: 'build-ctl';
      readonly flow: CtlFlow;
      readonly signer: ListSigner;
      readonly tokens: readonly CertificateNote[];
      readonly accept: readonly AcceptableCheck[];
    }
  /** The CTL that a step built is served by every TFTP node. `securityMode`: what the cluster is set to with it. */
  | { readonly kind: 'publish-ctl'; readonly built: string; readonly securityMode: SecurityMode }
  /** The cluster builds, signs and serves its CTL itself: one of the `utils ctl` commands. */
  | {
      readonly kind: 'cluster-ctl';
      readonly flow: CtlFlow;
      readonly signer: ListSigner;
      readonly securityMode: SecurityMode;
    }
  /** A certificate is renewed on its node, and the services restarted that use it. */
  | { readonly kind: 'renew'; readonly node: string; readonly certificate: CertificateName }
  /** A node gets another host name, and with it all of its own certificates anew, together. */
  | { readonly kind: 'rename'; readonly node: string; readonly name: string }
  /** The CTL file is taken from every TFTP node. */
  | { readonly kind: 'remove-ctl-file' }
  /** The ITLs are served without TFTP and TVS certificates (rule P6): "Prepare Cluster for Rollback". */
  | { readonly kind: 'empty-itls' }
  /** The ITLs are served whole again. */
  | { readonly kind: 'fill-itls' }
  /** The cluster's software is replaced. */
  | { readonly kind: 'change-release'; readonly release: string }
  /** The phones are pointed to the TFTP servers of another cluster. */
  | { readonly kind: 'move-phones' }
  /** All phones restart, and so ask for their lists and configuration. */
  | { readonly kind: 'restart-phones' }
  /** Someone deletes a list at each phone of some groups. */
  | { readonly kind: 'delete-list'; readonly list: 'ctl' | 'itl' | 'both'; readonly groups: readonly number[] };

/** How it is told that a step was done. */
export type StepCheck =
  /** The list that the step built is there, and verifies under its signer. */
  | { readonly check: 'file-verifies' }
  /** The node's TFTP server serves the very bytes that a step built. */
  | { readonly check: 'tftp-serves'; readonly node: string; readonly file: string; readonly built: string }
  /** The node's TFTP server serves a list that verifies, is signed by this certificate, and is not the one before. */
  | {
      readonly check: 'tftp-serves-signed-by';
      readonly node: string;
      readonly file: string;
      readonly signer: ListSigner;
      /** SHA-1 of the file that it served before; lower-case hex. */
      readonly before?: string | undefined;
    }
  /** The node's TFTP server has no such file. */
  | { readonly check: 'tftp-lacks'; readonly node: string; readonly file: string }
  /** The node's TVS server answers. */
  | { readonly check: 'tvs-answers'; readonly node: string }
  /** The node's TVS server vouches for a certificate with a role, numbered as FUNCTION. */
  | {
      readonly check: 'tvs-vouches';
      readonly node: string;
      readonly certificate: CertificateNote;
      readonly role: number;
    }
  /** The cluster file names another certificate than the one before, and the node's ITL holds it. */
  | {
      readonly check: 'certificate-renewed';
      readonly node: string;
      readonly certificate: CertificateName;
      /** SHA-1 of the certificate before; lower-case hex. */
      readonly before: string;
    }
  /**
   * The cluster file names the node by its new name only, its own certificates are others than before, and the ITLs hold
   * them.
   */
  | { readonly check: 'node-renamed'; readonly node: string; readonly name: string }
  /** The TFTP and TVS records of the ITL that the node's TFTP server serves hold no certificate (rule P6). */
  | { readonly check: 'itl-emptied'; readonly node: string }
  /** The TFTP and TVS records of the ITL that the node's TFTP server serves hold their certificates. */
  | { readonly check: 'itl-filled'; readonly node: string }
  /** Nobody but the administrator can tell. */
  | { readonly check: 'confirm'; readonly question: string };

/** One step of a plan. */
export interface Step {
  /** Unique in the plan: its number and what it does, e.g. `3-publish-ctl`. */
  readonly id: string;
  readonly who: Performer;
  /** One line. */
  readonly title: string;
  readonly action: Action;
  /** What must hold before, one sentence each. */
  readonly requires: readonly string[];
  /** What to do, one instruction each: what to click, which command, which services to restart on which nodes. */
  readonly instructions: readonly string[];
  readonly checks: readonly StepCheck[];
  /** How to take it back, one instruction each. */
  readonly undo: readonly string[];
  /** Whether every phone that worked before works after this step, so that it is well to stop here. */
  readonly safe: boolean;
}

/** One of the checks A1 to A14, and why it matters here. */
export interface Finding {
  readonly check: AcceptableCheck;
  /** `refused`: no plan is made unless it is accepted. `warning`: the plan takes care of it, or phones are lost. */
  readonly severity: 'refused' | 'warning';
  readonly message: string;
  /** What to do, or what the plan does about it. */
  readonly advice: string;
}

/** What becomes of the phones that hold the same. */
export interface GroupVerdict {
  /** Index in the phones of the situation, from 0. */
  readonly group: number;
  readonly count: number;
  /** The first few. */
  readonly devices: readonly string[];
  readonly securityByDefault: boolean;
  /** `lost`: they no longer take what they are offered, in the end. `unknown`: nobody knows their lists. */
  readonly outcome: 'kept' | 'lost' | 'unknown';
  /** The step after which they no longer work. */
  readonly step?: string | undefined;
  readonly rule?: Rule | undefined;
  readonly reason?: string | undefined;
  /** What must be deleted at each lost phone so that it works again; not there where no deletion helps. */
  readonly deletion?: 'ctl' | 'itl' | 'both' | undefined;
}

/** The state of a cluster at one end of a plan. */
export interface PlanEnd {
  readonly mode: 'no-ctl' | 'token' | 'tokenless' | 'non-secure';
  readonly release: string;
  /** As the cluster file says it. */
  readonly securityMode?: SecurityMode | undefined;
  /** SHA-1 of the CTL file, lower-case hex; at the end of the plan nobody knows it yet. */
  readonly ctl?: string | undefined;
  /** SHA-1 of each TFTP node's ITL. */
  readonly itls?: Readonly<Record<string, string>> | undefined;
  /** SHA-1 of each certificate of the cluster file, by `<node> <name>`. */
  readonly certificates?: Readonly<Record<string, string>> | undefined;
}

/** An ordered way from a present state to a wanted one, and what the phones make of it. */
export interface Plan {
  readonly version: 1;
  /** ISO 8601, UTC. */
  readonly created: string;
  readonly from: PlanEnd;
  readonly to: PlanEnd & { readonly wanted: WantedMode | 'certificates' | 'release' | 'cluster' };
  readonly findings: readonly Finding[];
  readonly steps: readonly Step[];
  readonly phones: {
    readonly total: number;
    readonly kept: number;
    readonly lost: number;
    readonly unknown: number;
    readonly groups: readonly GroupVerdict[];
  };
}
