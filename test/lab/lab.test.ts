import { createSocket } from 'node:dgram';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  createLabToken,
  formatConfiguration,
  Lab,
  parseTvsServers,
  SharedTransport,
  socketTransport,
  type LabPhone,
} from '../../src/lab/index.js';
import type { TftpAddress } from '../../src/tftp/index.js';
import { verifyTrustList } from '../../src/trust-list/index.js';

const folder = mkdtempSync(join(tmpdir(), 'etb-lab-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const profile = { mac: '00005E005301', model: 'CP-8861', securityByDefault: true, encryptedConfiguration: false };
let lab: Lab;
let count = 0;
const lines: string[] = [];

beforeEach(async () => {
  count += 1;
  lab = await Lab.start({
    directory: join(folder, String(count)),
    keyBits: 1024,
    clock: () => new Date('2026-01-01T00:00:00Z'),
    log: (line) => lines.push(line),
  });
});
afterEach(() => lab.close());

const tftp = (): TftpAddress => lab.node('cucm-pub').tftp!;

async function boot(phone: LabPhone): Promise<boolean> {
  const transport = socketTransport(tftp());
  try {
    return (await phone.boot(transport)).registered;
  } finally {
    await transport.close();
  }
}

describe('the servers of a lab', () => {
  test('listen on ports of their own, and say so', () => {
    const { tvs } = lab.node('cucm-pub');
    expect(tftp().port).toBeGreaterThan(0);
    expect(lines).toContain(`cucm-pub: TFTP on 127.0.0.1:${String(tftp().port)}`);
    expect(lines).toContain(`cucm-pub: TVS on 127.0.0.1:${String(tvs!.port)}`);
  });

  test('TVS that was stopped comes back on its port', async () => {
    const before = lab.node('cucm-pub').tvs;
    await lab.stopTvs('cucm-pub');
    expect(lab.node('cucm-pub').isTvsRunning).toBe(false);
    await lab.startTvs('cucm-pub');
    expect(lab.node('cucm-pub').tvs).toEqual(before);
  });

  test('a node that is not there is named, with those that are', () => {
    expect(() => lab.node('nobody')).toThrow('the lab has no node nobody');
  });
});

describe('the console log of a phone', () => {
  test('has the words of real ones', async () => {
    const phone = await lab.addPhone(profile);
    await boot(phone);
    await lab.renew('cucm-pub', 'CallManager');
    await boot(phone);
    const log = phone.log.join('\n');
    for (const words of [
      'GETXXTP [src=CTLSEP00005E005301.tlv]',
      'Searching TL from ITL file',
      'Attempting connect to TVS server addr [127.0.0.1:',
      'TVS process request - processing TVS Query Certificate request.',
      'Authentication Response received, status : 0',
      'TVS added cert to TVS cache - expires in 24 hours',
      'TL file verified successfully.',
      'TL file updated.',
      'Hashes match... authentication successful.',
    ]) {
      expect(log).toContain(words);
    }
    await lab.stopTvs('cucm-pub');
    await lab.renew('cucm-pub', 'CallManager');
    expect(await boot(phone)).toBe(false);
    expect(phone.log.join('\n')).toContain('Trust List update failed');
  });
});

test('a rejected list leaves the phone as it was, an accepted one is what it holds', async () => {
  const phone = await lab.addPhone(profile);
  await boot(phone);
  const before = phone.state;
  const stranger = await Lab.start({ directory: join(folder, 'stranger'), keyBits: 1024, clock: lab.clock });
  const transport = socketTransport(tftp());
  try {
    const foreign = stranger.itl('cucm-pub')!;
    expect((await phone.offer('itl', foreign.bytes, transport)).accepted).toBe(false);
    expect(phone.state).toBe(before);
    const own = lab.itl('cucm-pub')!;
    expect((await phone.offer('itl', own.bytes, transport)).accepted).toBe(true);
    expect(phone.state.itl!.bytes).toEqual(own.bytes);
  } finally {
    await transport.close();
    await stranger.close();
  }
});

test('a thousand phones share sockets, and each decides for itself', async () => {
  const phones = await lab.addPhones(
    Array.from({ length: 1000 }, (_, index) => ({
      ...profile,
      mac: (0x5e_00_60_00 + index).toString(16).padStart(12, '0').toUpperCase(),
      securityByDefault: index % 10 !== 0,
    })),
  );
  const shared = new SharedTransport(tftp());
  try {
    const boots = await Promise.all(phones.map((phone) => phone.boot(shared)));
    expect(boots.filter(({ registered }) => registered)).toHaveLength(1000);
    await lab.renew('cucm-pub', 'CallManager');
    shared.forget();
    const again = await Promise.all(phones.map((phone) => phone.boot(shared)));
    const rules = again.map(({ decisions }) => decisions.map(({ decision }) => decision.rule).join(' '));
    // Every phone with an ITL asked TVS; those without have no list, and take what they are given.
    expect(rules.filter((one) => one === 'P2 P5 P12')).toHaveLength(900);
    expect(rules.filter((one) => one === 'P2 P12 P1')).toHaveLength(100);
    expect(again.every(({ registered }) => registered)).toBe(true);
  } finally {
    await shared.close();
  }
}, 60_000);

describe('phones that share sockets', () => {
  test('judge the certificate of TVS each by its own lists, whoever asked first', async () => {
    const [one, two] = await lab.addPhones([profile, { ...profile, mac: '00005E005302' }]);
    const stranger = await Lab.start({ directory: join(folder, 'other-tvs'), keyBits: 1024, clock: lab.clock });
    const shared = new SharedTransport(tftp());
    try {
      // The one holds an ITL that names another TVS certificate; both have the TVS server of this lab.
      await one!.boot(shared);
      await two!.boot(shared);
      one!.deleteTrustList('itl');
      await one!.offer('itl', stranger.itl('cucm-pub')!.bytes, shared);
      await lab.renew('cucm-pub', 'CallManager');
      const list = lab.itl('cucm-pub')!.bytes;
      const [first, second] = await Promise.all([one!.offer('itl', list, shared), two!.offer('itl', list, shared)]);
      expect([first.accepted, second.accepted]).toEqual([false, true]);
    } finally {
      await shared.close();
      await stranger.close();
    }
  });

  test('find TVS again when it was restarted', async () => {
    const phone = await lab.addPhone(profile);
    const shared = new SharedTransport(tftp());
    try {
      await phone.boot(shared);
      for (let round = 0; round < 2; round += 1) {
        await lab.renew('cucm-pub', 'CallManager');
        expect((await phone.offer('itl', lab.itl('cucm-pub')!.bytes, shared)).accepted).toBe(true);
        await lab.stopTvs('cucm-pub');
        await lab.startTvs('cucm-pub');
      }
    } finally {
      await shared.close();
    }
  });
});

test('a file that the server cannot give does not end a boot', async () => {
  const phone = await lab.addPhone(profile);
  // A fallback that is not there: the server cannot say that the file does not exist.
  const gone = createSocket('udp4');
  await new Promise<void>((resolve) => gone.bind(0, '127.0.0.1', resolve));
  const { port } = gone.address();
  await new Promise<void>((resolve) => gone.close(() => resolve()));
  await lab.node('cucm-pub').startTftp([{ host: '127.0.0.1', port }]);
  expect(await boot(phone)).toBe(true);
  expect(phone.log.join('\n')).toContain('[src=CTLSEP00005E005301.tlv]');
}, 60_000);

test('a token of the lab looks like one of the vendor, and its lists verify', async () => {
  const token = await createLabToken('0054f509', new Date('2026-01-01T00:00:00Z'));
  const list = await lab.toMixedMode([token]);
  expect(verifyTrustList(list)).toMatchObject({ verified: true });
  expect(list.records[0]!.subjectName).toBe('cn="SAST-ADN0054f509        ";ou=IPCBU;o="Cisco Systems');
});

test('a configuration names its TVS servers, three at most', () => {
  const servers = [1, 2, 3, 4].map((port) => ({ host: '127.0.0.1', port }));
  const content = formatConfiguration('SEP00005E005301', servers, false);
  expect(parseTvsServers(content)).toEqual(['127.0.0.1:1', '127.0.0.1:2', '127.0.0.1:3']);
  expect(parseTvsServers(new TextEncoder().encode('<device/>'))).toEqual([]);
  const bare = '<tvs><members><member priority="0"><address>cucm</address></member></members></tvs>';
  expect(parseTvsServers(new TextEncoder().encode(bare))).toEqual(['cucm:2445']);
  const sixth = formatConfiguration('SEP00005E005301', [{ host: '::1', port: 1 }], false);
  expect(parseTvsServers(sixth)).toEqual(['[::1]:1']);
});
