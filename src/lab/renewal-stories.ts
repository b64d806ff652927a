import type { Stage, Story } from './story.js';

/** Renewed certificates, TVS that is down, and what is left when trust is lost. */
export const renewalStories: readonly Story[] = [
  {
    name: 'callmanager-renewed',
    summary: 'CallManager renewed in tokenless mode (A6): TVS vouches for the new signer of the ITL, then of the CTL',
    tell: async (stage: Stage): Promise<void> => {
      const lab = await stage.startLab();
      await lab.toMixedMode();
      await stage.addPhone(lab, 'phone');
      const old = await stage.addPhone(lab, 'old phone', { securityByDefault: false });
      await stage.boot('the cluster is mixed, without tokens');
      await lab.renew('cucm-pub', 'CallManager');
      await stage.boot('CallManager was renewed; the CTL is still the old one');
      await lab.updateCtl();
      await stage.boot('utils ctl update CTLFile');
      old.deleteTrustList('ctl');
      await stage.boot('the CTL of the old phone was deleted by hand');
    },
  },
  {
    name: 'both-renewed-one-node',
    summary: 'CallManager and TVS renewed together on one node (A1): every phone is stuck until its ITL is deleted',
    tell: async (stage: Stage): Promise<void> => {
      const lab = await stage.startLab();
      const phone = await stage.addPhone(lab, 'phone');
      await stage.boot('the cluster is non-secure');
      await lab.renew('cucm-pub', 'CallManager');
      await lab.renew('cucm-pub', 'TVS');
      await stage.boot('CallManager and TVS were renewed together');
      phone.deleteTrustList('itl');
      await stage.boot('the ITL was deleted by hand');
    },
  },
  {
    name: 'both-renewed-two-nodes',
    summary: 'CallManager and TVS renewed together on one of two nodes (A1): the other TVS server vouches',
    tell: async (stage: Stage): Promise<void> => {
      const lab = await stage.startLab(2);
      await stage.addPhone(lab, 'phone');
      await stage.boot('the cluster is non-secure');
      await lab.renew('cucm-pub', 'CallManager');
      await lab.renew('cucm-pub', 'TVS');
      await stage.boot('CallManager and TVS of the publisher were renewed together');
    },
  },
  {
    name: 'tvs-down',
    summary: 'all TVS down and CallManager renewed, without a token: phones reject everything until TVS is back',
    tell: async (stage: Stage): Promise<void> => {
      const lab = await stage.startLab();
      await stage.addPhone(lab, 'phone');
      await stage.boot('the cluster is non-secure');
      await lab.renew('cucm-pub', 'CallManager');
      await lab.stopTvs('cucm-pub');
      await stage.boot('CallManager was renewed, and TVS is down');
      await lab.startTvs('cucm-pub');
      await stage.boot('TVS is back');
    },
  },
  {
    name: 'tvs-down-with-token',
    summary: 'all TVS down and CallManager renewed, with a token-signed CTL: the token carries the phones over',
    tell: async (stage: Stage): Promise<void> => {
      const lab = await stage.startLab();
      const tokens = [await stage.makeToken('0054f509'), await stage.makeToken('008580ef')] as const;
      await lab.toMixedMode(tokens);
      await stage.addPhone(lab, 'phone');
      await stage.boot('the CTL is signed by a token');
      await lab.renew('cucm-pub', 'CallManager');
      await lab.stopTvs('cucm-pub');
      await stage.boot('CallManager was renewed, and TVS is down');
      await lab.updateCtl(tokens[0]);
      await stage.boot('the CTL was updated with the token');
    },
  },
  {
    name: 'itl-deleted',
    summary: 'an ITL deleted by hand: the phone takes the next one, by its CTL (P4) or, without one, blindly (P3)',
    tell: async (stage: Stage): Promise<void> => {
      const lab = await stage.startLab();
      await lab.toMixedMode();
      const phone = await stage.addPhone(lab, 'phone');
      await stage.boot('the cluster is mixed, without tokens');
      phone.deleteTrustList('itl');
      await stage.boot('the ITL was deleted by hand');
      phone.deleteTrustList('both');
      await stage.boot('both lists were deleted by hand');
    },
  },
];
