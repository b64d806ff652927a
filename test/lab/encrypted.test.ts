import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHash } from 'node:crypto';
import { afterAll, expect, test } from 'vitest';
import { encryptedStories } from '../../src/lab/encrypted-stories.js';
import { Lab, parseTvsServers, socketTransport, tellStory, type LabPhone } from '../../src/lab/index.js';
import type { Boot, Decision } from '../../src/phone/index.js';
import {
  decodeEncryptedFile,
  decodeSignedFile,
  encryptFile,
  parseXml,
  verifySignedFile,
} from '../../src/signed-file/index.js';
import { cutSignature, signAgain } from '../trust-list/pieces.js';

const folder = mkdtempSync(join(tmpdir(), 'etb-encrypted-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const now = new Date('2026-01-01T00:00:00Z');
const lab = await Lab.start({ directory: join(folder, 'lab'), keyBits: 1024, clock: () => now });
afterAll(() => lab.close());
const profile = { model: 'CP-8861', securityByDefault: true, encryptedConfiguration: true };

async function boot(phone: LabPhone): Promise<Boot> {
  const transport = socketTransport(lab.node('cucm-pub').tftp!);
  try {
    return await phone.boot(transport);
  } finally {
    await transport.close();
  }
}

const served = (name: string): Uint8Array => new Uint8Array(readFileSync(join(lab.node('cucm-pub').folder, name)));

test('a phone with an encrypted configuration boots from it, and its companion is served beside it', async () => {
  const phone = await lab.addPhone({ ...profile, mac: '00005E005301' });
  const { registered } = await boot(phone);
  expect(registered).toBe(true);
  expect(phone.state.tvsServers).toHaveLength(1);

  const encrypted = decodeEncryptedFile(served('SEP00005E005301.cnf.xml.enc.sgn'));
  const companion = decodeSignedFile(served('SEP00005E005301.cnf.xml.sgn'));
  const signer = lab.certificates.identity('cucm-pub', 'CallManager').certificate;
  expect([verifySignedFile(encrypted, signer), verifySignedFile(companion, signer)]).toEqual([true, true]);
  // Nothing that anybody could read is served: the plain configuration is not there.
  expect(() => served('SEP00005E005301.cnf.xml')).toThrow('ENOENT');
  expect(parseTvsServers(companion.content)).toEqual([]);
  const hash = createHash('md5').update(phone.certificate!.der).digest('hex');
  expect(parseXml(companion.content).children.map(({ name, text }) => [name, text])).toEqual([
    ['fullConfig', 'false'],
    ['ipAddressMode', '0'],
    ['capfAuthMode', '0'],
    ['certHash', hash],
    ['encrConfig', 'true'],
  ]);
});

test('a phone with its key takes an encrypted file that it is offered, and one with a wrong digest it rejects', async () => {
  const phone = await lab.addPhone({ ...profile, mac: '00005E005302' });
  await boot(phone);
  const name = `${phone.deviceName}.cnf.xml`;
  const content = new TextEncoder().encode('<device/>');
  const { certificate, key } = lab.certificates.identity('cucm-pub', 'CallManager');
  const options = { name, timestamp: 1_800_000_000 };
  const signer = lab.certificates.signer('cucm-pub', 'CallManager');
  const file = await encryptFile(content, options, phone.certificate!, signer);
  const offer = (bytes: Uint8Array): Promise<Decision> =>
    phone.offerConfiguration(`${name}.enc.sgn`, bytes, { ask: () => Promise.reject(new Error('nothing is asked')) });
  expect(await offer(file)).toMatchObject({ accepted: true, rule: 'P12' });
  expect(phone.state.tvsServers).toEqual([]);

  const { encryption } = decodeEncryptedFile(file);
  const changed = file.slice();
  changed[Buffer.from(file).indexOf(encryption.contentDigest)]! ^= 1;
  const signedAgain = signAgain(changed, cutSignature(changed), key);
  expect(verifySignedFile(decodeEncryptedFile(signedAgain), certificate)).toBe(true);
  expect(await offer(signedAgain)).toMatchObject({
    accepted: false,
    rule: 'P12',
    reason: expect.stringContaining('its digest is another') as string,
  });
});

test('why a phone rejects what it rejects', async () => {
  const reasons: string[] = [];
  for (const story of encryptedStories) {
    const scenes = await tellStory(story, { directory: join(folder, story.name), start: now, keyBits: 1024 });
    for (const { phones } of scenes) {
      for (const { boot: booted } of phones) {
        const refused = booted.decisions.filter(({ file, decision }) => file.includes('.cnf.') && !decision.accepted);
        reasons.push(...refused.map(({ decision }) => decision.reason));
      }
    }
  }
  expect(reasons).toEqual([
    expect.stringMatching(/its key verifies the signature; but it does not decrypt: the content key was not encrypted/),
    expect.stringMatching(/^the signer .*SAST-ADN0054f509.* is /),
    expect.stringMatching(/the signature was not made with its key over these bytes$/),
    expect.stringMatching(/SEP00005E005301.cnf.xml.enc.sgn was asked for, and the FILENAME is SEP00005E005302/),
    expect.stringMatching(/its key verifies the signature; but it does not decrypt: the content key was not encrypted/),
  ]);
});
