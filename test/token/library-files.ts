/** Headers of libraries that cannot be loaded here, made by hand: just enough to be what they say they are. */

/** An ELF header. @param bits 1 for 32 bits, 2 for 64. @param type 3 is a shared object, 2 a program. */
export function elf(machine: number, bits: 1 | 2 = 2, type = 3): Uint8Array {
  const bytes = Buffer.alloc(64);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, bits, 1, 1]);
  bytes.writeUInt16LE(type, 16);
  bytes.writeUInt16LE(machine, 18);
  return bytes;
}

/** A PE header. @param characteristics 0x2000 is a DLL. */
export function pe(machine: number, characteristics = 0x2022): Uint8Array {
  const bytes = Buffer.alloc(256);
  bytes.write('MZ');
  bytes.writeUInt32LE(0x80, 60);
  bytes.write('PE\0\0', 0x80, 'latin1');
  bytes.writeUInt16LE(machine, 0x84);
  bytes.writeUInt16LE(characteristics, 0x96);
  return bytes;
}

/** A Mach-O header for one processor. @param fileType 6 is a library, 8 a bundle, 2 a program. */
export function machO(cpu: number, fileType = 6): Uint8Array {
  const bytes = Buffer.alloc(32);
  bytes.writeUInt32LE(0xfeedfacf, 0);
  bytes.writeUInt32LE(cpu, 4);
  bytes.writeUInt32LE(fileType, 12);
  return bytes;
}

/** A universal Mach-O file. */
export function universal(...cpus: readonly number[]): Uint8Array {
  const bytes = Buffer.alloc(8 + cpus.length * 20);
  bytes.writeUInt32BE(0xcafebabe, 0);
  bytes.writeUInt32BE(cpus.length, 4);
  cpus.forEach((cpu, index) => bytes.writeUInt32BE(cpu, 8 + index * 20));
  return bytes;
}

export const elfMachine = { x86: 3, arm: 40, x64: 62, arm64: 183 } as const;
export const peMachine = { x86: 0x14c, x64: 0x8664, arm64: 0xaa64 } as const;
export const machCpu = { x64: 0x01000007, arm64: 0x0100000c } as const;
