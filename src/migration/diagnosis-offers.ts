import { equalBytes } from '../bytes/index.js';
import {
  acceptsTvsServer,
  decide,
  offerSignedFile,
  offerTrustList,
  type Deciding,
  type Decision,
  type PhoneState,
  type TvsQuestion,
  type TvsReply,
} from '../phone/index.js';
import { recordFunction, signingRecords } from '../trust-list/index.js';
import type { DiagnosisList } from './diagnosis.js';
import { isCtlDoubtful, reckonPhone, type DiagnosisCase } from './diagnosis-case.js';

/**
 * What TVS says: nothing, for no server answers; what the servers that were asked said; or that it vouches for whatever
 * signed, as it might when nobody asked it.
 */
export type TvsAssumption = 'silent' | 'asked' | 'vouching';

/** What the phone makes of what the server has for it, in the order of its boot. */
export interface Offers {
  /** Lists that nobody told, and that were taken for none. */
  readonly assumed: readonly DiagnosisList[];
  readonly ctl: Decision | undefined;
  readonly itl: Decision | undefined;
  readonly configuration: Decision | undefined;
}

/**
 * Offers the phone what the server has; `undefined` when it is not known what the phone holds.
 *
 * @param change what happens to the phone before, e.g. a deletion.
 */
export function offerAll(
  opened: DiagnosisCase,
  assumption: TvsAssumption,
  change: (phone: PhoneState) => PhoneState = (phone) => phone,
): Offers | undefined {
  const reckoning = reckonPhone(opened);
  if (reckoning === undefined) return undefined;
  const { served, evidence, securityByDefault } = opened;
  // Without a TVS server in its configuration a phone would ask nobody.
  const servers = assumption === 'asked' ? reckoning.phone.tvsServers : ['TVS'];
  let phone = change(securityByDefault ? { ...reckoning.phone, tvsServers: servers } : reckoning.phone);
  const run = <Result extends { readonly state: PhoneState; readonly decision: Decision }>(
    steps: Deciding<Result>,
  ): Decision => {
    const before = phone;
    const { decision, state } = decide(steps, (question) => answer(opened, before, question, assumption));
    phone = state;
    return decision;
  };
  const list = (kind: DiagnosisList): Decision | undefined => {
    const file = served[kind];
    if (file === undefined || (kind === 'itl' && !securityByDefault)) return undefined;
    return run(offerTrustList(phone, kind, file.list ?? file.bytes, evidence.now));
  };
  const { configuration } = evidence;
  const ctl = list('ctl');
  const itl = list('itl');
  const signed =
    configuration === undefined ? undefined : run(offerSignedFile(phone, configuration, undefined, evidence.now));
  return { assumed: reckoning.assumed, ctl, itl, configuration: signed };
}

/**
 * Whether a decision stands whatever a list is that nobody told. An ITL may always be there, a CTL where there is reason
 * to think so. What was found in a list that is at hand stays found there; what was not may be found in the other.
 */
export function isCertain(opened: DiagnosisCase, { assumed }: Offers, decision: Decision): boolean {
  if (!assumed.some((kind) => kind === 'itl' || isCtlDoubtful(opened))) return true;
  return decision.accepted ? decision.rule !== 'P3' && decision.rule !== 'P6' : decision.rule === 'P7';
}

function answer(opened: DiagnosisCase, phone: PhoneState, question: TvsQuestion, assumption: TvsAssumption): TvsReply {
  if (assumption === 'silent') return { status: 'unreachable', reason: 'none was asked' };
  if (question.kind === 'verify') return { status: 'unreachable', reason: 'not asked' };
  return assumption === 'vouching' ? vouch(opened, question) : answerAsAsked(opened, phone, question);
}

/** What the server with this name said when it was asked. */
function answerAsAsked(
  { tvs }: DiagnosisCase,
  phone: PhoneState,
  question: Extract<TvsQuestion, { kind: 'query' }>,
): TvsReply {
  const server = tvs.find((one) => one.server === question.server);
  if (server === undefined) return { status: 'unreachable', reason: 'not asked' };
  if (server.kind === 'unreachable') return { status: 'unreachable', reason: server.reason };
  const accepted = acceptsTvsServer(phone, server.certificate);
  if (!accepted.accepted) return { status: 'unreachable', reason: accepted.reason };
  const found = server.replies.find(
    ({ issuerName, serialNumber }) =>
      issuerName === question.issuerName && equalBytes(serialNumber, question.serialNumber),
  );
  return found?.reply ?? { status: 'unreachable', reason: 'not asked about this signer' };
}

/** A server that knows every signer of the files at hand. */
function vouch(opened: DiagnosisCase, question: Extract<TvsQuestion, { kind: 'query' }>): TvsReply {
  const { ccmTftp, sast, tftp } = recordFunction;
  const lists = [opened.served.ctl?.list, opened.served.itl?.list].filter((list) => list !== undefined);
  const records = lists.flatMap((list) => [...signingRecords(list), ...list.records]);
  const record = records.find(
    ({ issuerName, serialNumber, certificate }) =>
      certificate !== undefined &&
      issuerName === question.issuerName &&
      serialNumber !== undefined &&
      equalBytes(serialNumber, question.serialNumber),
  );
  if (record?.certificate === undefined) return { status: 'not-trusted' };
  return { status: 'success', certificate: record.certificate, roles: [sast, ccmTftp, tftp], timeToLive: 86_400 };
}
