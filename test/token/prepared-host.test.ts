import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { skipReason } from '../skip-reason.js';
import { isRunning, makeSoftTokens, temporaryFolder, waitUntil, type SoftTokens } from './soft-tokens.js';

const folder = temporaryFolder();
const built = fileURLToPath(new URL('../../dist/token/index.js', import.meta.url));
let soft: SoftTokens;

beforeAll(async () => {
  soft = await makeSoftTokens(folder, [{ label: 'CTL', bits: 1024 }]);
});

/** Runs a script with the built room in a process of its own. @returns what it printed, as JSON. */
function runScript(script: string): unknown {
  const whole = `
    import { openTokenHost, prepareTokenHost } from ${JSON.stringify(built)};
    import { readdirSync, readFileSync } from 'node:fs';
    const modulePath = ${JSON.stringify(soft.softHsm.module)};
    const parentOf = (id) => readFileSync('/proc/' + id + '/stat', 'utf8').split(') ')[1].split(' ')[1];
    const isHost = (id) => { try { return parentOf(id) === String(process.pid); } catch { return false; } };
    const children = () => readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name) && isHost(name)).map(Number);
    ${script}
  `;
  const environment = { ...soft.environment, ETOKEN_BRIDGE_TEST_PIN: 'a PIN' };
  const text = execFileSync(process.execPath, ['--input-type=module', '-e', whole], {
    encoding: 'utf8',
    env: environment,
  });
  return JSON.parse(text) as unknown;
}

/** Why this cannot be tried here; `undefined` when it can. */
const missing = process.platform === 'linux' ? undefined : 'processes are looked up in /proc of Linux';

describe.skipIf(missing !== undefined)(`a host that was started ahead${skipReason(missing)}`, () => {
  test('is the next one that is opened, and the one after is another', () => {
    const answer = runScript(`
      prepareTokenHost();
      const [prepared] = children();
      const first = openTokenHost({ modulePath });
      const second = openTokenHost({ modulePath });
      const { tokens } = await first.request('tokens', { modulePath });
      console.log(JSON.stringify({ same: first.processId === prepared, other: second.processId !== prepared,
        path: first.modulePath === modulePath, labels: tokens.map(({ label }) => label) }));
      await Promise.all([first.close(), second.close()]);
    `);
    expect(answer).toMatchObject({
      same: true,
      other: true,
      path: true,
      labels: expect.arrayContaining(['CTL']) as string[],
    });
  });

  test('is not taken for another environment, nor where it holds a variable with a PIN', () => {
    const answer = runScript(`
      prepareTokenHost();
      const [prepared] = children();
      const other = openTokenHost({ modulePath, environment: process.env });
      const hiding = openTokenHost({ modulePath, pinVariables: ['ETOKEN_BRIDGE_TEST_PIN'] });
      const taken = openTokenHost({ modulePath });
      console.log(JSON.stringify([other, hiding, taken].map((host) => host.processId === prepared)));
      await Promise.all([other, hiding, taken].map((host) => host.close()));
    `);
    expect(answer).toEqual([false, false, true]);
  });

  test('that nobody opens neither keeps the process alive nor outlives it', async () => {
    const prepared = runScript('prepareTokenHost(); console.log(JSON.stringify(children()[0]));') as number;
    await waitUntil(() => !isRunning(prepared));
    expect(isRunning(prepared)).toBe(false);
  });
});
