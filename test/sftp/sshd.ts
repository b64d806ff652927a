import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';

const program = ['/usr/sbin/sshd', '/usr/local/sbin/sshd', '/usr/bin/sshd'].find((path) => existsSync(path));

/** Why no test with OpenSSH can run here; empty when it can. Stands in the names of the tests that are skipped. */
export const sshdMissing: string =
  program === undefined || spawnSync('ssh-keygen', ['-?']).error !== undefined
    ? 'OpenSSH server not installed (Debian: openssh-server)'
    : '';

// On a developer's machine tests without it are left out by name; .ci/set-up.mjs installs it in CI.
if (process.env['CI'] === 'true' && sshdMissing !== '') throw new Error(`in CI all is tested: ${sshdMissing}`);

/** Why no test can log in with a password; empty when it can. */
export const passwordsMissing: string =
  sshdMissing !== ''
    ? sshdMissing
    : process.getuid?.() === 0 && spawnSync('useradd', ['--help']).status === 0
      ? ''
      : 'passwords are checked for a user made for the test, and only root can make one';

/** What of it is not as usual. */
export interface SshdOptions {
  readonly hostKeys?: readonly ('ed25519' | 'rsa' | 'ecdsa')[];
  /** Lines of sshd_config, before all others: the first word counts. */
  readonly config?: readonly string[];
  /** The program of the subsystem sftp; the one inside sshd unless given. */
  readonly subsystem?: string;
}

/** An OpenSSH server on loopback, with a host key, a configuration and (where root runs the tests) a user of its own. */
export interface Sshd {
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** A key that lets the user in. */
  readonly keyFile: string;
  /** A key with a passphrase that lets the user in: that of `password`. */
  readonly lockedKeyFile: string;
  /** A key that does not. */
  readonly strangeKeyFile: string;
  /** A folder that the user may write. */
  readonly home: string;
  /** What a known_hosts file says of it, one line for each host key. */
  readonly knownHosts: readonly string[];
  /** As ssh-keygen prints it: `SHA256:…`, or with `MD5:` before it. */
  readonly fingerprint: (type: string, hash?: 'sha256' | 'md5') => string;
  readonly log: () => string;
  readonly close: () => void;
}

let count = 0;

/** Starts it. Each connection gets an sshd of its own (inetd mode), so that the port is one that the system chose. */
export async function startSshd(options: SshdOptions = {}): Promise<Sshd> {
  count += 1;
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'etoken-bridge-sshd-')));
  chmodSync(folder, 0o755);
  const home = join(folder, 'home');
  mkdirSync(home);
  const types = options.hostKeys ?? ['ed25519'];
  for (const type of types) makeKey(join(folder, `host_${type}`), type);
  for (const name of ['user', 'strange']) makeKey(join(folder, name), 'ed25519');
  const password = `sftp pass ${String(process.pid)}-${String(count)}`;
  makeKey(join(folder, 'locked'), 'rsa', password);
  const authorized = ['user', 'locked'].map((name) => readFileSync(join(folder, `${name}.pub`), 'utf8'));
  writeFileSync(join(folder, 'authorized_keys'), authorized.join(''));
  removeStaleUsers();
  const user = passwordsMissing === '' ? makeUser(home, password) : userInfo().username;
  const config = join(folder, 'sshd_config');
  writeFileSync(
    config,
    [...(options.config ?? []), ...plainConfig(folder, types, options.subsystem)].join('\n').concat('\n'),
  );
  let log = '';
  const children = new Set<ChildProcess>();
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    const child = spawn(program ?? '', ['-i', '-e', '-f', config], { stdio: [socket, socket, 'pipe'] });
    children.add(child);
    child.once('exit', () => {
      children.delete(child);
      socket.destroy();
    });
    child.stderr.on('data', (text: Buffer) => {
      log += text.toString();
    });
  });
  const port = await listen(server);
  const lines = types.map((type) => {
    const [keyType = '', key = ''] = readFileSync(join(folder, `host_${type}.pub`), 'utf8').split(' ');
    return `[127.0.0.1]:${String(port)} ${keyType} ${key}`;
  });
  return {
    ...{ port, user, password, home, knownHosts: lines, log: () => log },
    keyFile: join(folder, 'user'),
    lockedKeyFile: join(folder, 'locked'),
    strangeKeyFile: join(folder, 'strange'),
    fingerprint: (type, hash = 'sha256') => {
      const { stdout } = spawnSync('ssh-keygen', ['-l', '-E', hash, '-f', join(folder, `host_${type}.pub`)]);
      return stdout.toString().split(' ')[1] ?? '';
    },
    close: () => {
      for (const child of children) child.kill();
      server.close();
      if (passwordsMissing === '') removeUser(user);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function plainConfig(folder: string, types: readonly string[], subsystem = 'internal-sftp'): readonly string[] {
  return [
    ...types.map((type) => `HostKey ${join(folder, `host_${type}`)}`),
    'PidFile none',
    'UsePAM no',
    'PasswordAuthentication yes',
    'KbdInteractiveAuthentication no',
    `AuthorizedKeysFile ${join(folder, 'authorized_keys')}`,
    // The folder is below one that others may write.
    'StrictModes no',
    'MaxAuthTries 6',
    'LogLevel VERBOSE',
    `Subsystem sftp ${subsystem}`,
  ];
}

function makeKey(path: string, type: string, passphrase = ''): void {
  const bits = type === 'rsa' ? ['-b', '2048'] : [];
  const { status, stderr } = spawnSync('ssh-keygen', [
    '-q',
    '-t',
    type,
    ...bits,
    '-N',
    passphrase,
    '-C',
    '',
    '-f',
    path,
  ]);
  if (status !== 0) throw new Error(`ssh-keygen: ${stderr.toString()}`);
}

function makeUser(home: string, password: string): string {
  const user = `etb-${String(process.pid)}-${String(count)}`;
  // Where sshd keeps its unprivileged half; a service manager makes it otherwise.
  mkdirSync('/run/sshd', { recursive: true });
  must(spawnSync('useradd', ['--no-create-home', '--home-dir', home, '--shell', '/bin/sh', user]));
  try {
    must(spawnSync('chpasswd', { input: `${user}:${password}\n` }));
    must(spawnSync('chown', [user, home]));
  } catch (error) {
    removeUser(user);
    throw error;
  }
  return user;
}

function removeUser(user: string): void {
  spawnSync('userdel', ['--force', user]);
}

/** The users of tests that were killed: their names tell the process. */
function removeStaleUsers(): void {
  if (passwordsMissing !== '') return;
  for (const [, user = '', processId = ''] of readFileSync('/etc/passwd', 'utf8').matchAll(/^(etb-(\d+)-\d+):/gm)) {
    if (!isThere(Number(processId))) removeUser(user);
  }
}

/** Whether a process is there; root may signal each. */
function isThere(processId: number): boolean {
  try {
    return process.kill(processId, 0);
  } catch {
    return false;
  }
}

function must({ status, stderr }: { readonly status: number | null; readonly stderr: Buffer }): void {
  if (status !== 0) throw new Error(stderr.toString());
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : 0);
    });
  });
}
