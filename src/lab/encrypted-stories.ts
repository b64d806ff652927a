import { concatBytes } from '../bytes/index.js';
import { decodeEncryptedFile, encryptFile } from '../signed-file/index.js';
import type { Signer } from '../signer/index.js';
import { formatConfiguration } from './configuration.js';
import type { Lab } from './lab.js';
import { issuePhoneCertificate } from './phone-certificate.js';
import type { LabPhone } from './phone.js';
import type { Stage, Story } from './story.js';

/** Encrypted configurations: for the right phone, for another, from the wrong signer, with another content. */
export const encryptedStories: readonly Story[] = [
  {
    name: 'encrypted-configuration',
    summary: 'encrypted configurations (P12): a phone reads its own, and none that is encrypted for another key',
    tell: async (stage: Stage): Promise<void> => {
      const { lab, phone } = await startEncrypted(stage);
      await stage.addPhone(lab, 'plain phone');
      await stage.boot('the phone has a certificate of CAPF, and its configuration is encrypted for it');
      await lab.renew('cucm-pub', 'CallManager');
      await stage.boot('CallManager was renewed, and signed and encrypted the configurations anew');
      phone.install(await issuePhoneCertificate(phone, lab.certificates, lab.clock()));
      await stage.boot('the phone has another certificate, of which the cluster knows nothing');
      await lab.issuePhoneCertificate(phone);
      await stage.boot('CAPF issued a certificate to the phone, and its configuration is encrypted for that');
    },
  },
  {
    name: 'encrypted-wrong-signer',
    summary: 'an encrypted configuration of a signer that no list and no TVS server knows is rejected (P12)',
    tell: async (stage: Stage): Promise<void> => {
      const { lab, phone } = await startEncrypted(stage);
      await stage.boot('the phone has a certificate of CAPF, and its configuration is encrypted for it');
      const stranger = await stage.makeToken('0054f509');
      await serve(lab, phone, await encryptedFor(lab, phone, stranger));
      await stage.boot('someone else encrypted a configuration for the phone and signed it');
      await lab.publish();
      await stage.boot("the cluster's own configuration is back");
    },
  },
  {
    name: 'encrypted-replaced-content',
    summary: 'an encrypted configuration whose content was replaced is rejected, also one of another phone (P12)',
    tell: async (stage: Stage): Promise<void> => {
      const { lab, phone } = await startEncrypted(stage);
      await stage.boot('the phone has a certificate of CAPF, and its configuration is encrypted for it');
      const signer = lab.certificates.signer('cucm-pub', 'CallManager');
      const [one, two] = [await encryptedFor(lab, phone, signer), await encryptedFor(lab, phone, signer)];
      const { header } = decodeEncryptedFile(one);
      await serve(lab, phone, concatBytes(one.subarray(0, header.length), decodeEncryptedFile(two).body));
      await stage.boot('the header of one file was put before the content of another');
      const other = await stage.addPhone(lab, 'other phone', { encryptedConfiguration: true });
      await serve(lab, phone, await encryptedFor(lab, other, signer));
      await stage.boot("the file of another phone was put under this phone's name");
      await serve(lab, phone, await encryptedFor(lab, other, signer, phone));
      await stage.boot('the cluster encrypted the configuration of this phone for another one');
      await lab.publish();
      await stage.boot("the phones' own configurations are back");
    },
  },
];

/** A mixed cluster with a phone whose configuration is encrypted. */
async function startEncrypted(stage: Stage): Promise<{ readonly lab: Lab; readonly phone: LabPhone }> {
  const lab = await stage.startLab();
  await lab.toMixedMode();
  return { lab, phone: await stage.addPhone(lab, 'phone', { encryptedConfiguration: true }) };
}

/** A configuration that only one phone can read. @param named the phone that it is made out to: the same unless given. */
async function encryptedFor(lab: Lab, phone: LabPhone, signer: Signer, named: LabPhone = phone): Promise<Uint8Array> {
  if (phone.certificate === undefined) throw new Error(`${phone.deviceName} has no certificate`);
  const content = formatConfiguration(named.deviceName, [], true);
  const timestamp = Math.floor(lab.clock().getTime() / 1000);
  return await encryptFile(content, { name: `${named.deviceName}.cnf.xml`, timestamp }, phone.certificate, signer);
}

/** Puts a file where the phone asks for its encrypted configuration. */
async function serve(lab: Lab, phone: LabPhone, file: Uint8Array): Promise<void> {
  await lab.replaceFile(`${phone.deviceName}.cnf.xml.enc.sgn`, file);
}
