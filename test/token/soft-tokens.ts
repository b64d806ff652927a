import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  createSastToken,
  createSoftHsm,
  createStandInAuthority,
  type SastIdentity,
  type SoftHsm,
  type StandInAuthority,
} from 'softhsm-config';
import { digestOf, type DigestAlgorithm, type SignRequest } from '../../src/signer/index.js';
import { Pin, type Environment, type PinRequest } from '../../src/token/index.js';
import { makeTemporaryFolder } from '../temporary-folders.js';

/** Not four digits: a shorter one could stand in a message by chance. */
export const rightPin = 'Kv7#rJ2-right';
export const wrongPin = 'Qx9#mT4-wrong';

/** A folder that is gone when the tests of the file are done. */
export function temporaryFolder(): string {
  return makeTemporaryFolder('etoken-bridge-token-');
}

/** A SoftHSM2 of a test's own, with soft eTokens in it. */
export interface SoftTokens {
  readonly softHsm: SoftHsm;
  readonly authority: StandInAuthority;
  readonly identities: readonly SastIdentity[];
  /** For this SoftHSM2, and naming its module. */
  readonly environment: Environment;
}

export async function makeSoftTokens(
  folder: string,
  tokens: readonly { readonly label: string; readonly bits: 1024 | 2048 }[],
): Promise<SoftTokens> {
  const softHsm = await createSoftHsm(join(folder, 'softhsm'));
  const authority = await createStandInAuthority();
  const identities: SastIdentity[] = [];
  for (const { label, bits } of tokens) {
    identities.push(await createSastToken(softHsm, { label, bits, pin: rightPin, soPin: '12345678', authority }));
  }
  const environment = { ...process.env, ...softHsm.environment, ETOKEN_BRIDGE_MODULE: softHsm.module };
  return { softHsm, authority, identities, environment };
}

/** Gives a PIN, and counts how often it was asked for. */
export function pinSource(value: string = rightPin): { readonly ask: PinRequest; readonly asked: () => number } {
  let count = 0;
  return {
    ask: () => {
      count += 1;
      return Promise.resolve(new Pin(value));
    },
    asked: () => count,
  };
}

export function requestFor(digestAlgorithm: DigestAlgorithm, message: Uint8Array): SignRequest {
  return { digestAlgorithm, digest: digestOf(digestAlgorithm, message), message };
}

/** Whether a process is there, and not only waiting to be reaped. */
export function isRunning(processId: number): boolean {
  const state = stateOf(processId);
  return state !== '' && !state.startsWith('Z');
}

/** The letter of a process's state; empty when there is none. */
function stateOf(processId: number): string {
  if (!existsSync('/proc/self/stat')) {
    return spawnSync('ps', ['-o', 'stat=', '-p', String(processId)], { encoding: 'utf8' }).stdout.trim();
  }
  try {
    return readFileSync(`/proc/${String(processId)}/stat`, 'latin1').replace(/^.*\) /s, '');
  } catch {
    return '';
  }
}

export async function waitUntil(condition: () => boolean, milliseconds = 30_000): Promise<boolean> {
  const end = Date.now() + milliseconds;
  while (Date.now() < end) {
    if (condition()) return true;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return condition();
}
