import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const source = fileURLToPath(new URL('fault-shim.c', import.meta.url));
/** The headers that pkcs11js is built with. */
const headers = fileURLToPath(new URL('../../node_modules/pkcs11js/includes/pkcs11', import.meta.url));

/** Why the shim cannot be built on this machine; `undefined` when it can. */
export const shimMissing: string | undefined =
  process.platform === 'win32'
    ? 'the shim is written for POSIX'
    : spawnSync('cc', ['--version']).status !== 0
      ? 'there is no C compiler'
      : existsSync(join(headers, 'pkcs11.h'))
        ? undefined
        : 'the headers of pkcs11js are not there';

// On a developer's machine tests without a shim are left out by name; in CI nothing is left out.
if (process.env['CI'] === 'true' && shimMissing !== undefined) throw new Error(`the fault shim: ${shimMissing}`);

/** The shim before a module: its library, what to put into the environment, and its rules and log. */
export interface FaultShim {
  readonly module: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Sets the rules, for every call from now on. */
  setRules(...rules: readonly string[]): void;
  /**
   * The watched functions that were called since the last time this was asked, or since the beginning. The log is only
   * read: a library may write to it at this moment.
   */
  takeCalls(): readonly string[];
  /** The watched functions that were called since they were last taken; none is taken, so that none is lost. */
  calls(): readonly string[];
  /** The same library with rules and a log of their own, in this folder: for commands that run side by side. */
  withOwnRules(folder: string): FaultShim;
}

/** Compiles the shim into a folder, which is made where it is missing, to stand before a module. */
export function buildFaultShim(folder: string, module: string): FaultShim {
  mkdirSync(folder, { recursive: true });
  const library = join(folder, 'fault-shim.so');
  const words = ['-O1', '-shared', '-fPIC', '-I', headers, '-o', library, source, '-ldl', '-lpthread'];
  const result = spawnSync('cc', words, { encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`the fault shim does not compile: ${result.stderr}`);
  return shimWith(library, folder, module);
}

function shimWith(library: string, folder: string, module: string): FaultShim {
  const rules = join(folder, 'rules');
  const log = join(folder, 'calls');
  writeFileSync(rules, '');
  writeFileSync(log, '');
  /** How much of the log was taken, in bytes. */
  let taken = 0;
  const fresh = (): Buffer => {
    const bytes = readFileSync(log).subarray(taken);
    return bytes.subarray(0, bytes.lastIndexOf('\n') + 1);
  };
  const namesIn = (bytes: Buffer): readonly string[] => bytes.toString('utf8').split('\n').filter(Boolean);
  return {
    module: library,
    environment: { FAULT_SHIM_MODULE: module, FAULT_SHIM_RULES: rules, FAULT_SHIM_LOG: log },
    setRules(...lines) {
      writeFileSync(rules, lines.map((line) => `${line}\n`).join(''));
    },
    takeCalls() {
      const bytes = fresh();
      taken += bytes.length;
      return namesIn(bytes);
    },
    calls: () => namesIn(fresh()),
    withOwnRules: (own) => shimWith(library, own, module),
  };
}
