import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createSastToken, createSoftHsm, type StandInAuthority } from 'softhsm-config';
import { libraryPath, startDaemon, waitFor, whatIsMissing } from './programs.js';
import { officerPin, userPin, type RunningModule, type TestedModule } from './running-module.js';

/** SoftHSM2, as `softhsm-config` makes it for all other tests. */
export const softHsm2: TestedModule = { name: 'SoftHSM2', missing: undefined, start: startSoftHsm };

/** SoftHSM2 in another process, behind p11-kit's server and client. */
export const p11Kit: TestedModule = {
  name: 'p11-kit server and client',
  missing: whatIsMissing([
    { what: 'p11-kit', package: 'p11-kit' },
    { what: libraryPath('pkcs11/p11-kit-client.so'), package: 'p11-kit-modules' },
  ]),
  start: startServer,
};

async function startSoftHsm(folder: string, authority: StandInAuthority): Promise<RunningModule> {
  const softHsm = await createSoftHsm(join(folder, 'softhsm'));
  const label = 'soft-test';
  const request = { label, pin: userPin, soPin: officerPin, bits: 1024, authority } as const;
  const { certificate } = await createSastToken(softHsm, request);
  return {
    modulePath: softHsm.module,
    label,
    environment: { ...softHsm.environment },
    inside: [],
    certificate,
    holdsCertificate: true,
    processes: [],
    close: () => Promise.resolve(),
  };
}

async function startServer(folder: string, authority: StandInAuthority): Promise<RunningModule> {
  mkdirSync(folder, { recursive: true });
  const behind = await startSoftHsm(folder, authority);
  // A relative name would give an address that does not work.
  const socket = join(folder, 'token.sock');
  const words = ['p11-kit', 'server', '--foreground', '--provider', behind.modulePath, '--name', socket, 'pkcs11:'];
  const daemon = startDaemon(words, join(folder, 'server.log'), { environment: behind.environment });
  try {
    await waitFor('the socket of p11-kit server', () => existsSync(socket), daemon);
  } catch (error) {
    await daemon.end();
    throw error;
  }
  return {
    ...behind,
    modulePath: libraryPath('pkcs11/p11-kit-client.so'),
    environment: { P11_KIT_SERVER_ADDRESS: `unix:path=${socket}` },
    processes: [daemon.processId],
    close: () => daemon.end(),
  };
}
