import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { createSastCommonName } from 'softhsm-config';
import { decodeCertificate } from '../../src/x509/index.js';
import { libraryPath, runProgram, whatIsMissing } from './programs.js';
import { userPin, type RunningModule, type TestedModule } from './running-module.js';

const modulePath = libraryPath('libsoftokn3.so');

/** The software token of NSS, with a database of its own; it needs no daemon, and to be told where the database is. */
export const nss: TestedModule = {
  name: 'NSS softokn',
  missing: whatIsMissing([
    { what: modulePath, package: 'libnss3' },
    { what: 'certutil', package: 'libnss3-tools' },
  ]),
  start,
};

export const parametersVariable = 'ETOKEN_BRIDGE_MODULE_PARAMETERS';

/** What NSS is told when it is initialised. */
function nssParameters(database: string): string {
  return `configdir='sql:${database}' certPrefix='' keyPrefix='' secmod='secmod.db' flags=readOnly`;
}

function start(folder: string): Promise<RunningModule> {
  const database = join(folder, 'database');
  mkdirSync(database, { recursive: true });
  const path = (name: string): string => join(folder, name);
  writeFileSync(path('pin'), userPin, { mode: 0o600 });
  writeFileSync(path('noise'), randomBytes(64));
  const certutil = (...words: string[]): string => runProgram(['certutil', ...words, '-d', `sql:${database}`]);
  certutil('-N', '-f', path('pin'));
  const subject = `CN=${createSastCommonName().trim()},OU=IPCBU,O=Cisco Systems`;
  const key = ['-n', 'ctlkey', '-s', subject, '-t', 'u,u,u', '-g', '1024', '-Z', 'SHA256', '-v', '120'];
  certutil('-S', '-x', ...key, '-f', path('pin'), '-z', path('noise'));
  certutil('-L', '-n', 'ctlkey', '-r', '-o', path('certificate.der'));
  return Promise.resolve({
    modulePath,
    label: 'NSS Certificate DB',
    environment: { [parametersVariable]: nssParameters(database) },
    inside: [],
    certificate: decodeCertificate(new Uint8Array(readFileSync(path('certificate.der')))),
    holdsCertificate: true,
    processes: [],
    close: () => Promise.resolve(),
  });
}
