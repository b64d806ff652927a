import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { verifyDigest } from '../../src/signer/index.js';
import { openTokenSigner } from '../../src/token/index.js';
import { buildFaultShim, shimMissing } from '../fault-shim/build.js';
import { skipReason } from '../skip-reason.js';
import { makeSoftTokens, pinSource, requestFor, temporaryFolder } from './soft-tokens.js';

const folder = temporaryFolder();

function buildFewSessions(): string {
  const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
  const headers = path('../../node_modules/pkcs11js/includes/pkcs11');
  const library = join(folder, 'few-sessions.so');
  const words = ['-O1', '-shared', '-fPIC', '-I', headers, '-o', library, path('few-sessions.c'), '-ldl'];
  const { status, stderr } = spawnSync('cc', words, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`few-sessions.c does not compile: ${stderr}`);
  return library;
}

describe.skipIf(shimMissing !== undefined)(`a token with few sessions${skipReason(shimMissing)}`, () => {
  test.each([
    [1, 1],
    [2, 2],
    [2, 4],
    [3, 2],
  ])('of %i, with %i wanted: a signature that fails leaves the next one to be made', async (most, sessions) => {
    const place = join(folder, `${String(most)}-${String(sessions)}`);
    mkdirSync(place);
    const soft = await makeSoftTokens(place, [{ label: 'CTL', bits: 1024 }]);
    const shim = buildFaultShim(place, buildFewSessions());
    const environment = {
      ...soft.environment,
      ...shim.environment,
      ETOKEN_BRIDGE_MODULE: shim.module,
      FEW_SESSIONS_MODULE: soft.softHsm.module,
      FEW_SESSIONS_MOST: String(most),
    };
    const signer = await openTokenSigner({ environment, pin: pinSource().ask, sessions });
    const requests = Array.from({ length: 40 }, (_, index) => requestFor('sha1', Uint8Array.of(index)));
    try {
      await signer.signBatch(requests);
      // The other threads start with the first batch, and open their sessions with the next.
      if (sessions > 1) await new Promise((resolve) => setTimeout(resolve, 500));
      await signer.signBatch(requests);
      for (const [rule, functionName] of [
        ['C_Sign rv=0x30', 'C_Sign'],
        ['C_SignInit rv=0x30', 'C_SignInit'],
        ['C_Sign rv=0x30', 'C_Sign'],
      ] as const) {
        shim.setRules(rule);
        await expect(signer.signBatch(requests)).rejects.toMatchObject({
          functionName,
          returnValue: 'CKR_DEVICE_ERROR',
        });
        shim.setRules();
        const signatures = await signer.signBatch(requests);
        expect(requests.every((one, index) => verifyDigest(signer.certificate, one, signatures[index]!))).toBe(true);
      }
    } finally {
      await signer.close();
    }
  });
});
