import type { Stage, Story } from './story.js';

/** First boots, and the ways between non-secure, tokenless and tokens. */
export const migrationStories: readonly Story[] = [
  {
    name: 'first-boot',
    summary: 'a phone with nothing takes the first ITL blindly (P3), and its configuration by it (P12)',
    tell: async (stage: Stage): Promise<void> => {
      const lab = await stage.startLab();
      await stage.addPhone(lab, 'phone');
      await stage.addPhone(lab, 'old phone', { securityByDefault: false });
      await stage.boot('the cluster is non-secure; the phones hold nothing');
    },
  },
  {
    name: 'to-tokenless',
    summary: 'non-secure to mixed without tokens: phones know the signer from their ITL (P5)',
    tell: async (stage: Stage): Promise<void> => {
      const lab = await stage.startLab();
      await stage.addPhone(lab, 'phone');
      await stage.addPhone(lab, 'old phone', { securityByDefault: false });
      await stage.boot('the cluster is non-secure');
      await lab.toMixedMode();
      await stage.boot('utils ctl set-cluster mixed-mode');
    },
  },
  {
    name: 'tokens-to-tokenless',
    summary: 'tokens to tokenless (A4): the signer is function 0 in the ITL; a phone without ITL is lost',
    tell: async (stage: Stage): Promise<void> => {
      const lab = await stage.startLab();
      const tokens = [await stage.makeToken('0054f509'), await stage.makeToken('008580ef')];
      await lab.toMixedMode(tokens);
      await stage.addPhone(lab, 'phone');
      const old = await stage.addPhone(lab, 'old phone', { securityByDefault: false });
      await stage.boot('the CTL is signed by a token');
      await lab.toTokenless();
      await stage.boot('utils ctl set-cluster mixed-mode: the CallManager key signs');
      old.deleteTrustList('ctl');
      await stage.boot('the CTL of the old phone was deleted by hand');
    },
  },
  {
    name: 'tokenless-to-tokens',
    summary: 'tokenless to tokens without Phone-SAST-trust (A3): nobody vouches for the token until it is uploaded',
    tell: async (stage: Stage): Promise<void> => {
      const lab = await stage.startLab();
      await lab.toMixedMode();
      const phone = await stage.addPhone(lab, 'phone');
      const old = await stage.addPhone(lab, 'old phone', { securityByDefault: false });
      await stage.boot('the CTL is signed by the CallManager key');
      const tokens = [await stage.makeToken('0054f509'), await stage.makeToken('008580ef')];
      // Offered under the phones' own names: the CTL file that TVS reads is still the old one.
      const before = lab.ctl;
      const list = await lab.toToken(tokens, ['A3']);
      if (before !== undefined) await lab.replaceFile('CTLFile.tlv', before.bytes);
      for (const { deviceName } of [phone, old]) await lab.replaceFile(`CTL${deviceName}.tlv`, list.bytes);
      await stage.boot('the phones are offered a CTL signed by a token that TVS does not know');
      await lab.upload(
        'Phone-SAST-trust',
        tokens.map(({ certificate }) => certificate),
      );
      await stage.boot('both tokens were uploaded to Phone-SAST-trust');
      old.deleteTrustList('ctl');
      await stage.boot('the CTL of the old phone was deleted by hand');
    },
  },
  {
    name: 'tokenless-to-tokens-by-ctl',
    summary: 'tokenless to tokens: TVS also vouches for a token of the CTL that its own server holds',
    tell: async (stage: Stage): Promise<void> => {
      const lab = await stage.startLab();
      await lab.toMixedMode();
      await stage.addPhone(lab, 'phone');
      await stage.boot('the CTL is signed by the CallManager key');
      await lab.toToken([await stage.makeToken('0054f509'), await stage.makeToken('008580ef')], ['A3']);
      await stage.boot('the server has a CTL signed by a token, which is not in Phone-SAST-trust');
    },
  },
  {
    name: 'to-non-secure',
    summary: 'mixed to non-secure: the emptied CTL is taken, and taking the file away does not take the CTL (P2)',
    tell: async (stage: Stage): Promise<void> => {
      const lab = await stage.startLab();
      await lab.toMixedMode();
      await stage.addPhone(lab, 'phone');
      await stage.addPhone(lab, 'old phone', { securityByDefault: false });
      await stage.boot('the cluster is mixed');
      await lab.toNonSecure();
      await stage.boot('utils ctl set-cluster non-secure-mode: the servers of the CTL are emptied');
      await lab.removeFile('CTLFile.tlv');
      await stage.boot('the CTL file was deleted from the TFTP server');
    },
  },
];
