import { execFile } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { DeviceError } from 'etoken-bridge';
import { findSoftHsm, softHsmCandidates, type SoftHsmInstallation, type SoftHsmSearch } from './find.js';

/** How one package manager installs SoftHSM2 without asking anything. */
interface PackageManager {
  readonly program: string;
  readonly packageName: string;
  readonly installing: readonly string[];
  /** Fetches the package lists; used when installing failed, because an image may have none, or old ones. */
  readonly refreshing?: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Homebrew refuses to run as root; the others need it. */
  readonly asRoot: boolean;
}

/** The package managers, in the order they are looked for. */
const packageManagers: readonly PackageManager[] = [
  {
    program: 'apt-get',
    packageName: 'softhsm2',
    // Another apt may be at work (unattended upgrades, an image that is being set up): wait for it, in seconds.
    installing: ['-o', 'DPkg::Lock::Timeout=120', '-q', '-y', '--no-install-recommends', 'install', 'softhsm2'],
    refreshing: ['-o', 'DPkg::Lock::Timeout=120', '-q', 'update'],
    environment: { DEBIAN_FRONTEND: 'noninteractive' },
    asRoot: true,
  },
  {
    program: 'dnf',
    packageName: 'softhsm',
    installing: ['-q', '-y', '--setopt=install_weak_deps=False', 'install', 'softhsm'],
    environment: {},
    asRoot: true,
  },
  {
    program: 'apk',
    packageName: 'softhsm',
    installing: ['-q', '--no-cache', 'add', 'softhsm'],
    environment: {},
    asRoot: true,
  },
  {
    program: 'brew',
    packageName: 'softhsm',
    installing: ['install', '-q', 'softhsm'],
    environment: { HOMEBREW_NO_ENV_HINTS: '1' },
    asRoot: false,
  },
];

/** What decides how SoftHSM2 can be installed. */
export interface InstallationConditions {
  readonly isRoot: boolean;
  /** Whether a program can be run, by its name. */
  readonly hasProgram: (name: string) => boolean;
}

/** How SoftHSM2 is to be installed: whole commands, program first. */
export interface InstallationPlan {
  readonly packageManager: string;
  readonly packageName: string;
  /** `false` when root's rights are needed and cannot be had: then the commands are for a person to run as root. */
  readonly allowed: boolean;
  readonly installing: readonly string[];
  readonly refreshing: readonly string[] | undefined;
  readonly environment: Readonly<Record<string, string>>;
}

/** Chooses the package manager and its commands; `undefined` when there is none that is known. */
export function planInstallation(conditions: InstallationConditions): InstallationPlan | undefined {
  const manager = packageManagers.find(({ program }) => conditions.hasProgram(program));
  if (manager === undefined) return undefined;
  const rightsMissing = manager.asRoot && !conditions.isRoot;
  const withSudo = rightsMissing && conditions.hasProgram('sudo');
  // sudo drops the environment, so that what the package manager needs is set behind it. -n: fail rather than ask.
  const settings = Object.entries(manager.environment).map(([name, value]) => `${name}=${value}`);
  const prefix = withSudo ? ['sudo', '-n', ...(settings.length > 0 ? ['env', ...settings] : [])] : [];
  return {
    packageManager: manager.program,
    packageName: manager.packageName,
    allowed: !rightsMissing || withSudo,
    installing: [...prefix, manager.program, ...manager.installing],
    refreshing: manager.refreshing === undefined ? undefined : [...prefix, manager.program, ...manager.refreshing],
    environment: manager.environment,
  };
}

/** How {@link installSoftHsm} reports, and where it looks. */
export interface InstallOptions {
  /** Gets one line for each step that takes time. */
  readonly log?: (line: string) => void;
  readonly search?: SoftHsmSearch;
}

/**
 * Finds SoftHSM2, or installs it with apt-get, dnf, apk or brew (through `sudo -n` where that is needed and there).
 *
 * @throws DeviceError `install-failed` when it cannot be installed: the hint says exactly what to do by hand;
 *   `module-missing` when `SOFTHSM2_MODULE` names a file that does not exist.
 */
export async function installSoftHsm(options: InstallOptions = {}): Promise<SoftHsmInstallation> {
  const search = options.search ?? {};
  const present = findSoftHsm(search);
  if (present !== undefined) return present;

  const environment = search.environment ?? process.env;
  const plan = planInstallation({
    isRoot: process.getuid?.() === 0,
    hasProgram: (name) => isOnPath(name, environment['PATH'] ?? ''),
  });
  if (plan === undefined) throw noPackageManager();
  if (!plan.allowed) throw noRights(plan);
  options.log?.(`installing ${plan.packageName} with ${plan.packageManager}`);
  await runPlan(plan, { ...environment, ...plan.environment }, options.log);

  const installed = findSoftHsm(search);
  if (installed === undefined) throw nowhereFound(plan, search.candidates ?? softHsmCandidates());
  return installed;
}

async function runPlan(
  plan: InstallationPlan,
  environment: Readonly<Record<string, string | undefined>>,
  log: InstallOptions['log'],
): Promise<void> {
  let outcome = await run(plan.installing, environment);
  if (!outcome.done && plan.refreshing !== undefined) {
    log?.(`fetching the package lists with ${plan.packageManager}`);
    const refreshed = await run(plan.refreshing, environment);
    outcome = refreshed.done ? await run(plan.installing, environment) : refreshed;
  }
  if (outcome.done) return;
  const byHand = `${commandByHand(plan)} (as root)`;
  throw new DeviceError(
    'install-failed',
    `SoftHSM2 could not be installed: ${outcome.command} failed: ${outcome.said}`,
    {},
    { hint: `run ${plan.packageManager === 'brew' ? commandByHand(plan) : byHand} and see what it says` },
  );
}

/** How long one command of a package manager may take, in milliseconds. */
const commandLimit = 600_000;

interface CommandOutcome {
  readonly done: boolean;
  readonly command: string;
  /** The last lines it wrote, or how it ended when it wrote nothing. */
  readonly said: string;
}

function run(
  words: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Promise<CommandOutcome> {
  const [program = '', ...rest] = words;
  const options = { env: environment, timeout: commandLimit, maxBuffer: 64 * 1024 * 1024, encoding: 'utf8' } as const;
  return new Promise((settle) => {
    execFile(program, rest, options, (error, stdout, stderr) => {
      const lines = (stderr.trim() === '' ? stdout : stderr).trim().split('\n').slice(-4);
      const said = lines.join('; ') === '' ? (error?.message ?? '') : lines.join('; ');
      settle({ done: error === null, command: words.join(' '), said });
    });
  });
}

function isOnPath(program: string, path: string): boolean {
  const names = process.platform === 'win32' ? [`${program}.exe`, `${program}.cmd`] : [program];
  return path
    .split(delimiter)
    .filter((folder) => folder !== '')
    .flatMap((folder) => names.map((name) => join(folder, name)))
    .some(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** What a person types: the same command without what only serves silence. */
function commandByHand(plan: InstallationPlan): string {
  return `${plan.packageManager} ${plan.packageManager === 'apk' ? 'add' : 'install'} ${plan.packageName}`;
}

function noPackageManager(): DeviceError {
  const names = packageManagers.map(({ program }) => program).join(', ');
  const hint =
    'install the package softhsm2 (Debian, Ubuntu) or softhsm (Fedora, Alpine, Homebrew, MacPorts), ' +
    'or set SOFTHSM2_MODULE to the path of libsofthsm2.so';
  return new DeviceError(
    'install-failed',
    `SoftHSM2 is not on this machine, and neither is a package manager to install it with (${names})`,
    {},
    { hint },
  );
}

function noRights(plan: InstallationPlan): DeviceError {
  return new DeviceError(
    'install-failed',
    `SoftHSM2 is not on this machine, and installing it with ${plan.packageManager} needs root or sudo`,
    {},
    { hint: `run as root: ${commandByHand(plan)}` },
  );
}

function nowhereFound(plan: InstallationPlan, candidates: readonly string[]): DeviceError {
  return new DeviceError(
    'install-failed',
    `${plan.packageManager} installed ${plan.packageName}, but its library is in none of the places looked in: ` +
      candidates.join(', '),
    {},
    { hint: `install ${plan.packageName} again, or set SOFTHSM2_MODULE to the path of libsofthsm2.so` },
  );
}
