import { parseRelease, publisherOf } from '../cluster/index.js';
import { createItl } from '../itl/index.js';
import type { TrustList } from '../trust-list/index.js';
import type { Lab } from './lab.js';
import type { Stage, Story } from './story.js';

/** Trust that was lost, and how the recovery key brings it back. */
export const recoveryStories: readonly Story[] = [
  {
    name: 'itl-reset',
    summary: 'both renewed on one node (A1), then "utils itl reset localkey": phones take what ITLRecovery signed',
    tell: async (stage: Stage): Promise<void> => {
      const lab = await stage.startLab();
      await stage.addPhone(lab, 'phone');
      const beforeRecovery = await itlBeforeRecovery(lab);
      await stage.boot('the cluster is non-secure');
      const old = await stage.addPhone(lab, 'phone from 9.1', {}, { itl: beforeRecovery });
      await lab.renew('cucm-pub', 'CallManager');
      await lab.renew('cucm-pub', 'TVS');
      await stage.boot('CallManager and TVS were renewed together; a phone was off since 9.1, before ITLRecovery');
      await lab.resetItls();
      await stage.boot('utils itl reset localkey');
      await lab.restartTftp();
      await stage.boot('Cisco Tftp was restarted, and signs with CallManager again');
      old.deleteTrustList('itl');
      await stage.boot('the ITL of the phone from 9.1 was deleted by hand');
    },
  },
  {
    name: 'itl-reset-12',
    summary: 'from 12.0 ITLRecovery signs: renewed with TVS, the other signer of the ITL carries the phones over',
    tell: async (stage: Stage): Promise<void> => {
      const lab = await stage.startLab(1, { release: '12.5.1' });
      await stage.addPhone(lab, 'phone');
      await stage.boot('the cluster is non-secure, release 12.5');
      await lab.renew('cucm-pub', 'CallManager');
      await lab.renew('cucm-pub', 'TVS');
      await stage.boot('CallManager and TVS were renewed together; ITLRecovery signs as before');
      await lab.renew('cucm-pub', 'ITLRecovery');
      await lab.renew('cucm-pub', 'TVS');
      await stage.boot('ITLRecovery and TVS were renewed together');
      await lab.resetItls('CallManager');
      await stage.boot('the ITL was reset, signed by CallManager');
      await lab.restartTftp();
      await stage.boot('Cisco Tftp was restarted, and signs with the new ITLRecovery');
    },
  },
];

/** The ITL of the cluster as it was before 10.0, when ITLRecovery came. */
function itlBeforeRecovery(lab: Lab): Promise<TrustList> {
  const cluster = { ...lab.cluster, release: parseRelease('9.1.2') };
  const publisher = publisherOf(cluster);
  const signer = lab.certificates.signer(publisher.name, 'CallManager');
  return createItl(cluster, publisher, signer, { timestamp: Math.floor(lab.clock().getTime() / 1000) });
}
