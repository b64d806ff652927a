/**
 * Where PKCS#11 modules are installed, by system. The order is the order in which they are tried: the vendor's module
 * before OpenSC, which sees some of the same tokens but does not sign with all of them. Where each path comes from is
 * in native-notes/.
 */

/** One family of tokens and the files its module may be. */
export interface ModuleFamily {
  readonly family: string;
  /**
   * Absolute paths. `{triplet}` stands for the multiarch name, `{windows}` and `{programs}` for the two Windows
   * folders, `{librarypath}` for each folder of LD_LIBRARY_PATH.
   */
  readonly paths: readonly string[];
}

const linux: readonly ModuleFamily[] = [
  {
    family: 'SafeNet',
    paths: [
      '/usr/lib64/pkcs11/libeTPkcs11.so',
      '/usr/lib64/libeTPkcs11.so',
      '/usr/lib64/libeToken.so',
      '/usr/lib/pkcs11/libeTPkcs11.so',
      '/usr/lib/pkcs11/libeToken.so',
      '/usr/lib/libeTPkcs11.so',
      '/usr/lib/libeToken.so',
      '{librarypath}/libeTPkcs11.so',
      '{librarypath}/libeToken.so',
      '/usr/local/lib/libeToken.so',
      '/usr/lib/pkcs11/libIDPrimePKCS11.so',
      '/usr/lib/libIDPrimePKCS11.so',
      '/usr/lib64/libIDPrimePKCS11.so',
      '/usr/lib64/pkcs11/libIDPrimePKCS11.so',
    ],
  },
  {
    family: 'Luna',
    paths: [
      '/usr/safenet/lunaclient/lib/libCryptoki2_64.so',
      '/usr/lib/libCryptoki2_64.so',
      '/usr/lunasa/lib/libCryptoki2_64.so',
    ],
  },
  {
    family: 'YubiKey',
    paths: [
      '/usr/lib/{triplet}/libykcs11.so',
      '/usr/lib/{triplet}/libykcs11.so.2',
      '/usr/lib64/libykcs11.so',
      '/usr/lib64/libykcs11.so.1',
      '/usr/local/lib/libykcs11.so',
    ],
  },
  { family: 'YubiHSM', paths: ['/usr/lib/{triplet}/pkcs11/yubihsm_pkcs11.so', '/usr/lib64/pkcs11/yubihsm_pkcs11.so'] },
  { family: 'CloudHSM', paths: ['/opt/cloudhsm/lib/libcloudhsm_pkcs11.so'] },
  {
    family: 'TPM',
    paths: ['/usr/lib/{triplet}/pkcs11/libtpm2_pkcs11.so', '/usr/lib64/pkcs11/libtpm2_pkcs11.so'],
  },
  {
    family: 'openCryptoki',
    paths: ['/usr/lib/{triplet}/pkcs11/libopencryptoki.so', '/usr/lib64/pkcs11/libopencryptoki.so'],
  },
  {
    family: 'OpenSC',
    paths: [
      '/usr/lib/{triplet}/opensc-pkcs11.so',
      '/usr/lib/{triplet}/pkcs11/opensc-pkcs11.so',
      '/usr/lib64/opensc-pkcs11.so',
      '/usr/lib64/pkcs11/opensc-pkcs11.so',
      '/usr/lib/opensc-pkcs11.so',
      '/usr/lib/pkcs11/opensc-pkcs11.so',
      '/usr/local/lib/opensc-pkcs11.so',
    ],
  },
  {
    family: 'SoftHSM2',
    paths: [
      '/usr/lib/softhsm/libsofthsm2.so',
      '/usr/lib/{triplet}/softhsm/libsofthsm2.so',
      '/usr/lib64/libsofthsm2.so',
      '/usr/lib64/pkcs11/libsofthsm2.so',
      '/usr/lib64/softhsm/libsofthsm2.so',
      '/usr/local/lib/softhsm/libsofthsm2.so',
    ],
  },
];

const darwin: readonly ModuleFamily[] = [
  {
    family: 'SafeNet',
    paths: [
      '/usr/local/lib/libeTPkcs11.dylib',
      '/Library/Frameworks/eToken.framework/Versions/Current/libeToken.dylib',
      '/usr/local/lib/libIDPrimePKCS11.dylib',
      '/Library/Frameworks/eToken.framework/Versions/A/libIDPrimePKCS11.dylib',
    ],
  },
  { family: 'YubiKey', paths: ['/opt/homebrew/lib/libykcs11.dylib', '/usr/local/lib/libykcs11.dylib'] },
  {
    family: 'OpenSC',
    paths: [
      '/Library/OpenSC/lib/opensc-pkcs11.so',
      '/opt/homebrew/lib/opensc-pkcs11.so',
      '/usr/local/lib/opensc-pkcs11.so',
    ],
  },
  {
    family: 'SoftHSM2',
    paths: ['/opt/homebrew/lib/softhsm/libsofthsm2.so', '/usr/local/lib/softhsm/libsofthsm2.so'],
  },
];

const win32: readonly ModuleFamily[] = [
  {
    family: 'SafeNet',
    paths: [
      '{windows}\\eTPKCS11.dll',
      '{windows}\\eToken.dll',
      '{programs}\\SafeNet\\Authentication\\SAC\\x64\\IDPrimePKCS1164.dll',
      '{windows}\\IDPrimePKCS1164.dll',
      '{programs}\\SafeNet\\Authentication\\SAC\\x32\\IDPrimePKCS11.dll',
      '{programs}\\Gemalto\\IDGo 800 PKCS#11\\IDPrimePKCS1164.dll',
    ],
  },
  { family: 'Luna', paths: ['{programs}\\SafeNet\\LunaClient\\cryptoki.dll'] },
  { family: 'YubiKey', paths: ['{programs}\\Yubico\\Yubico PIV Tool\\bin\\libykcs11.dll'] },
  { family: 'OpenSC', paths: ['{programs}\\OpenSC Project\\OpenSC\\pkcs11\\opensc-pkcs11.dll'] },
  { family: 'SoftHSM2', paths: ['C:\\SoftHSM2\\lib\\softhsm2-x64.dll', 'C:\\SoftHSM2\\lib\\softhsm2.dll'] },
];

/** The table of a system, by the names of `process.platform`; other systems have none. */
export const moduleTables: Readonly<Partial<Record<string, readonly ModuleFamily[]>>> = { linux, darwin, win32 };

/** Multiarch names (Debian), by the names of `process.arch`. */
export const triplets: Readonly<Partial<Record<string, string>>> = {
  x64: 'x86_64-linux-gnu',
  arm64: 'aarch64-linux-gnu',
  arm: 'arm-linux-gnueabihf',
  ia32: 'i386-linux-gnu',
  ppc64: 'powerpc64le-linux-gnu',
  s390x: 's390x-linux-gnu',
  riscv64: 'riscv64-linux-gnu',
  loong64: 'loongarch64-linux-gnu',
};

/** The folders of p11-kit's module files, the most general first: a file of the same name in a later one wins. */
export const p11KitFolders: readonly string[] = ['/usr/share/p11-kit/modules', '/etc/pkcs11/modules'];

/** Where p11-kit looks for a module whose file gives a bare name. */
export const p11KitModuleFolders: readonly string[] = [
  '/usr/lib/{triplet}/pkcs11',
  '/usr/lib64/pkcs11',
  '/usr/lib/pkcs11',
  '/usr/local/lib/pkcs11',
];

/** p11-kit's proxy, the one module through which those of `remote:` are used. */
export const p11KitProxies: readonly string[] = [
  '/usr/lib/{triplet}/p11-kit-proxy.so',
  '/usr/lib64/p11-kit-proxy.so',
  '/usr/lib/p11-kit-proxy.so',
  '/usr/local/lib/p11-kit-proxy.so',
];

/** Modules of p11-kit's registry that hold no tokens of their own, or none that sign, with the reason in words. */
export const passedOverModules: readonly { readonly pattern: RegExp; readonly reason: string }[] = [
  { pattern: /^p11-kit-proxy\./, reason: 'shows the tokens of the other modules once more' },
  { pattern: /^p11-kit-(trust|client)\./, reason: 'holds no signing tokens of its own' },
  { pattern: /^(lib)?nssckbi\./, reason: 'holds trusted certificates only' },
  { pattern: /^gnome-keyring-pkcs11\./, reason: 'holds the passwords and keys of a desktop session' },
];

/** Families by file name, for modules that were not found through a table. */
export const familiesByName: readonly { readonly pattern: RegExp; readonly family: string }[] = [
  { pattern: /eTPkcs11|eToken|IDPrimePKCS11/i, family: 'SafeNet' },
  { pattern: /softhsm/i, family: 'SoftHSM2' },
  { pattern: /opensc/i, family: 'OpenSC' },
  { pattern: /ykcs11/i, family: 'YubiKey' },
  { pattern: /yubihsm/i, family: 'YubiHSM' },
  { pattern: /tpm2/i, family: 'TPM' },
  { pattern: /opencryptoki/i, family: 'openCryptoki' },
  { pattern: /cloudhsm/i, family: 'CloudHSM' },
  { pattern: /cryptoki2|lunaclient/i, family: 'Luna' },
  { pattern: /softokn/i, family: 'NSS' },
  { pattern: /p11-kit/i, family: 'p11-kit' },
];
