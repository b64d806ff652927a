import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { createStandInAuthority } from 'softhsm-config';
import { expectFailure, jsonOf, type Outcome } from '../cli/etoken-bridge.js';
import { nss, parametersVariable } from './nss.js';
import { nameOf, runBeside, temporaryFolder, userPin, type RunningModule } from './running-module.js';

const folder = temporaryFolder();

describe.skipIf(nss.missing !== undefined)(`${nameOf(nss)}: a module that has to be told where its database is`, () => {
  let running: RunningModule;
  let parameters: string;
  const home = join(folder, 'home');

  beforeAll(async () => {
    running = await nss.start(join(folder, 'nss'), await createStandInAuthority());
    parameters = running.environment[parametersVariable] ?? '';
    const modules = join(home, 'pkcs11/modules');
    mkdirSync(modules, { recursive: true });
    writeFileSync(join(modules, 'nss.module'), `module: ${running.modulePath}\nx-init-reserved: ${parameters}\n`);
    writeFileSync(join(folder, 'pin'), userPin, { mode: 0o600 });
  });

  const list = (env: Readonly<Record<string, string>>): Promise<Outcome> =>
    runBeside({ ...running, environment: env }, ['token', 'list', '--json', '--token-label', running.label]);
  const found = { tokens: [{ label: 'NSS Certificate DB' }] };

  test('without that it does not start, and the hint says how to do it', async () => {
    const hint = /ETOKEN_BRIDGE_MODULE_PARAMETERS.*x-init-reserved/;
    expectFailure(await list({}), 3, /the module cannot start: .*\(C_Initialize: CKR_ARGUMENTS_BAD\)/, hint);
  });

  test('by the environment', async () => {
    expect(jsonOf(await list({ [parametersVariable]: parameters }))).toMatchObject(found);
  });

  test('by x-init-reserved of a module file of p11-kit, where the module was named', async () => {
    const outcome = await list({ XDG_CONFIG_HOME: home });
    expect(jsonOf(outcome)).toMatchObject(found);
    const { tokens } = jsonOf(outcome) as { tokens: { uri: string }[] };
    const words = ['token', 'check', '--json', '--token', tokens[0]?.uri ?? '', '--pin-file', join(folder, 'pin')];
    const environment = { XDG_CONFIG_HOME: home, ETOKEN_BRIDGE_MODULE: '' };
    expect(jsonOf(await runBeside({ ...running, environment }, words))).toMatchObject({ ok: true });
  });

  test('and where it was found by that file', async () => {
    const environment = { XDG_CONFIG_HOME: home, ETOKEN_BRIDGE_MODULE: '' };
    const words = ['token', 'modules', '--json'];
    const outcome = await runBeside({ ...running, environment }, words);
    const { modules } = jsonOf(outcome) as { modules: { path: string; parameters: string | null }[] };
    expect(modules.find(({ path }) => path === running.modulePath)).toMatchObject({ family: 'NSS', parameters });
    expect(jsonOf(await list(environment))).toMatchObject(found);
  });
});
