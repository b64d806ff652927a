import { DeviceError, FormatError, InputError, ProofError, RefusalError } from '../errors.js';

/** The exit codes of cli.md, Conventions. */
export const exitCode = {
  done: 0,
  no: 1,
  usage: 2,
  device: 3,
  refused: 4,
  interrupted: 130,
} as const;

/** The user broke off: at a prompt, or with Ctrl-C. */
export class Interrupted extends Error {}

/** Which exit code an error ends the command with. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof Interrupted) return exitCode.interrupted;
  if (error instanceof RefusalError) return exitCode.refused;
  if (error instanceof DeviceError) return exitCode.device;
  // A key that does not fit would make a list that phones reject (A9): refused, not answered.
  if (error instanceof ProofError) return error.code === 'key-mismatch' ? exitCode.refused : exitCode.no;
  if (error instanceof FormatError || error instanceof InputError) return exitCode.usage;
  return exitCode.usage;
}
