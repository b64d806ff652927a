import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { DeviceError } from 'etoken-bridge';

/** A SoftHSM2 that is on this machine. */
export interface SoftHsmInstallation {
  /** The absolute path of its PKCS#11 library, `libsofthsm2.so`. */
  readonly module: string;
}

/** Where to look. Everything left out is this process's own. */
export interface SoftHsmSearch {
  /** `SOFTHSM2_MODULE` names the library; `PATH` is where package managers are looked for. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** The paths to try, in this order. */
  readonly candidates?: readonly string[];
}

/** The folder below `/usr/lib` that Debian keeps libraries of an architecture in, by Node's name of it. */
const debianFolders: Readonly<Record<string, string>> = {
  x64: 'x86_64-linux-gnu',
  arm64: 'aarch64-linux-gnu',
  arm: 'arm-linux-gnueabihf',
  ppc64: 'powerpc64le-linux-gnu',
  riscv64: 'riscv64-linux-gnu',
  s390x: 's390x-linux-gnu',
};

/** Where packages and builds put the library, by Node's name of the system (`<debian>`: see above). */
const libraryPaths: Readonly<Record<string, readonly string[]>> = {
  linux: [
    '/usr/lib/softhsm/libsofthsm2.so', // Debian, Ubuntu, Alpine
    '/usr/lib/<debian>/softhsm/libsofthsm2.so', // Debian, Ubuntu
    '/usr/lib64/libsofthsm2.so', // Fedora, RHEL
    '/usr/lib64/pkcs11/libsofthsm2.so', // Fedora, RHEL
    '/usr/lib64/softhsm/libsofthsm2.so', // openSUSE, older RHEL
    '/usr/lib/libsofthsm2.so', // Arch
    '/usr/local/lib/softhsm/libsofthsm2.so', // built from source
    '/home/linuxbrew/.linuxbrew/lib/softhsm/libsofthsm2.so', // Homebrew on Linux
  ],
  darwin: [
    '/opt/homebrew/lib/softhsm/libsofthsm2.so', // Homebrew, Apple silicon
    '/opt/homebrew/opt/softhsm/lib/softhsm/libsofthsm2.so', // the same, not linked
    '/usr/local/lib/softhsm/libsofthsm2.so', // Homebrew, Intel
    '/usr/local/opt/softhsm/lib/softhsm/libsofthsm2.so', // the same, not linked
    '/opt/local/lib/softhsm/libsofthsm2.so', // MacPorts
  ],
  win32: ['C:\\SoftHSM2\\lib\\softhsm2-x64.dll', 'C:\\SoftHSM2\\lib\\softhsm2.dll'],
};

/** The paths that are tried on a system, in this order. */
export function softHsmCandidates(
  platform: string = process.platform,
  architecture: string = process.arch,
): readonly string[] {
  const folder = debianFolders[architecture];
  return (libraryPaths[platform] ?? [])
    .filter((path) => folder !== undefined || !path.includes('<debian>'))
    .map((path) => path.replace('<debian>', folder ?? ''));
}

/**
 * Finds SoftHSM2: the library that the environment variable `SOFTHSM2_MODULE` names, else the first of the paths
 * where packages put it. Only looks; loads nothing.
 *
 * @throws DeviceError `module-missing` or `module-not-a-library` when `SOFTHSM2_MODULE` does not name a file: a wrong
 *   setting must not be passed over in silence.
 */
export function findSoftHsm(search: SoftHsmSearch = {}): SoftHsmInstallation | undefined {
  const named = (search.environment ?? process.env)['SOFTHSM2_MODULE'];
  if (named !== undefined && named !== '') return { module: checkNamedModule(resolve(named)) };
  const module = (search.candidates ?? softHsmCandidates()).find(
    (path) => statSync(path, { throwIfNoEntry: false })?.isFile() === true,
  );
  return module === undefined ? undefined : { module };
}

/** The error of everything that needs SoftHSM2 and does not install it. */
export function missingSoftHsm(): DeviceError {
  const hint = 'run softhsm-config install, or set SOFTHSM2_MODULE to the path of libsofthsm2.so';
  return new DeviceError('module-missing', 'SoftHSM2 is not on this machine', {}, { hint });
}

function checkNamedModule(module: string): string {
  const hint = 'set SOFTHSM2_MODULE to the path of libsofthsm2.so, or unset it to have it found';
  const found = statSync(module, { throwIfNoEntry: false });
  if (found === undefined) {
    throw new DeviceError('module-missing', `SOFTHSM2_MODULE names ${module}, which does not exist`, {}, { hint });
  }
  if (!found.isFile()) {
    throw new DeviceError('module-not-a-library', `SOFTHSM2_MODULE names ${module}, which is no file`, {}, { hint });
  }
  return module;
}
