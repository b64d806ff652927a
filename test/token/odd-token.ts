import { spawnSync } from 'node:child_process';
import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { SoftHsm } from 'softhsm-config';

const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** A module whose tokens have the habits that the environment asks for (odd-token.c). */
export interface OddModule {
  readonly module: string;
  readonly environment: Readonly<Record<string, string>>;
  /** The functions that a PIN was given to, in their order. */
  triedPins(): readonly string[];
}

/** Compiles odd-token.c into a folder, to stand before a module. */
export function buildOddModule(folder: string, module: string): OddModule {
  const library = join(folder, 'odd-token.so');
  const log = join(folder, 'tried-pins');
  const headers = path('../../node_modules/pkcs11js/includes/pkcs11');
  const words = ['-O1', '-shared', '-fPIC', '-I', headers, '-o', library, path('odd-token.c'), '-ldl'];
  const { status, stderr } = spawnSync('cc', words, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`odd-token.c does not compile: ${stderr}`);
  return {
    module: library,
    environment: { ODD_TOKEN_MODULE: module, ODD_TOKEN_LOG: log },
    triedPins: () => (existsSync(log) ? readFileSync(log, 'utf8').split('\n').filter(Boolean) : []),
  };
}

/** Runs a program with pkcs11js as `p`, the module as `l` and the PIN as `pin`, in a process of its own. */
export function runWithPkcs11(softHsm: SoftHsm, pin: string, body: string): string {
  const program = `
    const p = require(process.argv[1]); const l = new p.PKCS11(); l.load(process.argv[2]); l.C_Initialize();
    const pin = process.env.PIN;
    const slotOf = (serial) => l.C_GetSlotList(true).find((s) => l.C_GetTokenInfo(s).serialNumber.trim() === serial);
    const attributes = (pairs) => pairs.map(([type, value]) => ({ type, value }));
    ${body}
    l.C_Finalize();`;
  const words = ['-e', program, createRequire(import.meta.url).resolve('pkcs11js'), softHsm.module];
  const { status, stdout, stderr } = spawnSync(process.execPath, words, {
    encoding: 'utf8',
    env: { ...process.env, ...softHsm.environment, PIN: pin },
  });
  if (status !== 0) throw new Error(stderr);
  return stdout;
}

/** Makes a key with CKA_ALWAYS_AUTHENTICATE, which softhsm-config has no use for. */
export function makeStrictKey(softHsm: SoftHsm, serialNumber: string, pin: string): KeyObject {
  const printed = runWithPkcs11(
    softHsm,
    pin,
    `const s = l.C_OpenSession(slotOf('${serialNumber}'), 6); l.C_Login(s, 1, pin);
     const pair = l.C_GenerateKeyPair(s, { mechanism: p.CKM_RSA_PKCS_KEY_PAIR_GEN },
       attributes([[p.CKA_TOKEN, true], [p.CKA_MODULUS_BITS, 1024], [p.CKA_PUBLIC_EXPONENT, Buffer.from([1, 0, 1])]]),
       attributes([[p.CKA_TOKEN, true], [p.CKA_PRIVATE, true], [p.CKA_SENSITIVE, true], [p.CKA_SIGN, true],
         [p.CKA_ALWAYS_AUTHENTICATE, true]]));
     const read = (type) => l.C_GetAttributeValue(s, pair.publicKey, [{ type }])[0].value.toString('base64url');
     console.log(JSON.stringify({ kty: 'RSA', n: read(p.CKA_MODULUS), e: read(p.CKA_PUBLIC_EXPONENT) }));`,
  );
  return createPublicKey({ key: JSON.parse(printed) as JsonWebKey, format: 'jwk' });
}
