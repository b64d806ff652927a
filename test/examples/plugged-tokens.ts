import { randomInt } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createSastToken, createSoftHsm, createStandInAuthority, type SastIdentity } from 'softhsm-config';

/** Soft tokens that stand for those of an administrator, whose shell is set up for them. */
export interface PluggedTokens {
  readonly tokens: readonly SastIdentity[];
  readonly pin: string;
  /** A PIN that is none of theirs. */
  readonly wrongPin: string;
  readonly pinFile: string;
  readonly wrongPinFile: string;
  /** What the administrator's shell exports: the library, and SoftHSM2's own configuration. */
  readonly environment: Readonly<Record<string, string>>;
}

export async function plugTokens(folder: string, labels: readonly string[]): Promise<PluggedTokens> {
  const softHsm = await createSoftHsm(join(folder, 'softhsm'));
  const authority = await createStandInAuthority();
  const pin = `${randomInt(10_000_000, 100_000_000)}-right`;
  const wrongPin = `${randomInt(10_000_000, 100_000_000)}-wrong`;
  const tokens: SastIdentity[] = [];
  for (const label of labels) {
    tokens.push(await createSastToken(softHsm, { label, pin, soPin: '24681357', bits: 1024, authority }));
  }
  const [pinFile, wrongPinFile] = [join(folder, 'pin'), join(folder, 'wrong-pin')];
  writeFileSync(pinFile, pin, { mode: 0o600 });
  writeFileSync(wrongPinFile, wrongPin, { mode: 0o600 });
  const environment = { ...softHsm.environment, ETOKEN_BRIDGE_MODULE: softHsm.module };
  return { tokens, pin, wrongPin, pinFile, wrongPinFile, environment };
}
