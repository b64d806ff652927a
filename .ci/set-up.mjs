// Brings a fresh clone to the state that `npm start` and `npm test` need: packages, a build, SoftHSM2.
// Does nothing that is already done, so that it costs little on every later run.
import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * Runs a command quietly; prints what it said only when it failed.
 *
 * @param {[string, ...string[]]} words
 * @param {string} what
 */
function run(words, what) {
  const [command, ...rest] = words;
  const result = spawnSync(command, rest, { cwd: root, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  if (result.status === 0) return;
  console.error(`${result.stdout ?? ''}${result.stderr ?? ''}`);
  console.error(`error: ${what} failed (${words.join(' ')}): ${result.error?.message ?? `exit code ${result.status}`}`);
  process.exit(result.status ?? 1);
}

/** Whether a command runs at all. @param {string} command @param {string[]} words */
function runs(command, ...words) {
  return spawnSync(command, words, { cwd: root, stdio: 'ignore' }).status === 0;
}

/** Whether the packages for PKCS#11 are there and were built. npm leaves them out, silently, when building fails. */
function hasBinding() {
  return runs(process.execPath, '-e', "require('pkcs11js'); require('graphene-pk11')");
}

/** Packages by name for what is missing: a compiler for pkcs11js and the fault shim, openssl for the proofs. */
function installPrograms() {
  const missing = [
    ...(runs('cc', '--version') && runs('make', '--version') && runs('python3', '--version') ? [] : ['compiler']),
    ...(runs('openssl', 'version') ? [] : ['openssl']),
  ];
  if (missing.length === 0) return;
  const packages = missing.flatMap((name) => (name === 'openssl' ? ['openssl'] : ['build-essential', 'python3']));
  if (runs('apt-get', '--version') && installByApt(packages)) return;
  console.error(
    `warning: ${missing.join(' and ')} not found; install it (Debian: ${packages.join(' ')}; Fedora: gcc-c++ make`,
  );
  console.error(
    'python3 openssl; Alpine: build-base python3 openssl; macOS: xcode-select --install), then run this again',
  );
}

/**
 * Other programs that speak TFTP and SFTP, and other PKCS#11 modules, for the tests: without one of them its test is
 * skipped by name, so that only CI, which must run all, installs them.
 */
function installTestPrograms() {
  const programs = [
    ['curl', 'curl', '--version'],
    ['tftp-hpa', 'tftp', '-V'],
    ['atftp', 'atftp', '--version'],
    ['tftpd-hpa', 'in.tftpd', '-V'],
    ['openssh-client', 'ssh', '-V'],
    ['openssh-server', '/usr/sbin/sshd', '-V'],
    ['procps', 'ps', '--version'],
  ].flatMap(([name = '', program = '', word = '']) => (runs(program, word) ? [] : [name]));
  const missing = [...programs, ...modulePackages()];
  if (missing.length === 0 || process.env['CI'] !== 'true' || !runs('apt-get', '--version')) return;
  if (installByApt(missing)) return;
  console.error(`warning: ${missing.join(', ')} could not be installed; their tests are skipped, or fail`);
}

/** The packages of test/modules that are not there, by a file of each. */
function modulePackages() {
  if (process.platform !== 'linux') return [];
  const libraries = `/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`;
  return Object.entries({
    libnss3: `${libraries}/libsoftokn3.so`,
    'libnss3-tools': '/usr/bin/certutil',
    opencryptoki: `${libraries}/pkcs11/libopencryptoki.so`,
    swtpm: '/usr/bin/swtpm',
    'libtpm2-pkcs11-1': `${libraries}/pkcs11/libtpm2_pkcs11.so`,
    'libtpm2-pkcs11-tools': '/usr/bin/tpm2_ptool',
    'tpm2-tools': '/usr/bin/tpm2_dictionarylockout',
    'tpm2-abrmd': '/usr/sbin/tpm2-abrmd',
    'libtss2-tcti-tabrmd0': `${libraries}/libtss2-tcti-tabrmd.so.0`,
    'dbus-daemon': '/usr/bin/dbus-daemon',
    opensc: '/usr/bin/pkcs11-tool',
    'p11-kit': '/usr/bin/p11-kit',
    'p11-kit-modules': `${libraries}/pkcs11/p11-kit-client.so`,
  }).flatMap(([name, file]) => (existsSync(file) ? [] : [name]));
}

/** Whether Debian's packages of these names could be installed. @param {string[]} packages */
function installByApt(packages) {
  console.error(`set-up: installing ${packages.join(' ')} (apt-get)`);
  const sudo = process.getuid?.() === 0 ? [] : ['sudo', '-n'];
  const apt = [...sudo, 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get'];
  const install = [...apt, 'install', '-y', '-qq', '--no-install-recommends', ...packages];
  return runs(...asCommand([...apt, 'update', '-qq'])) && runs(...asCommand(install));
}

/** @param {string[]} words @returns {[string, ...string[]]} */
function asCommand(words) {
  const [command = '', ...rest] = words;
  return [command, ...rest];
}

/**
 * @param {string} file
 * @param {string} thanFile
 */
function newer(file, thanFile) {
  return existsSync(file) && existsSync(thanFile) && statSync(file).mtimeMs >= statSync(thanFile).mtimeMs;
}

installPrograms();
installTestPrograms();
if (!newer(`${root}node_modules/.package-lock.json`, `${root}package-lock.json`) || !hasBinding()) {
  console.error('set-up: installing packages (npm ci)');
  run(['npm', 'ci', '--no-audit', '--no-fund'], 'installing packages');
  if (!hasBinding()) {
    console.error('error: pkcs11js was not built, and without it no token can be used');
    console.error(
      'hint: install a C++ compiler, make and Python 3, let npm run the install script of pkcs11js, and run this again',
    );
    process.exit(3);
  }
}
await import('./build.mjs');
const { installSoftHsm } = await import('softhsm-config');
try {
  const found = await installSoftHsm({ log: (line) => console.error(`set-up: ${line}`) });
  console.error(`set-up: SoftHSM2 is ${found.module}`);
} catch (error) {
  const { message, hint } = /** @type {Error & { hint?: string }} */ (error);
  console.error(`error: ${message}`);
  if (hint !== undefined) console.error(`hint: ${hint}`);
  process.exit(3);
}
