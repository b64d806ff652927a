import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { openTokenHost, watchTokens, type Environment, type TokenEvent } from '../../src/token/index.js';
import { buildFaultShim, shimMissing, type FaultShim } from '../fault-shim/build.js';
import { skipReason } from '../skip-reason.js';
import { isRunning, makeSoftTokens, temporaryFolder, waitUntil, type SoftTokens } from './soft-tokens.js';

describe.skipIf(shimMissing !== undefined)(`a library that is slow to finalise${skipReason(shimMissing)}`, () => {
  let soft: SoftTokens;
  let shim: FaultShim;
  let environment: Environment;

  beforeAll(async () => {
    const folder = temporaryFolder();
    soft = await makeSoftTokens(folder, [{ label: 'CTL', bits: 1024 }]);
    shim = buildFaultShim(join(folder, 'shim'), soft.softHsm.module);
    const limit = { ETOKEN_BRIDGE_TOKEN_TIMEOUT: '60' };
    environment = { ...soft.environment, ...shim.environment, ETOKEN_BRIDGE_MODULE: shim.module, ...limit };
  });

  test('has the time of any other call where it is started anew: it is watched', async () => {
    shim.setRules('C_Finalize delay=2500');
    shim.takeCalls();
    const stop = new AbortController();
    const events: TokenEvent[] = [];
    const watching = (async () => {
      const watch = watchTokens({ environment, interval: 100, signal: stop.signal });
      for await (const event of watch) events.push(event);
    })();
    // Before each look but the first it is finalised, in a process that stays.
    const begun = (): number => shim.calls().filter((name) => name === 'C_Initialize').length;
    expect(await waitUntil(() => begun() >= 3, 50_000)).toBe(true);
    stop.abort();
    await watching;
    expect(events.map(({ kind }) => kind)).toEqual(['present']);
    expect(shim.calls().filter((name) => name === 'C_GetFunctionList')).toHaveLength(1);
  });

  test('is cut short where it is let go of', async () => {
    shim.setRules('C_Finalize hang');
    const host = openTokenHost({ modulePath: shim.module, environment, callTimeout: 600_000 });
    await host.request('tokens', { modulePath: shim.module });
    // No test waits as long as the limit of its calls.
    await host.close();
    expect(isRunning(host.processId!)).toBe(false);
  });
});
