import type { Lab } from './lab.js';
import type { Stage, Story } from './story.js';
import type { TftpAddress } from '../tftp/index.js';

/** More than one cluster: the empty ITL, central TFTP, moves. */
export const moveStories: readonly Story[] = [
  {
    name: 'empty-itl',
    summary: 'the empty ITL without a CTL: the phone takes any list of any cluster (P6)',
    tell: async (stage: Stage): Promise<void> => {
      const lab = await stage.startLab();
      const phone = await stage.addPhone(lab, 'phone');
      await stage.boot('the cluster is non-secure');
      await lab.emptyItls();
      await stage.boot('prepare cluster for rollback: the ITL is empty');
      await stage.movePhone(phone, await stage.startLab());
      await stage.boot('the phone is at another cluster');
    },
  },
  {
    name: 'empty-itl-with-ctl',
    summary: 'the empty ITL beside a CTL: the CTL still decides, and TVS cannot be reached (P6, P9)',
    tell: async (stage: Stage): Promise<void> => {
      const lab = await stage.startLab();
      await lab.toMixedMode();
      const phone = await stage.addPhone(lab, 'phone');
      await stage.boot('the cluster is mixed, without tokens');
      await lab.emptyItls();
      await stage.boot('prepare cluster for rollback: the ITL is empty, the CTL is not');
      await stage.movePhone(phone, await stage.startLab());
      await stage.boot('the phone is at another cluster');
    },
  },
  {
    name: 'moved',
    summary: 'a phone moved between clusters (A10): rejected until the old cluster vouches for the new signer',
    tell: async (stage: Stage): Promise<void> => {
      const old = await stage.startLab();
      const phone = await stage.addPhone(old, 'phone');
      await stage.boot('the phone is at its old cluster');
      const other = await stage.startLab();
      await stage.movePhone(phone, other);
      await stage.boot('the phone is at the new cluster');
      const signer = other.certificates.identity('cucm-pub', 'CallManager').certificate;
      await old.upload('Phone-SAST-trust', [signer]);
      await stage.boot("the new cluster's CallManager was uploaded to the old one, whose TVS still runs");
    },
  },
  {
    name: 'central-tftp',
    summary: 'central TFTP without per-device lists (A13): phones of the other cluster get the wrong ITL',
    tell: async (stage: Stage): Promise<void> => {
      const { other, address } = await startCentral(stage);
      await stage.addPhone(other, 'phone');
      await stage.boot(
        'the phone asks the central server, which finds its configuration at the other cluster',
        address,
      );
    },
  },
  {
    name: 'central-tftp-per-device',
    summary: 'central TFTP with per-device lists (A13): phones get the lists of their own cluster',
    tell: async (stage: Stage): Promise<void> => {
      const { other, address } = await startCentral(stage);
      await stage.addPhone(other, 'phone');
      await other.publishPerDevice();
      await stage.boot(
        'the phone asks the central server, which finds list and configuration at the other cluster',
        address,
      );
    },
  },
];

/** A central cluster, and another one whose files its TFTP server passes on. */
async function startCentral(stage: Stage): Promise<{ readonly other: Lab; readonly address: TftpAddress }> {
  const central = await stage.startLab();
  const other = await stage.startLab();
  const behind = other.node('cucm-pub').tftp;
  const front = central.node('cucm-pub');
  await front.startTftp(behind === undefined ? [] : [behind]);
  if (front.tftp === undefined) throw new Error('the central TFTP server does not run');
  return { other, address: front.tftp };
}
