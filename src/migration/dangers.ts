import { certificateDangers } from './certificate-dangers.js';
import { listDangers } from './list-dangers.js';
import type { Finding } from './plan.js';
import { phoneDangers } from './phone-dangers.js';
import type { Situation, Wanted } from './situation.js';

/** One of the checks: nothing where it does not apply. */
export type Danger = (situation: Situation, wanted: Wanted) => Omit<Finding, 'check'> | undefined;

/** The checks that a planner can make, by their numbers in phone-rules.md. */
const dangers: readonly (readonly [Finding['check'], Danger])[] = [
  ['A1', certificateDangers.togetherOnOneNode],
  ['A2', listDangers.tokenNotInList],
  ['A3', listDangers.tokenlessToTokens],
  ['A4', listDangers.tokensToTokenless],
  ['A5', listDangers.tooFewTokens],
  ['A6', certificateDangers.signerOfCtlRenewed],
  ['A7', certificateDangers.bothSignersRenewed],
  ['A8', listDangers.tokenlessBelow10],
  ['A9', listDangers.notVerified],
  ['A10', phoneDangers.movedBetweenClusters],
  ['A11', certificateDangers.withinFiveMinutes],
  ['A12', phoneDangers.itlMustBeDeleted],
  ['A13', phoneDangers.centralTftp],
  ['A14', listDangers.tokensEnded],
];

/** Which of the checks A1 to A14 a migration has to do with (phone-rules.md). */
export function findDangers(situation: Situation, wanted: Wanted): readonly Finding[] {
  return dangers.flatMap(([check, danger]) => {
    const found = danger(situation, wanted);
    return found === undefined ? [] : [{ check, ...found }];
  });
}
