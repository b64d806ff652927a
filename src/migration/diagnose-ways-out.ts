import { listSignerName } from '../cluster/index.js';
import { ctlMode } from '../ctl/index.js';
import { deleteTrustList } from '../phone/index.js';
import { recordFunction, signingRecords, type TrustListRecord } from '../trust-list/index.js';
import { bothLists, filledRecords, heldList, holdSame, type DiagnosisCase } from './diagnosis-case.js';
import { isCertain, offerAll, type Offers, type TvsAssumption } from './diagnosis-offers.js';
import { heldRecords } from './diagnosis-relation.js';

/** What saves the phone from having its ITL deleted. */
export interface WayOut {
  readonly reason: string;
  readonly instead: readonly string[];
}

/** Keys that the phone trusts and the cluster still has: with one of them no phone needs to be touched. */
export function findWayOut(opened: DiagnosisCase): WayOut | undefined {
  const silent = takenItl(opened, 'silent');
  if (silent !== undefined) {
    return {
      reason: `the phone takes the server's ITL by the lists that it holds (${silent.rule})`,
      instead: ['reset the phone, and see that it asks the TFTP server that has this ITL'],
    };
  }
  const asked = opened.tvs.length === 0 ? undefined : takenItl(opened, 'asked');
  if (asked !== undefined) {
    return {
      reason: `the phone takes the server's ITL by what TVS says (${asked.rule})`,
      instead: ['reset the phone while TVS runs'],
    };
  }
  return recoveryKey(opened) ?? tokenOfCtl(opened);
}

/** That the phone takes the server's ITL, if it is sure that it does. */
function takenItl(opened: DiagnosisCase, assumption: TvsAssumption): Offers['itl'] {
  const offers = offerAll(opened, assumption);
  const itl = offers?.itl;
  return itl?.accepted === true && offers !== undefined && isCertain(opened, offers, itl) ? itl : undefined;
}

/** From 10.0 the lists hold the ITLRecovery certificate as a signer, and "utils itl reset" signs with its key. */
function recoveryKey(opened: DiagnosisCase): WayOut | undefined {
  const held = heldRecords(opened).filter((record) => record.function === recordFunction.sast && isRecovery(record));
  const present = opened.evidence.cluster?.nodes.map(({ certificates }) => certificates.ITLRecovery?.der) ?? [];
  const served = filledRecords(opened.served.itl?.list, recordFunction.sast).filter(isRecovery);
  const known = held.some(
    (record) =>
      served.some((other) => holdSame(record, other)) ||
      present.some((der) => der !== undefined && holdSame(record, { ...record, certificate: der })),
  );
  if (!known) return undefined;
  const list = bothLists.find((kind) => filledRecords(heldList(opened, kind)).some((one) => held.includes(one)));
  return {
    reason: `the phone's ${list === 'ctl' ? 'CTL' : 'ITL'} knows the ITLRecovery certificate as a signer, and the cluster still has it`,
    instead: [
      'run "utils itl reset localkey" on the publisher (the key is on it; a saved ITLRecovery.p12: "utils itl reset remotekey"): the ITL is then signed by ITLRecovery',
      'restart TVS and TFTP on every node that runs them, then reset the phones: they take it by P5, without TVS',
      'only if that fails for a phone, delete its ITL by hand',
    ],
  };
}

function isRecovery({ subjectName = '' }: TrustListRecord): boolean {
  return /(?:^|[;,]\s*)cn="?ITLRECOVERY/i.test(subjectName);
}

/**
 * A token that signed the phone's CTL carries it over to a new CTL, and that to the new ITL: before 12.0, while the key
 * that signs the ITL is the CallManager key, which a CTL of tokens holds. The ITLRecovery key it does not hold.
 */
function tokenOfCtl(opened: DiagnosisCase): WayOut | undefined {
  const { cluster } = opened.evidence;
  const ctl = heldList(opened, 'ctl');
  if (ctl === undefined || ctlMode(ctl) !== 'token' || !isSignedByTftp(opened)) return undefined;
  if (cluster !== undefined && listSignerName(cluster.release) === 'ITLRecovery') return undefined;
  return {
    reason: "the phone's CTL is signed by a token, which carries it over",
    instead: [
      'update the CTL with one of its tokens ("etoken-bridge ctl update" or the CTL client), so that it holds the new CallManager certificate; restart TFTP',
      'reset the phones: they take the CTL by the token, and the ITL by the CTL (P5)',
      'only if all tokens are lost, delete CTL and ITL by hand (A5)',
    ],
  };
}

/** Whether the server's ITL is signed by a certificate that serves files too: CallManager, not ITLRecovery. */
function isSignedByTftp({ served }: DiagnosisCase): boolean {
  const itl = served.itl?.list;
  if (itl === undefined) return false;
  const { ccmTftp, tftp } = recordFunction;
  const servers = [...filledRecords(itl, ccmTftp), ...filledRecords(itl, tftp)];
  return signingRecords(itl).some((signer) => servers.some((server) => holdSame(signer, server)));
}

/** Whether the phone takes the server's ITL once lists of it are deleted, and by which. */
export type HelpfulDeletion =
  | { readonly kind: 'itl' }
  /** Its CTL alone would keep it from taking the ITL. */
  | { readonly kind: 'both'; readonly reason: string }
  | { readonly kind: 'neither'; readonly reason: string };

/** What a deletion brings, as the phone boots after it; `undefined` when it is not known what the phone holds. */
export function findHelpfulDeletion(opened: DiagnosisCase): HelpfulDeletion | undefined {
  const rejections: string[] = [];
  for (const kind of ['itl', 'both'] as const) {
    const assumption = opened.tvs.length === 0 ? 'silent' : 'asked';
    const offers = offerAll(opened, assumption, (phone) => deleteTrustList(phone, kind));
    if (offers?.itl === undefined) return undefined;
    const [reason] = rejections;
    if (offers.itl.accepted) return reason === undefined ? { kind: 'itl' } : { kind: 'both', reason };
    rejections.push(`${offers.itl.rule}: ${offers.itl.reason}`);
  }
  return { kind: 'neither', reason: rejections.at(-1) ?? '' };
}
