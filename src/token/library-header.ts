import { closeSync, openSync, readSync, statSync } from 'node:fs';

/** What a file is, as far as its first bytes tell, for a program of one system and processor. */
export interface LibraryInspection {
  readonly state: 'found' | 'missing' | 'unreadable' | 'not-a-library' | 'wrong-architecture';
  /** The finding in words, to stand after the file's name. */
  readonly detail: string;
}

/** What a program can load. */
interface Loader {
  readonly platform: string;
  readonly architecture: string;
}

type Format = 'ELF' | 'Mach-O' | 'PE';

/** Words for a processor, by the names of `process.arch`. */
const architectureWords: Readonly<Partial<Record<string, string>>> = {
  x64: '64-bit x86',
  ia32: '32-bit x86',
  arm64: '64-bit ARM',
  arm: '32-bit ARM',
  ppc64: '64-bit PowerPC',
  s390x: '64-bit IBM Z',
  riscv64: '64-bit RISC-V',
  loong64: '64-bit LoongArch',
};

const systems: Readonly<Record<Format, string>> = { ELF: 'Linux', 'Mach-O': 'macOS', PE: 'Windows' };

/** e_machine of ELF with its class (1 is 32 bits, 2 is 64), as `process.arch` calls it. */
const elfMachines: Readonly<Partial<Record<string, string>>> = {
  '3/1': 'ia32',
  '62/2': 'x64',
  '40/1': 'arm',
  '183/2': 'arm64',
  '21/2': 'ppc64',
  '22/2': 's390x',
  '243/2': 'riscv64',
  '258/2': 'loong64',
};

/** Machine of the COFF header. */
const peMachines: Readonly<Partial<Record<number, string>>> = {
  0x14c: 'ia32',
  0x8664: 'x64',
  0xaa64: 'arm64',
  0x1c4: 'arm',
};

/** cputype of Mach-O. */
const machMachines: Readonly<Partial<Record<number, string>>> = {
  0x7: 'ia32',
  0x01000007: 'x64',
  0xc: 'arm',
  0x0100000c: 'arm64',
};

/** What a header says: the format, whether it can be loaded into a program, and for which processors. */
interface Header {
  readonly format: Format;
  readonly loadable: boolean;
  readonly architectures: readonly string[];
}

const headerLength = 4096;

/** Looks at the first bytes of a file, without loading it. It never throws. */
export function inspectLibrary(path: string, loader: Loader): LibraryInspection {
  const read = readStart(path);
  if ('state' in read) return read;
  if (read.length === 0) return { state: 'not-a-library', detail: 'is an empty file' };
  const header = readHeader(read);
  if (header === undefined) {
    const what = looksLikeText(read) ? 'is a text file, not a library' : 'is not a library';
    return { state: 'not-a-library', detail: what };
  }
  return judge(header, loader);
}

function readStart(path: string): Buffer | LibraryInspection {
  let file: number | undefined;
  try {
    // Before it is opened: opening a pipe would wait for its other end.
    const facts = statSync(path);
    if (facts.isDirectory()) return { state: 'not-a-library', detail: 'is a directory' };
    if (!facts.isFile()) return { state: 'not-a-library', detail: 'is not a regular file' };
    file = openSync(path, 'r');
    const start = Buffer.alloc(headerLength);
    return start.subarray(0, readSync(file, start, 0, headerLength, 0));
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (code === 'ENOENT' || code === 'ENOTDIR') return { state: 'missing', detail: 'does not exist' };
    if (code === 'EISDIR') return { state: 'not-a-library', detail: 'is a directory' };
    const reason = code === 'EACCES' || code === 'EPERM' ? 'permission denied' : code;
    return { state: 'unreadable', detail: `cannot be read: ${reason}` };
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

function judge(header: Header, loader: Loader): LibraryInspection {
  const own = architectureWords[loader.architecture] ?? loader.architecture;
  const expected: Format = loader.platform === 'win32' ? 'PE' : loader.platform === 'darwin' ? 'Mach-O' : 'ELF';
  const built = header.architectures.map((name) => architectureWords[name] ?? name).join(' and ');
  if (header.format !== expected) {
    const system = systems[header.format];
    return { state: 'wrong-architecture', detail: `is a library for ${system}, and this is ${systems[expected]}` };
  }
  if (!header.loadable) return { state: 'not-a-library', detail: 'is a program or object file, not a shared library' };
  if (!header.architectures.includes(loader.architecture)) {
    return { state: 'wrong-architecture', detail: `is built for ${built}, and this Node.js is ${own}` };
  }
  return { state: 'found', detail: `${built} library` };
}

function readHeader(start: Buffer): Header | undefined {
  if (start.length < 20) return undefined;
  if (start.readUInt32BE(0) === 0x7f454c46) return readElf(start);
  if (start.readUInt16BE(0) === 0x4d5a) return readPe(start);
  return readMachO(start);
}

/** ELF: class at 4, byte order at 5, e_type at 16 (3 is a shared object), e_machine at 18. */
function readElf(start: Buffer): Header {
  const bits = start.readUInt8(4);
  const little = start.readUInt8(5) !== 2;
  const type = little ? start.readUInt16LE(16) : start.readUInt16BE(16);
  const machine = little ? start.readUInt16LE(18) : start.readUInt16BE(18);
  const words = `${bits === 1 ? '32-bit' : '64-bit'} processors of ELF machine ${machine}`;
  const known = elfMachines[`${machine}/${bits}`] ?? words;
  // Node.js on PowerPC is little-endian only.
  const architecture = known === 'ppc64' && !little ? 'big-endian PowerPC' : known;
  return { format: 'ELF', loadable: type === 3, architectures: [architecture] };
}

/** PE: the offset of its header at 60, then the signature, the machine, and the characteristics (0x2000 is a DLL). */
function readPe(start: Buffer): Header | undefined {
  const offset = start.length >= 64 ? start.readUInt32LE(60) : start.length;
  if (offset + 24 > start.length || start.readUInt32BE(offset) !== 0x50450000) return undefined;
  const machine = start.readUInt16LE(offset + 4);
  const characteristics = start.readUInt16LE(offset + 22);
  const architecture = peMachines[machine] ?? `PE machine 0x${machine.toString(16)}`;
  return { format: 'PE', loadable: (characteristics & 0x2000) !== 0, architectures: [architecture] };
}

/** Mach-O: one processor (magic, cputype, cpusubtype, filetype) or several (big-endian: magic, count, entries). */
function readMachO(start: Buffer): Header | undefined {
  const magic = start.readUInt32BE(0);
  if (magic === 0xcffaedfe || magic === 0xcefaedfe) {
    const fileType = start.readUInt32LE(12);
    const architecture = machName(start.readUInt32LE(4));
    const [library, bundle] = [6, 8];
    return { format: 'Mach-O', loadable: fileType === library || fileType === bundle, architectures: [architecture] };
  }
  const entryLength = magic === 0xcafebabe ? 20 : magic === 0xcafebabf ? 32 : 0;
  const count = start.readUInt32BE(4);
  // A Java class has the same magic; what follows there is its version, which is larger than any count.
  if (entryLength === 0 || count === 0 || count > 30 || 8 + count * entryLength > start.length) return undefined;
  const architectures = Array.from({ length: count }, (_, index) =>
    machName(start.readUInt32BE(8 + index * entryLength)),
  );
  return { format: 'Mach-O', loadable: true, architectures };
}

function machName(type: number): string {
  return machMachines[type] ?? `Mach-O processor 0x${type.toString(16)}`;
}

function looksLikeText(start: Buffer): boolean {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(start, { stream: true });
    return !/[\x00-\x08\x0e-\x1a\x1c-\x1f]/.test(text);
  } catch {
    return false;
  }
}
