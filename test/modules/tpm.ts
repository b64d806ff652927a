import { mkdirSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import type { StandInAuthority } from 'softhsm-config';
import { existsSync } from 'node:fs';
import {
  libraryPath,
  runProgram,
  runUntilDone,
  startDaemon,
  waitFor,
  whatIsMissing,
  type Daemon,
  type Variables,
} from './programs.js';
import { giveCertificate, officerPin, userPin, type RunningModule, type TestedModule } from './running-module.js';

const modulePath = libraryPath('pkcs11/libtpm2_pkcs11.so');
const label = 'tpm-test';
/** How many wrong PINs the TPM takes before it locks. */
export const mostTries = 3;

/** A TPM in software (swtpm) behind tpm2-pkcs11. Its key has no certificate until one is stored. */
export const tpm: TestedModule = {
  name: 'tpm2-pkcs11 with swtpm',
  missing: whatIsMissing([
    { what: 'swtpm', package: 'swtpm' },
    { what: modulePath, package: 'libtpm2-pkcs11-1' },
    { what: 'tpm2_ptool', package: 'libtpm2-pkcs11-tools' },
    { what: 'tpm2_dictionarylockout', package: 'tpm2-tools' },
    { what: 'tpm2-abrmd', package: 'tpm2-abrmd' },
    { what: libraryPath('libtss2-tcti-tabrmd.so.0'), package: 'libtss2-tcti-tabrmd0' },
    { what: 'dbus-daemon', package: 'dbus-daemon' },
    { what: 'pkcs11-tool', package: 'opensc' },
  ]),
  start: (folder, authority) => start(folder, authority, false),
};

/** The same with the certificate on the token. */
export const tpmWithCertificate: TestedModule = {
  ...tpm,
  name: 'tpm2-pkcs11 with swtpm and a certificate',
  start: (folder, authority) => start(folder, authority, true),
};

async function start(folder: string, authority: StandInAuthority, store: boolean): Promise<RunningModule> {
  const path = (name: string): string => join(folder, name);
  for (const name of ['state', 'store']) mkdirSync(path(name), { recursive: true });
  const daemons: Daemon[] = [];
  const close = async (): Promise<void> => {
    for (const daemon of [...daemons].reverse()) await daemon.end();
  };
  try {
    const { daemon, port } = await startTpm(folder);
    daemons.push(daemon);
    const bus = `unix:path=${path('bus')}`;
    const busWords = ['--session', '--nofork', '--nopidfile', `--address=${bus}`];
    daemons.push(startDaemon(['dbus-daemon', ...busWords], path('bus.log')));
    await waitFor('the socket of dbus-daemon', () => existsSync(path('bus')), daemons.at(-1));
    const ofBus = { DBUS_SESSION_BUS_ADDRESS: bus };
    // Without it between module and TPM, the TPM runs out of memory for objects.
    const broker = ['tpm2-abrmd', '--session', ...(process.getuid?.() === 0 ? ['--allow-root'] : [])];
    const words = [...broker, `--tcti=swtpm:port=${String(port)}`];
    daemons.push(startDaemon(words, path('broker.log'), { environment: ofBus }));
    const tcti = 'tabrmd:bus_type=session';
    const environment = {
      ...ofBus,
      TPM2TOOLS_TCTI: tcti,
      TPM2_PKCS11_TCTI: tcti,
      TPM2_PKCS11_STORE: path('store'),
      TSS2_LOG: 'all+NONE',
    };
    const lockout = ['--setup-parameters', `--max-tries=${String(mostTries)}`, '--clear-lockout'];
    await runUntilDone(['tpm2_dictionarylockout', ...lockout], { environment });
    const id = makeKey(path('store'), environment);
    const module = { modulePath, label, environment, inside: [] };
    const token = ['--token-label', label];
    const certificate = await giveCertificate(module, folder, authority, { token, id, store });
    const processes = daemons.map(({ processId }) => processId);
    return { ...module, certificate, holdsCertificate: store, processes, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Makes a token with a key; gives its CKA_ID as hexadecimal digits. */
function makeKey(store: string, environment: Variables): string {
  const tool = (...words: string[]): string => runProgram(['tpm2_ptool', ...words, '--path', store], { environment });
  tool('init');
  tool('addtoken', '--pid', '1', '--label', label, '--sopin', officerPin, '--userpin', userPin);
  const key = ['--label', label, '--userpin', userPin, '--algorithm', 'rsa2048', '--key-label', 'ctlkey'];
  const made = tool('addkey', ...key);
  const id = /CKA_ID: '([0-9a-f]+)'/.exec(made)?.[1];
  if (id === undefined) throw new Error(`tpm2_ptool addkey told no id: ${made}`);
  return id;
}

/**
 * swtpm wants two ports, the second next to the first, and cannot choose them. Ports that were free a moment ago may be
 * taken: then it ends, and others are tried.
 */
async function startTpm(folder: string): Promise<{ readonly daemon: Daemon; readonly port: number }> {
  for (let tries = 1; ; tries += 1) {
    const port = await freePair();
    const words = [
      ...['swtpm', 'socket', '--tpm2', '--tpmstate', `dir=${join(folder, 'state')}`],
      ...['--server', `type=tcp,port=${String(port)}`, '--ctrl', `type=tcp,port=${String(port + 1)}`],
      ...['--flags', 'not-need-init,startup-clear'],
    ];
    const daemon = startDaemon(words, join(folder, 'swtpm.log'));
    try {
      await waitFor('swtpm', () => canConnect(port + 1), daemon);
      return { daemon, port };
    } catch (error) {
      await daemon.end();
      if (tries === 5) throw error;
    }
  }
}

async function freePair(): Promise<number> {
  for (;;) {
    const first = await listen(0);
    const port = first.port;
    const second = port === 65_535 ? undefined : await listen(port + 1).catch(() => undefined);
    await Promise.all([first.close(), second?.close()]);
    if (second !== undefined) return port;
  }
}

function listen(port: number): Promise<{ readonly port: number; readonly close: () => Promise<void> }> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      resolve({
        port: typeof address === 'object' && address !== null ? address.port : 0,
        close: () => new Promise((done) => server.close(() => done())),
      });
    });
  });
}

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
