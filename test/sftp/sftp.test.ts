import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EtokenBridgeError } from '../../src/errors.js';
import {
  fetchOverSftp,
  parseFingerprint,
  parseKnownHosts,
  putOverSftp,
  type HostKeyTrust,
  type SftpFetchRequest,
  type SftpLogin,
} from '../../src/sftp/index.js';
import { skipReason } from '../skip-reason.js';
import { passwordsMissing, sshdMissing, startSshd, type Sshd } from './sshd.js';
import { startTcpRelay } from './tcp-relay.js';

const withSshd = sshdMissing === '' ? test : test.skip;
const withPasswords = passwordsMissing === '' ? test : test.skip;

let sshd: Sshd;
let servers: Sshd[] = [];

beforeAll(async () => {
  if (sshdMissing === '') sshd = await start({ hostKeys: ['ed25519', 'rsa'] });
});

afterAll(() => {
  for (const server of servers) server.close();
});

async function start(options: Parameters<typeof startSshd>[0] = {}): Promise<Sshd> {
  const server = await startSshd(options);
  servers = [...servers, server];
  return server;
}

const known = (server: Sshd): HostKeyTrust => ({
  kind: 'known-hosts',
  entries: parseKnownHosts(server.knownHosts.join('\n'), 'known_hosts'),
});
const byKey = (file: string, passphrase?: string): SftpLogin => ({
  kind: 'key',
  key: new Uint8Array(readFileSync(file)),
  ...(passphrase === undefined ? {} : { passphrase }),
});
const byPassword = (password: string): SftpLogin => ({ kind: 'password', password: () => Promise.resolve(password) });

function at(server: Sshd, path: string, changes: Partial<SftpFetchRequest> = {}): SftpFetchRequest {
  const { port, user, keyFile } = server;
  return { host: '127.0.0.1', port, user, login: byKey(keyFile), hostKey: known(server), path, ...changes };
}

async function failureOf(work: Promise<unknown>): Promise<EtokenBridgeError> {
  const failure: unknown = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(failure).toBeInstanceOf(EtokenBridgeError);
  return failure as EtokenBridgeError;
}

const sample = Uint8Array.from({ length: 100_000 }, (_, index) => (index * 7 + (index >> 8)) & 0xff);

function put(server: Sshd, name: string, bytes: Uint8Array): string {
  const path = join(server.home, name);
  writeFileSync(path, bytes);
  chmodSync(path, 0o644);
  return path;
}

describe(`fetching from OpenSSH${skipReason(sshdMissing)}`, () => {
  withSshd('with a key: the bytes of the file', async () => {
    put(sshd, 'file', sample);
    expect(await fetchOverSftp(at(sshd, join(sshd.home, 'file')))).toEqual(sample);
  });

  withSshd('an empty file', async () => {
    expect(await fetchOverSftp(at(sshd, put(sshd, 'empty', new Uint8Array())))).toEqual(new Uint8Array());
  });

  withSshd(
    'with a key that has a passphrase; without it, and with a wrong one, nothing is asked of the server',
    async () => {
      const path = put(sshd, 'file', sample);
      expect(await fetchOverSftp(at(sshd, path, { login: byKey(sshd.lockedKeyFile, sshd.password) }))).toEqual(sample);
      const before = sshd.log();
      for (const passphrase of [undefined, 'wrong']) {
        const error = await failureOf(fetchOverSftp(at(sshd, path, { login: byKey(sshd.lockedKeyFile, passphrase) })));
        expect(error.code).toBe('bad-password');
      }
      expect(sshd.log()).toBe(before);
    },
  );

  withSshd('with a key that the server does not know', async () => {
    const login = byKey(sshd.strangeKeyFile);
    const error = await failureOf(fetchOverSftp(at(sshd, put(sshd, 'file', sample), { login })));
    expect(error).toMatchObject({ code: 'login-refused' });
    expect(error.message).toContain('with this key');
  });

  withSshd('with something that is no key', async () => {
    const login = byKey(put(sshd, 'none', new TextEncoder().encode('no key')));
    expect(await failureOf(fetchOverSftp(at(sshd, 'x', { login })))).toMatchObject({ code: 'bad-key' });
  });

  test.runIf(passwordsMissing === '')('a relative path begins at the home folder', async () => {
    put(sshd, 'relative', sample);
    expect(await fetchOverSftp(at(sshd, 'relative'))).toEqual(sample);
  });

  withPasswords(`with a password${skipReason(passwordsMissing)}`, async () => {
    const path = put(sshd, 'file', sample);
    expect(await fetchOverSftp(at(sshd, path, { login: byPassword(sshd.password) }))).toEqual(sample);
  });

  withPasswords(
    `with a wrong password, which is tried once and not repeated${skipReason(passwordsMissing)}`,
    async () => {
      const server = await start();
      const login = byPassword('wrong word');
      const error = await failureOf(fetchOverSftp(at(server, put(server, 'file', sample), { login })));
      expect(error.code).toBe('login-refused');
      expect(`${error.message}${error.hint ?? ''}${error.stack ?? ''}`).not.toContain('wrong word');
      expect(server.log().match(/Failed password/g)).toHaveLength(1);
    },
  );

  withPasswords(
    `with a password where the server asks by keyboard-interactive${skipReason(passwordsMissing)}`,
    async () => {
      const config = ['UsePAM yes', 'PasswordAuthentication no', 'KbdInteractiveAuthentication yes'];
      const server = await start({ config });
      const path = put(server, 'file', sample);
      expect(await fetchOverSftp(at(server, path, { login: byPassword(server.password) }))).toEqual(sample);
      const error = await failureOf(fetchOverSftp(at(server, path, { login: byPassword('wrong word') })));
      expect(error.code).toBe('login-refused');
      expect(server.log().match(/PAM: Authentication failure for/g)).toHaveLength(1);
    },
  );

  withSshd('a password where the server wants a key: it is not even asked for', async () => {
    const server = await start({ config: ['PasswordAuthentication no'] });
    let asked = 0;
    const login: SftpLogin = { kind: 'password', password: () => Promise.resolve(String((asked += 1))) };
    const error = await failureOf(fetchOverSftp(at(server, 'x', { login })));
    expect(error.code).toBe('login-refused');
    expect(error.message).toContain('it wants publickey');
    expect(asked).toBe(0);
  });

  withSshd('what asks for the password may fail, and its own error comes out', async () => {
    const login: SftpLogin = { kind: 'password', password: () => Promise.reject(new Error('broken off')) };
    await expect(fetchOverSftp(at(sshd, 'x', { login }))).rejects.toThrow('broken off');
  });

  withSshd('a file that is not there, a folder, a file that may not be read', async () => {
    const missing = await failureOf(fetchOverSftp(at(sshd, join(sshd.home, 'missing.p12'))));
    expect(missing).toMatchObject({ code: 'file-not-found' });
    expect(missing.message).toContain('missing.p12 on 127.0.0.1, port');
    expect(await failureOf(fetchOverSftp(at(sshd, sshd.home)))).toMatchObject({ code: 'sftp-error' });
    if (passwordsMissing === '') {
      const path = put(sshd, 'secret', sample);
      chmodSync(path, 0o600);
      expect(await failureOf(fetchOverSftp(at(sshd, path)))).toMatchObject({ code: 'access-denied' });
    }
  });

  withSshd('a file that is larger than wanted, by what the server says, or by what it sends', async () => {
    const path = put(sshd, 'file', sample);
    expect(await fetchOverSftp(at(sshd, path, { largest: sample.length }))).toHaveLength(sample.length);
    const largest = sample.length - 1;
    expect(await failureOf(fetchOverSftp(at(sshd, path, { largest })))).toMatchObject({ code: 'too-large' });
    // Devices say that they have no bytes.
    expect(await failureOf(fetchOverSftp(at(sshd, '/dev/zero')))).toMatchObject({ code: 'too-large' });
  });

  withSshd('a connection that is cut off in the middle', async () => {
    const path = put(sshd, 'file', sample);
    const relay = await startTcpRelay(sshd.port, 'from-server', 60_000);
    const hostKey: HostKeyTrust = { kind: 'fingerprint', fingerprint: parseFingerprint(sshd.fingerprint('ed25519')) };
    const error = await failureOf(fetchOverSftp(at(sshd, path, { port: relay.port, hostKey })));
    relay.close();
    expect(error).toMatchObject({ code: 'cut-off' });
  });

  withSshd('a server without SFTP', async () => {
    const server = await start({ subsystem: '/no/such/program' });
    const error = await failureOf(fetchOverSftp(at(server, 'x')));
    expect(error.code).toBe('not-accepted');
    expect(error.message).toContain('has no SFTP');
  });
});

describe(`the host key${skipReason(sshdMissing)}`, () => {
  const trust = (text: string): HostKeyTrust => ({
    kind: 'known-hosts',
    entries: parseKnownHosts(text, 'known_hosts'),
  });

  withSshd('of an unknown host is refused, with the fingerprint and what to do; no password is asked for', async () => {
    let asked = 0;
    const login: SftpLogin = { kind: 'password', password: () => Promise.resolve(String((asked += 1))) };
    const error = await failureOf(fetchOverSftp(at(sshd, 'x', { hostKey: trust(''), login })));
    expect(error.code).toBe('host-key-unknown');
    expect(error.message).toContain(sshd.fingerprint('ed25519'));
    expect(error.message).toContain(sshd.fingerprint('ed25519', 'md5').slice(4));
    expect(error.hint).toContain('compare the fingerprint');
    expect(asked).toBe(0);
  });

  withSshd('that has changed is an alarm of its own, with the line of known_hosts', async () => {
    const other = await start();
    const line = other.knownHosts[0]!.replace(String(other.port), String(sshd.port));
    const error = await failureOf(fetchOverSftp(at(sshd, 'x', { hostKey: trust(`# comment\n${line}`) })));
    expect(error.code).toBe('host-key-changed');
    expect(error.message).toMatch(/^THE HOST KEY OF 127\.0\.0\.1.*HAS CHANGED.*known_hosts line 2/);
    expect(error.hint).toContain('somebody may stand between');
  });

  withSshd('that is revoked is refused', async () => {
    const text = `${sshd.knownHosts.join('\n')}\n@revoked * ${sshd.knownHosts[0]!.split(' ').slice(1).join(' ')}`;
    expect(await failureOf(fetchOverSftp(at(sshd, 'x', { hostKey: trust(text) })))).toMatchObject({
      code: 'host-key-revoked',
    });
  });

  withSshd('is asked for by the type that is known: RSA, where the server would present Ed25519', async () => {
    const path = put(sshd, 'file', sample);
    expect(await fetchOverSftp(at(sshd, path, { hostKey: trust(sshd.knownHosts[1]!) }))).toEqual(sample);
  });

  withSshd('of another type than the known one is an alarm, not an unknown host', async () => {
    const server = await start();
    const rsa = sshd.knownHosts[1]!.replace(String(sshd.port), String(server.port));
    const error = await failureOf(fetchOverSftp(at(server, 'x', { hostKey: trust(rsa) })));
    expect(error.code).toBe('host-key-changed');
  });

  withSshd.each([
    ['ed25519', 'sha256'],
    ['rsa', 'sha256'],
    ['ed25519', 'md5'],
    ['rsa', 'md5'],
  ] as const)('by its fingerprint: %s, %s', async (type, hash) => {
    const path = put(sshd, 'file', sample);
    const given = sshd.fingerprint(type, hash);
    for (const text of [given, given.replace('MD5:', '')]) {
      const hostKey: HostKeyTrust = { kind: 'fingerprint', fingerprint: parseFingerprint(text) };
      expect(await fetchOverSftp(at(sshd, path, { hostKey }))).toEqual(sample);
    }
  });

  withSshd('with another fingerprint than the given one is refused', async () => {
    const other = await start();
    const hostKey: HostKeyTrust = { kind: 'fingerprint', fingerprint: parseFingerprint(other.fingerprint('ed25519')) };
    const error = await failureOf(fetchOverSftp(at(sshd, 'x', { hostKey })));
    expect(error.code).toBe('host-key-changed');
    expect(error.message).toContain(sshd.fingerprint('ed25519'));
    expect(sshd.log()).not.toContain('Accepted publickey for x');
  });
});

describe(`putting on OpenSSH${skipReason(sshdMissing)}`, () => {
  const putting = (server: Sshd, path: string, bytes: Uint8Array, changes: Partial<SftpFetchRequest> = {}) =>
    putOverSftp({ ...at(server, path, changes), name: 'ITLRecovery.p12', bytes });
  const here = (server: Sshd, name: string): string => {
    const folder = join(server.home, name);
    mkdirSync(folder);
    chmodSync(folder, 0o777);
    return folder;
  };

  withSshd('a new file: its bytes, mode 0600, nothing beside it', async () => {
    const folder = here(sshd, 'new');
    const path = join(folder, 'key.p12');
    expect(await putting(sshd, path, sample)).toEqual({ path, backup: undefined });
    expect(new Uint8Array(readFileSync(path))).toEqual(sample);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder)).toEqual(['key.p12']);
  });

  withSshd.each(['', '/'])('into a folder, under its name (%j at the end)', async (end) => {
    const folder = here(sshd, `folder${end === '' ? '1' : '2'}`);
    const path = join(folder, 'ITLRecovery.p12');
    expect(await putting(sshd, `${folder}${end}`, sample)).toEqual({ path, backup: undefined });
    expect(readdirSync(folder)).toEqual(['ITLRecovery.p12']);
  });

  // Servers of other makers have neither of the two extensions.
  withSshd.each([
    ['that has all extensions', 'internal-sftp'],
    ['without posix-rename', 'internal-sftp -P posix-rename'],
    ['without hardlink', 'internal-sftp -P hardlink'],
    ['without both', 'internal-sftp -P posix-rename,hardlink'],
  ])('over an old one, which stays under a name of its own, on a server %s', async (_what, subsystem) => {
    const server = await start({ subsystem });
    const folder = here(server, 'over');
    const path = join(folder, 'key.p12');
    const old = Uint8Array.of(1, 2, 3);
    expect((await putting(server, path, old)).backup).toBeUndefined();
    utimesSync(path, 1_700_000_000, 1_700_000_000);
    const first = `${path}.2023-11-14T22-13-20Z.7037807198c22a7d2b0807371d763779a84fdfcf`;
    expect(await putting(server, path, sample)).toEqual({ path, backup: first });
    expect(new Uint8Array(readFileSync(path))).toEqual(sample);
    expect(new Uint8Array(readFileSync(first))).toEqual(old);
    expect(readdirSync(folder)).toHaveLength(2);
    // The same file at the same time once more: neither name is given away.
    writeFileSync(path, old);
    utimesSync(path, 1_700_000_000, 1_700_000_000);
    const { backup } = await putting(server, path, sample);
    expect(backup).toMatch(/\.7037807198c22a7d2b0807371d763779a84fdfcf\.[0-9a-f]{8}$/);
    expect(new Uint8Array(readFileSync(backup!))).toEqual(old);
    expect(readdirSync(folder)).toHaveLength(3);
  });

  withPasswords(`over an old one that the user may not read${skipReason(passwordsMissing)}`, async () => {
    const folder = here(sshd, 'unreadable');
    const path = join(folder, 'key.p12');
    writeFileSync(path, 'old', { mode: 0o600 });
    utimesSync(path, 1_700_000_000, 1_700_000_000);
    const backup = `${path}.2023-11-14T22-13-20Z`;
    expect(await putting(sshd, path, sample)).toEqual({ path, backup });
    expect(new Uint8Array(readFileSync(path))).toEqual(sample);
    expect(readFileSync(backup, 'utf8')).toBe('old');
  });

  withSshd('into a folder that is not there', async () => {
    const error = await failureOf(putting(sshd, join(sshd.home, 'no', 'such', 'key.p12'), sample));
    expect(error.code).toBe('file-not-found');
  });

  withPasswords(`where the user may not write${skipReason(passwordsMissing)}`, async () => {
    expect(await failureOf(putting(sshd, '/etc/key.p12', sample))).toMatchObject({ code: 'access-denied' });
    expect(existsSync('/etc/key.p12')).toBe(false);
  });

  withSshd('cut off in the middle: the old file is as it was', async () => {
    const folder = here(sshd, 'cut');
    const path = join(folder, 'key.p12');
    await putting(sshd, path, Uint8Array.of(1, 2, 3));
    const relay = await startTcpRelay(sshd.port, 'to-server', 60_000);
    const hostKey: HostKeyTrust = { kind: 'fingerprint', fingerprint: parseFingerprint(sshd.fingerprint('ed25519')) };
    const error = await failureOf(putting(sshd, path, sample, { port: relay.port, hostKey }));
    relay.close();
    expect(error).toMatchObject({ code: 'cut-off' });
    expect([...readFileSync(path)]).toEqual([1, 2, 3]);
    // What is left says what it is, and is named.
    const [part] = readdirSync(folder).filter((name) => name.endsWith('.part'));
    expect(error.hint).toContain(join(folder, part!));
  });
});

describe('without a server', () => {
  async function listening(onConnection: (server: Server) => Server): Promise<{ server: Server; port: number }> {
    const server = onConnection(createServer());
    const port = await new Promise<number>((resolve) => {
      server.listen(0, '127.0.0.1', () => {
        const address = server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : 0);
      });
    });
    return { server, port };
  }
  const anywhere = (port: number, timeoutMs?: number): SftpFetchRequest => ({
    ...{ host: '127.0.0.1', port, user: 'nobody', path: 'x', login: byPassword('x') },
    hostKey: { kind: 'known-hosts', entries: [] },
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  });

  test('a port on which nothing listens', async () => {
    const { server, port } = await listening((one) => one);
    await new Promise((resolve) => server.close(resolve));
    expect(await failureOf(fetchOverSftp(anywhere(port)))).toMatchObject({ code: 'unreachable' });
  });

  test('a host whose name is not known', async () => {
    const error = await failureOf(fetchOverSftp({ ...anywhere(22), host: 'no-such-host.invalid' }));
    expect(error.code).toBe('unreachable');
  });

  test('a server that says nothing', async () => {
    const sockets: { destroy: () => void }[] = [];
    const { server, port } = await listening((one) => one.on('connection', (socket) => sockets.push(socket)));
    const error = await failureOf(fetchOverSftp(anywhere(port, 300)));
    expect(error).toMatchObject({ code: 'timeout' });
    expect(error.message).toContain('within 0.3 s');
    for (const socket of sockets) socket.destroy();
    server.close();
  });

  test.each([
    ['another protocol', 'HTTP/1.1 400 Bad Request\r\n\r\n', ['malformed', 'cut-off']],
    ['an end', '', ['malformed', 'cut-off']],
    ['noise', '\u0000\u0001\u0002'.repeat(4000), ['malformed', 'cut-off']],
  ])('a server that answers with %s', async (_what, words, codes) => {
    const { server, port } = await listening((one) => one.on('connection', (socket) => socket.end(words)));
    const error = await failureOf(fetchOverSftp(anywhere(port, 5000)));
    expect(codes).toContain(error.code);
    server.close();
  });
});
