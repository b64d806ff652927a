import type { Outcome } from './decision.js';
import type { PhoneState } from './state.js';
import { p6Applies } from './trust-list-rules.js';

/** One thing a phone asks its TFTP server for: the names to try, in order, until one is there. */
export interface BootFile {
  readonly kind: 'ctl' | 'itl' | 'signed-configuration' | 'unsigned-configuration';
  readonly names: readonly string[];
}

/**
 * What a phone asks for when it boots, in order (rule P1). A device without Security by Default asks for no ITL (rule
 * P11). Whether the unsigned configuration is among them depends on the lists it holds: ask again once the lists came.
 */
export function bootFiles(state: PhoneState): readonly BootFile[] {
  const { mac, securityByDefault, encryptedConfiguration } = state.profile;
  const configuration = `SEP${mac}.cnf.xml`;
  const signed = `${configuration}${encryptedConfiguration ? '.enc.sgn' : '.sgn'}`;
  return [
    { kind: 'ctl', names: [`CTLSEP${mac}.tlv`, 'CTLFile.tlv'] },
    ...(securityByDefault ? [{ kind: 'itl', names: [`ITLSEP${mac}.tlv`, 'ITLFile.tlv'] } as const] : []),
    { kind: 'signed-configuration', names: [signed] },
    ...(p1AsksUnsigned(state) ? [{ kind: 'unsigned-configuration', names: [configuration] } as const] : []),
  ];
}

/** Whether a phone asks for its unsigned configuration: it holds neither list, or P6 applies (rule P1). */
export function p1AsksUnsigned(state: PhoneState): boolean {
  return (state.ctl === undefined && state.itl === undefined) || p6Applies(state);
}

/** Offers the unsigned configuration (rules P1 and P6). It changes no list: the state is the one that was given. */
export function offerUnsignedConfiguration(state: PhoneState): Outcome {
  if (p6Applies(state)) {
    const reason = 'its ITL is empty and it has no CTL, so it accepts any configuration';
    return { decision: { accepted: true, rule: 'P6', reason, used: { kind: 'any' } }, state };
  }
  const accepted = p1AsksUnsigned(state);
  const reason = accepted
    ? 'it holds no list, so it takes its configuration unsigned'
    : 'it holds a list, so it takes its configuration only signed';
  return { decision: { accepted, rule: 'P1', reason, used: undefined }, state };
}

/**
 * A list was offered by no server (rule P2). Nothing was accepted and nothing changes: a cluster that was set to
 * non-secure does not take a phone's CTL away.
 */
export function missingTrustList(state: PhoneState, kind: 'ctl' | 'itl'): Outcome {
  const name = kind.toUpperCase();
  const left = state[kind] === undefined ? `holds no ${name} before and after` : `keeps the ${name} that it has`;
  const reason = `no ${name} file is there, so the phone ${left}`;
  return { decision: { accepted: false, rule: 'P2', reason, used: undefined }, state };
}
