import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { StandInAuthority } from 'softhsm-config';
import { libraryPath, startDaemon, waitFor, whatIsMissing } from './programs.js';
import {
  giveCertificate,
  officerPin,
  pkcs11Tool,
  userPin,
  type ModuleAccess,
  type RunningModule,
  type TestedModule,
} from './running-module.js';

const modulePath = libraryPath('pkcs11/libopencryptoki.so');
/** Debian's configuration puts the software token there. */
const slot = '3';

const mayUnshare = process.getuid?.() === 0 && spawnSync('unshare', ['-m', '-i', 'true']).status === 0;

/**
 * opencryptoki keeps its tokens, its socket and its shared memory in places of the whole system. Here its daemon has
 * places of its own there: it runs in a mount and an IPC namespace, and so does every command that uses it.
 */
export const opencryptoki: TestedModule = {
  name: 'opencryptoki',
  missing: whatIsMissing(
    [
      { what: 'pkcsslotd', package: 'opencryptoki' },
      { what: modulePath, package: 'opencryptoki' },
      { what: 'pkcs11-tool', package: 'opensc' },
      { what: 'nsenter', package: 'util-linux' },
    ],
    mayUnshare ? undefined : 'its daemon needs root, and namespaces of its own',
  ),
  start,
};

async function start(folder: string, authority: StandInAuthority): Promise<RunningModule> {
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, 'opencryptoki.conf'),
    `version opencryptoki-3.1\nslot ${slot}\n{\nstdll = libpkcs11_sw.so\n}\n`,
  );
  writeFileSync(join(folder, 'daemon.sh'), daemonScript);
  const daemon = startDaemon(
    ['unshare', '-m', '-i', 'sh', '-eu', join(folder, 'daemon.sh'), folder],
    join(folder, 'daemon.log'),
  );
  try {
    const socket = `/proc/${String(daemon.processId)}/root/run/pkcsslotd.socket`;
    await waitFor('the socket of pkcsslotd', () => existsSync(join(folder, 'mounted')) && existsSync(socket), daemon);
    const inside = ['nsenter', '-m', '-i', '-t', String(daemon.processId), '--'];
    const module = { modulePath, label: 'ock-test', environment: {}, inside };
    const token = ['--slot', slot];
    pkcs11Tool(module, [...token, '--init-token', '--label', module.label, '--so-pin', officerPin]);
    setUserPin(module);
    const generate = ['--keypairgen', '--key-type', 'rsa:1024', '--label', 'ctlkey', '--id', '01'];
    pkcs11Tool(module, [...token, '--login', '--pin', userPin, ...generate]);
    const certificate = await giveCertificate(module, folder, authority, { token, id: '01', store: true });
    const processes = [daemon.processId];
    return { ...module, certificate, holdsCertificate: true, processes, close: () => daemon.end() };
  } catch (error) {
    await daemon.end();
    throw error;
  }
}

/** Sets the PIN as the security officer does, also after it was locked. */
export function setUserPin(module: ModuleAccess): void {
  const login = ['--slot', slot, '--login', '--login-type', 'so', '--so-pin', officerPin];
  pkcs11Tool(module, [...login, '--init-pin', '--pin', userPin]);
}

/** What the package and a service manager make for the daemon, in file systems that are gone with it. */
const daemonScript = `
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /dev/shm
mkdir -m 1777 /run/lock
mount -t tmpfs tmpfs /var/lib/opencryptoki
mkdir -p /var/lib/opencryptoki/swtok/TOK_OBJ
chgrp -R pkcs11 /var/lib/opencryptoki
chmod -R 770 /var/lib/opencryptoki
mount --bind "$1/opencryptoki.conf" /etc/opencryptoki/opencryptoki.conf
touch "$1/mounted"
exec pkcsslotd -f
`;
