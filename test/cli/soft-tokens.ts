import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { createSastToken, createSoftHsm, createStandInAuthority, type SastIdentity } from 'softhsm-config';
import { jsonOf, run, temporaryFolder, type Outcome, type RunOptions } from './etoken-bridge.js';

/** Long enough that none of them stands anywhere by chance. */
export const pins = { first: 'Kv7rJ2-pin-one', second: 'Hw3sT9-pin-two', wrong: 'Qx9mT4-pin-bad' } as const;

/** A soft eToken with what a command needs to use it. */
export interface SoftEtoken extends SastIdentity {
  readonly pin: string;
  readonly pinFile: string;
  /** `--token URI --pin-file FILE` */
  readonly options: readonly string[];
}

/** Two soft eTokens in a SoftHSM2 of their own, and a practice cluster, all in one folder. */
export interface SoftTokens {
  /** Commands run here. */
  readonly folder: string;
  readonly module: string;
  /** For commands that are to find the tokens. */
  readonly environment: Readonly<Record<string, string>>;
  readonly first: SoftEtoken;
  readonly second: SoftEtoken;
  /** A file with a PIN that is neither's. */
  readonly wrongPinFile: string;
  /** The cluster file of the practice cluster, relative to the folder: two nodes, release 11.5.1. */
  readonly cluster: string;
  /** Runs a command beside the tokens. SoftHSM2 takes one process at a time, and this waits for its end. */
  readonly run: (words: readonly string[], options?: RunOptions) => Outcome;
  /** Puts the certificates of both tokens into Phone-SAST-trust of a copy of the cluster file; gives its path. */
  readonly clusterWithTokens: () => string;
  /** A token list of both tokens, signed by the first. */
  readonly makeTokenList: (path: string) => void;
}

export async function makeSoftTokens(): Promise<SoftTokens> {
  const folder = temporaryFolder();
  const softHsm = await createSoftHsm(join(folder, 'softhsm'));
  const authority = await createStandInAuthority();
  const environment = { ...softHsm.environment, ETOKEN_BRIDGE_MODULE: softHsm.module };
  const make = async (label: string, pin: string): Promise<SoftEtoken> => {
    const identity = await createSastToken(softHsm, { label, pin, soPin: 'so-pin-1234', bits: 1024, authority });
    const pinFile = join(folder, `${label.replace(' ', '-')}.pin`);
    writeFileSync(pinFile, `${pin}\n`, { mode: 0o600 });
    return { ...identity, pin, pinFile, options: ['--token', identity.token.uri, '--pin-file', pinFile] };
  };
  const first = await make('SAST first', pins.first);
  const second = await make('SAST second', pins.second);
  const wrongPinFile = join(folder, 'wrong.pin');
  writeFileSync(wrongPinFile, pins.wrong, { mode: 0o600 });

  const runHere = (words: readonly string[], options: RunOptions = {}): Outcome =>
    run(words, { cwd: folder, ...options, env: { ...environment, ...options.env } });
  const nodes = ['--node', 'cucm-pub,10.48.47.153', '--node', 'cucm-sub1,10.48.47.154'];
  const made = runHere(['cluster', 'init', 'cluster', '--lab', '--key-bits', '1024', '--release', '11.5.1', ...nodes]);
  expect(made.stderr).toContain('for practice');
  expect(made.status).toBe(0);
  const cluster = 'cluster/cluster.yaml';
  const signFirst = ['--mode', 'token', '--cluster', cluster, ...first.options];
  return {
    folder,
    module: softHsm.module,
    environment,
    first,
    second,
    wrongPinFile,
    cluster,
    run: runHere,
    clusterWithTokens: () => writeClusterWithTokens(folder, cluster, [first, second]),
    makeTokenList: (path) => {
      expect(runHere(['ctl', 'create', '--out', path, ...signFirst]).stderr).toContain('next: ');
    },
  };
}

function writeClusterWithTokens(folder: string, cluster: string, tokens: readonly SoftEtoken[]): string {
  mkdirSync(join(folder, 'cluster/tokens'), { recursive: true });
  const lines = tokens.map(({ certificate, commonName }) => {
    const path = `tokens/${commonName.trim()}.cer`;
    writeFileSync(join(folder, 'cluster', path), certificate.der);
    return `    - ${path}\n`;
  });
  const text = readFileSync(join(folder, cluster), 'utf8');
  const filled = text.replace(/^ {2}Phone-SAST-trust:\n/m, (line) => line + lines.join(''));
  expect(filled).not.toBe(text);
  const path = 'cluster/cluster-with-tokens.yaml';
  writeFileSync(join(folder, path), filled);
  return path;
}

/** The state of each token's PIN by its label, as `token list --json` tells it. */
export function pinStates(tokens: SoftTokens): Readonly<Record<string, string>> {
  const { tokens: listed } = jsonOf(tokens.run(['token', 'list', '--json'])) as {
    tokens: { label: string; pin: { state: string } }[];
  };
  return Object.fromEntries(listed.map(({ label, pin }) => [label, pin.state]));
}
