import { isAtLeast, type Release } from './release.js';

/**
 * Which certificate of the publisher signs what a cluster signs itself, its tokenless CTL: CallManager before 12.0,
 * ITLRecovery from 12.0. ITLs are signed by the node's own CallManager before 12.0, and by ITLRecovery too from then on
 * (phone-rules.md, A6).
 */
export function listSignerName(release: Release): 'CallManager' | 'ITLRecovery' {
  return isAtLeast(release, '12.0') ? 'ITLRecovery' : 'CallManager';
}
