import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectTcp, createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { concatBytes, equalBytes } from '../../src/bytes/index.js';
import {
  createTvsKnowledge,
  decodeTvsMessage,
  encodeTvsMessage,
  openTvsClient,
  startTvsServer,
  TvsMessageReader,
  type TvsClient,
  type TvsMessage,
  type TvsServer,
  type TvsServerRequest,
} from '../../src/tvs/index.js';
import { formatCertificatePem, issueCertificate } from '../../src/x509/index.js';
import { clusterNames, makeNode, makeToken, signCtlOf, tokenNames } from './identities.js';

const folder = mkdtempSync(join(tmpdir(), 'etoken-bridge-tvs-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const tvs = await makeNode('cucm-1051-a-pub', [0x51, 0x01], 2048);
const weakTvs = await makeNode('cucm-1051-a-pub', [0x51, 0x02]);
const callManager = await makeNode('cucm-1051-a-pub', [0x6b, 0x1d]);
const token = await makeToken('SAST-ADN008580ef', [0x31, 0xaf, 0x45, 0x55, 0, 0, 0, 0x08, 0xe9, 0x83]);
const second = await makeToken('SAST-ADN0054f509', [0x3c, 0xf9, 0xc2, 0x7c, 0, 0, 0, 0x1f, 0x1d, 0x6c]);
const trustStores = { CallManager: [callManager.certificate], 'Phone-SAST-trust': [second.certificate] };
const knowledge = createTvsKnowledge({ trustStores });
const device = 'CP-8861-SEPB000B4BA0AEE';

const open: { close(): unknown }[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()));
});

async function start(request: Partial<TvsServerRequest> = {}): Promise<TvsServer> {
  const server = await startTvsServer({ ...tvs, knowledge, port: 0, ...request });
  open.push(server);
  return server;
}

async function ask(
  { host, port }: TvsServer,
  more: Partial<Parameters<typeof openTvsClient>[0]> = {},
): Promise<TvsClient> {
  const acceptServer = (der: Uint8Array): boolean => equalBytes(der, tvs.certificate.der);
  const client = await openTvsClient({ host, port, device, acceptServer, ...more });
  open.push(client);
  return client;
}

/** A TLS connection without our client, and what comes of it. */
interface RawConnection {
  readonly socket: TLSSocket;
  readonly received: TvsMessage[];
  readonly closed: Promise<void>;
}

function connectRaw({ host, port }: TvsServer, localAddress?: string): Promise<RawConnection> {
  return new Promise((resolve, reject) => {
    const from = localAddress === undefined ? {} : { localAddress };
    const socket = connectTls({ host, port, rejectUnauthorized: false, ...from });
    open.push({ close: () => socket.destroy() });
    const received: TvsMessage[] = [];
    const reader = new TvsMessageReader();
    socket.on('data', (chunk: Buffer) => {
      reader.push(chunk);
      for (let next = reader.next(); next !== undefined; next = reader.next()) received.push(decodeTvsMessage(next));
    });
    socket.on('error', reject);
    const closed = new Promise<void>((done) => socket.on('close', () => done()));
    socket.on('secureConnect', () => resolve({ socket, received, closed }));
  });
}

const queryBytes = (sessionId: number): Uint8Array =>
  encodeTvsMessage({ kind: 'query-request', sessionId, device, ...clusterNames(callManager) });

/** Another client is answered, and quickly. */
async function expectAnswers(server: TvsServer, localAddress?: string): Promise<void> {
  const started = Date.now();
  const raw = await connectRaw(server, localAddress);
  raw.socket.write(queryBytes(7));
  while (raw.received.length === 0 && Date.now() - started < 5000) await sleep(5);
  expect(raw.received).toMatchObject([{ kind: 'query-answer', sessionId: 7, status: 'success', roles: [0, 2] }]);
  raw.socket.destroy();
}

describe('a server and its client', () => {
  test('answer queries and verifications, several on one connection, each as its stores say', async () => {
    const ctlFile = join(folder, 'CTLFile.tlv');
    const entry = { function: 0, identity: token, names: tokenNames(token) };
    writeFileSync(ctlFile, (await signCtlOf([entry])).bytes);
    const server = await start({ knowledge: createTvsKnowledge({ trustStores, ctlFile }) });
    const client = await ask(server);
    const answers = await Promise.all([
      client.query(clusterNames(callManager)),
      client.query(tokenNames(token)),
      client.verify(second.certificate.der),
      client.verify(tvs.certificate.der),
      client.query(clusterNames(tvs)),
    ]);
    const success = { status: 'success', timeToLive: 86_400 };
    const certificate: unknown = expect.anything();
    expect(answers).toEqual([
      {
        kind: 'query-answer',
        sessionId: 1001,
        ignored: 0xf7,
        ...success,
        roles: [0, 2],
        certificate,
      },
      { kind: 'query-answer', sessionId: 1002, ignored: 0xf7, ...success, roles: [0], certificate },
      { kind: 'verify-answer', sessionId: 1003, ignored: 0xf7, ...success, roles: [0, 3] },
      { kind: 'verify-answer', sessionId: 1004, ignored: 0xf7, status: 'not-trusted' },
      { kind: 'query-answer', sessionId: 1005, ignored: 0xf7, status: 'not-trusted' },
    ]);
    const [first, fromCtl] = answers;
    expect(first.status === 'success' && equalBytes(first.certificate, callManager.certificate.der)).toBe(true);
    expect(fromCtl.status === 'success' && equalBytes(fromCtl.certificate, token.certificate.der)).toBe(true);
  });

  test('a CTL file that is replaced while the connection is open makes its new token known', async () => {
    const ctlFile = join(folder, 'replaced.tlv');
    const entry = { function: 0, identity: token, names: tokenNames(token) };
    const other = await makeToken('SAST-ADN00000001', [0x44, 0x01]);
    writeFileSync(ctlFile, (await signCtlOf([entry])).bytes);
    const client = await ask(await start({ knowledge: createTvsKnowledge({ trustStores, ctlFile }) }));
    expect(await client.query(tokenNames(other))).toMatchObject({ status: 'not-trusted' });
    const list = await signCtlOf([entry, { function: 0, identity: other, names: tokenNames(other) }]);
    writeFileSync(`${ctlFile}.new`, list.bytes);
    renameSync(`${ctlFile}.new`, ctlFile);
    expect(await client.query(tokenNames(other))).toMatchObject({ status: 'success', roles: [0], timeToLive: 86_400 });
  });

  test('answer requests that come in any pieces, and thousands that come at once', async () => {
    const server = await start();
    const { socket, received } = await connectRaw(server);
    for (const byte of queryBytes(1)) socket.write(Uint8Array.of(byte));
    const count = 5000;
    socket.write(concatBytes(...Array.from({ length: count }, (_, index) => queryBytes(index + 2))));
    while (received.length < count + 1) await sleep(10);
    expect(received.map(({ sessionId }) => sessionId)).toEqual(
      Array.from({ length: count + 1 }, (_, index) => index + 1),
    );
  });

  test('log in the words of tvs-wire-query-cert-213407.txt', async () => {
    const lines: string[] = [];
    const log = (line: string): void => void lines.push(line);
    const client = await ask(await start({ knowledge: createTvsKnowledge({ trustStores, log }), log }));
    lines.length = 0;
    await client.query(clusterNames(callManager));
    expect(lines.slice(0, 14)).toEqual([
      'Incoming Phone Msg:',
      expect.stringMatching(/^HEX_DUMP: Len = \d+:$/),
      '57 01 03 00 00 00 03 e9',
      expect.stringMatching(/^00 [\da-f]{2} 01 00 18 01 43 50$/),
      '2d 38 38 36 31 2d 53 45',
      '50 42 30 30 30 42 34 42',
      expect.stringMatching(/^41 30 41 45 45 03 00 [\da-f]{2}$/),
      '43 4e 3d 63 75 63 6d 2d',
      '31 30',
      'tvsPhoneDecodeMsg - Decoded Phone Msg:',
      'Protocol Discriminator: 57',
      'MsgType : TVS_MSG_QUERY_CERT_REQ',
      'Session Id : 1001',
      expect.stringMatching(/^Length : \d+$/),
    ]);
    expect(lines).toContain('CertificateDBCache::getCertificateInformation - Found entry {rolecount : 2}');
    expect(lines).toContain('Sending QUERY_CERT_RES msg');
    expect(lines).toContain('MsgType : TVS_MSG_QUERY_CERT_RES');
  });

  test('weak keys and signatures of clusters can be served: RSA 1024, and SHA-1 of an authority', async () => {
    const authority = await makeNode('authority', [1]);
    const subject = [{ type: 'CN', value: 'old-tvs' }];
    const dates = { notBefore: new Date('2010-01-01'), notAfter: new Date('2040-01-01') };
    const request = {
      subject,
      publicKey: weakTvs.key,
      serialNumber: Uint8Array.of(9),
      ...dates,
      digest: 'sha1' as const,
    };
    const issuer = { name: authority.certificate.subject, key: authority.key };
    for (const certificate of [weakTvs.certificate, await issueCertificate(request, issuer)]) {
      const server = await start({ certificate, key: weakTvs.key });
      const client = await ask(server, { acceptServer: (der) => equalBytes(der, certificate.der) });
      expect(await client.verify(callManager.certificate.der)).toMatchObject({ status: 'success' });
    }
  });

  test('a key of another certificate is refused before anything listens', async () => {
    const refused = startTvsServer({ ...tvs, key: callManager.key, knowledge, port: 0 });
    await expect(refused).rejects.toMatchObject({ name: 'InputError', code: 'usage' });
  });

  test('an address that is taken is said', async () => {
    const { port } = await start();
    const refused = startTvsServer({ ...tvs, knowledge, port });
    await expect(refused).rejects.toMatchObject({
      name: 'NetworkError',
      code: 'cannot-listen',
      hint: /another program/,
    });
  });

  test('closing the server closes its connections', async () => {
    const server = await start();
    const raw = await connectRaw(server);
    const client = await ask(server);
    await server.close();
    await raw.closed;
    await expect(client.verify(tvs.certificate.der)).rejects.toMatchObject({ code: 'unreachable' });
  });
});

/** `openssl s_client`, until it has connected and ended, or failed. */
async function openssl(
  server: TvsServer,
  words: readonly string[],
): Promise<{ status: number | null; output: string }> {
  const child = spawn('openssl', ['s_client', '-connect', `${server.host}:${server.port}`, ...words]);
  child.stdin.end();
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const status = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { status, output };
}

describe('openssl s_client', () => {
  test('sees the TVS certificate, and is not asked for one', async () => {
    const { status, output } = await openssl(await start(), ['-showcerts']);
    expect(status).toBe(0);
    expect(output).toContain(formatCertificatePem(tvs.certificate));
    expect(output).toContain('No client certificate CA names sent');
    expect(output).toMatch(/New, TLSv1\.3, Cipher is TLS_/);
  });

  test('of TLS 1.0 with AES256-SHA gets in with legacyTls only', async () => {
    const old = ['-tls1', '-cipher', 'AES256-SHA@SECLEVEL=0'];
    const refused = await openssl(await start(), old);
    expect(refused.status).not.toBe(0);
    expect(refused.output).not.toContain('BEGIN CERTIFICATE');
    for (const identity of [tvs, weakTvs]) {
      const allowed = await openssl(await start({ ...identity, legacyTls: true }), old);
      expect(allowed.status).toBe(0);
      expect(allowed.output).toMatch(/New, .*Cipher is AES256-SHA$/m);
      expect(allowed.output).toContain(formatCertificatePem(identity.certificate));
    }
    const modern = await openssl(await start({ legacyTls: true }), []);
    expect(modern.output).toMatch(/New, TLSv1\.3/);
  });
});

describe('a hostile client', () => {
  test('that says 65,535 and stops is closed at once, and others are answered', async () => {
    const server = await start();
    const raw = await connectRaw(server);
    raw.socket.write(Uint8Array.of(0x57, 1, 3, 0, 0, 0, 0, 1, 0xff, 0xff));
    await raw.closed;
    await expectAnswers(server);
  });

  test('that stops inside a message, or sends one byte at a time, is cut when its time is over', async () => {
    const server = await start({ limits: { messageTime: 300 } });
    const stopped = await connectRaw(server);
    const slow = await connectRaw(server);
    const started = Date.now();
    stopped.socket.write(queryBytes(1).subarray(0, 50));
    let at = 0;
    const bytes = queryBytes(1);
    const dripping = setInterval(() => slow.socket.write(bytes.subarray(at, (at += 1))), 50);
    await expectAnswers(server);
    await Promise.all([stopped.closed, slow.closed]);
    clearInterval(dripping);
    expect(Date.now() - started).toBeGreaterThanOrEqual(250);
    expect(Date.now() - started).toBeLessThan(2000);
    expect(at).toBeLessThan(bytes.length);
  });

  test('that asks nothing, or never shakes hands, is closed after a while; one that asks on is not', async () => {
    const server = await start({ limits: { idleTime: 400, handshakeTime: 300 } });
    const silent = await connectRaw(server);
    const busy = await connectRaw(server);
    const tcp = connectTcp(server.port, server.host);
    const tcpClosed = new Promise<void>((resolve) => tcp.on('close', () => resolve()));
    for (let turn = 0; turn < 8; turn += 1) {
      await sleep(100);
      busy.socket.write(queryBytes(turn));
    }
    await Promise.all([silent.closed, tcpClosed]);
    await sleep(50);
    expect(busy.received).toHaveLength(8);
    expect(busy.socket.destroyed).toBe(false);
  });

  test.each([
    ['HTTP', new TextEncoder().encode('GET / HTTP/1.1\r\n\r\n')],
    ['an answer', encodeTvsMessage({ kind: 'verify-answer', sessionId: 1, status: 'not-trusted' })],
    ['a request without its elements', Uint8Array.of(0x57, 1, 3, 0, 0, 0, 0, 1, 0, 0)],
    ['a command that is none', Uint8Array.of(0x57, 1, 9, 0, 0, 0, 0, 1, 0, 0)],
  ])('that sends %s gets the answers to what came before, and loses its connection only', async (_what, garbage) => {
    const lines: string[] = [];
    const server = await start({ log: (line) => lines.push(line) });
    const bystander = await connectRaw(server);
    const raw = await connectRaw(server);
    raw.socket.write(concatBytes(queryBytes(1), queryBytes(2), garbage, queryBytes(3)));
    await raw.closed;
    expect(raw.received.map(({ sessionId }) => sessionId)).toEqual([1, 2]);
    expect(lines.join('\n')).toMatch(/ERROR:tvsPhoneDecodeMsg - /);
    bystander.socket.write(queryBytes(4));
    while (bystander.received.length === 0) await sleep(5);
    expect(bystander.received).toMatchObject([{ sessionId: 4, status: 'success' }]);
  });

  test('that sends garbage instead of TLS hurts nobody', async () => {
    const server = await start();
    const sockets = Array.from({ length: 50 }, () => connectTcp(server.port, server.host));
    const closed = sockets.map((socket) => new Promise<void>((resolve) => socket.on('close', () => resolve())));
    for (const socket of sockets) {
      socket.on('error', () => undefined);
      socket.write(Buffer.from('57010300000003e9008f01001801', 'hex'));
      socket.write(Buffer.alloc(2000, 0x41));
    }
    await Promise.all(closed);
    await expectAnswers(server);
  });

  test('that asks and asks and takes no answers makes the server hold little, and is cut', async () => {
    const lines: string[] = [];
    const log = (line: string): void => {
      if (line.includes('closed')) lines.push(line);
    };
    const server = await start({ limits: { messageTime: 500 }, log });
    const raw = await connectRaw(server);
    raw.socket.pause();
    const before = process.memoryUsage();
    const batch = concatBytes(...Array.from({ length: 1000 }, (_, index) => queryBytes(index)));
    // 20 MB of questions, whose answers would be 150 MB.
    raw.socket.on('error', () => undefined);
    for (let turn = 0; turn < 150; turn += 1) raw.socket.write(batch);
    await sleep(300);
    const { rss, external } = process.memoryUsage();
    const sent = batch.length * 150;
    expect(sent).toBeGreaterThan(15_000_000);
    expect(external - before.external).toBeLessThan(sent + 20_000_000);
    expect(rss - before.rss).toBeLessThan(sent + 100_000_000);
    await expectAnswers(server);
    while (lines.length === 0) await sleep(20);
    expect(lines).toEqual(['TVS CORE: connection closed: the answers were not taken in time']);
  });

  test('with 10,000 connections is bounded: the oldest are closed, and whoever comes is answered', async () => {
    const limits = { connections: 200 };
    const server = await start({ limits });
    const regular = await connectRaw(server, '127.0.0.2');
    const memory = process.memoryUsage().rss;
    const sockets = new Set<Socket>();
    let opened = 0;
    for (let batch = 0; batch < 50; batch += 1) {
      const connecting = Array.from({ length: 200 }, () => {
        const socket = connectTcp({ host: server.host, port: server.port, localAddress: '127.0.0.3' });
        sockets.add(socket);
        socket.on('error', () => undefined);
        socket.on('close', () => sockets.delete(socket));
        return new Promise<void>((resolve) => {
          socket.once('connect', () => {
            opened += 1;
            resolve();
          });
          socket.once('close', () => resolve());
        });
      });
      await Promise.all(connecting);
      if (batch % 10 === 0) await expectAnswers(server);
    }
    expect(opened).toBe(10_000);
    // The same address as the flood's, and another one, while its last connections are still there.
    await expectAnswers(server, '127.0.0.3');
    await expectAnswers(server);
    await sleep(100);
    expect(sockets.size).toBeLessThanOrEqual(limits.connections);
    expect(sockets.size).toBeGreaterThan(limits.connections - 10);
    // Who was there before, from another address, still is.
    regular.socket.write(queryBytes(1));
    while (regular.received.length === 0) await sleep(5);
    expect(process.memoryUsage().rss - memory).toBeLessThan(200 * 1024 * 1024);
    for (const socket of sockets) socket.destroy();
  });
});

describe('the client', () => {
  test('sends nothing to a server whose certificate it does not accept', async () => {
    const lines: string[] = [];
    const server = await start({ log: (line) => lines.push(line) });
    const shown: string[] = [];
    const refused = ask(server, {
      acceptServer: (der) => {
        shown.push(createHash('sha1').update(der).digest('hex'));
        return false;
      },
    });
    await expect(refused).rejects.toMatchObject({ name: 'NetworkError', code: 'not-accepted', hint: /TVS record/ });
    expect(shown).toEqual([createHash('sha1').update(tvs.certificate.der).digest('hex')]);
    await sleep(50);
    expect(lines.filter((line) => line.includes('Phone Msg'))).toEqual([]);
  });

  test('says that nobody listens, that nobody shakes hands, and that it is no TLS', async () => {
    const server = await start();
    await server.close();
    await expect(ask(server)).rejects.toMatchObject({ name: 'NetworkError', code: 'unreachable', hint: /2445/ });

    const kept: Socket[] = [];
    const silent = createServer((socket) => void kept.push(socket)).listen(0, '127.0.0.1');
    const talker = createServer((socket) => socket.end('220 mail ready\r\n')).listen(0, '127.0.0.1');
    open.push(silent, talker, { close: () => kept.forEach((socket) => socket.destroy()) });
    await sleep(20);
    const at = (address: unknown): { port: number } => ({ port: (address as AddressInfo).port });
    const late = ask(server, { ...at(silent.address()), timeout: 200 });
    await expect(late).rejects.toMatchObject({ code: 'timeout', message: /within 200 ms/ });
    await expect(ask(server, at(talker.address()))).rejects.toMatchObject({ code: 'malformed' });
  });

  test('says that a server does not answer, or answers what is no message, and ends all that waits', async () => {
    const key = join(folder, 'key.pem');
    const certificate = join(folder, 'certificate.pem');
    writeFileSync(key, tvs.key.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 });
    writeFileSync(certificate, formatCertificatePem(tvs.certificate));
    // `openssl s_server` never answers by itself; with -rev it sends the line back, reversed.
    const other = async (...words: string[]): Promise<{ port: number; stop: () => void }> => {
      const child = spawn('openssl', [
        's_server',
        '-accept',
        '127.0.0.1:0',
        '-cert',
        certificate,
        '-key',
        key,
        ...words,
      ]);
      open.push({ close: () => child.kill() });
      const port = await new Promise<number>((resolve) => {
        let text = '';
        child.stdout.on('data', (chunk: Buffer) => {
          text += chunk.toString();
          const found = /ACCEPT 127\.0\.0\.1:(\d+)/.exec(text)?.[1];
          if (found !== undefined) resolve(Number(found));
        });
      });
      return { port, stop: () => void child.kill() };
    };
    const server = { host: '127.0.0.1', port: 0, close: () => Promise.resolve() };
    const mute = await ask(server, { port: (await other()).port, timeout: 300 });
    const both = [mute.query(clusterNames(tvs)), mute.verify(tvs.certificate.der)];
    for (const one of await Promise.allSettled(both)) {
      expect(one).toMatchObject({ status: 'rejected', reason: { code: 'timeout' } });
    }
    await expect(mute.verify(tvs.certificate.der)).rejects.toMatchObject({ code: 'timeout' });

    const { port } = await other('-rev');
    const reversed = await ask(server, { port });
    // A line ends here, so that it comes back.
    const names = { ...clusterNames(tvs), serialNumber: new TextEncoder().encode('\n') };
    await expect(reversed.query(names)).rejects.toMatchObject({ code: 'malformed', hint: /not another service/ });
  });

  test('a request that does not fit a message fails alone', async () => {
    const client = await ask(await start());
    await expect(client.verify(new Uint8Array(70_000))).rejects.toMatchObject({
      name: 'FormatError',
      code: 'too-large',
    });
    expect(await client.verify(callManager.certificate.der)).toMatchObject({ status: 'success' });
    await client.close();
    await expect(client.verify(callManager.certificate.der)).rejects.toMatchObject({ code: 'unreachable' });
  });
});
