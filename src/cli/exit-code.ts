import { DeviceError, NetworkError, ProofError, RefusalError, type ProofErrorCode } from '../errors.js';

/** The exit codes of cli.md, Conventions. */
export const exitCode = {
  done: 0,
  no: 1,
  usage: 2,
  device: 3,
  refused: 4,
  interrupted: 130,
} as const;

/** The user broke off at a prompt. */
export class Interrupted extends Error {}

const proofCodes: Readonly<Record<ProofErrorCode, number>> = {
  'no-signing-record': exitCode.no,
  'signature-mismatch': exitCode.no,
  'digest-mismatch': exitCode.no,
  // A key that does not fit would make a list that phones reject (A9): refused, not answered.
  'key-mismatch': exitCode.refused,
  'unsupported-key': exitCode.usage,
  'unsupported-digest': exitCode.usage,
};

/** Which exit code an error ends the command with. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof Interrupted) return exitCode.interrupted;
  if (error instanceof RefusalError) return exitCode.refused;
  if (error instanceof DeviceError) return exitCode.device;
  if (error instanceof NetworkError && error.code.startsWith('host-key-')) return exitCode.refused;
  // A server that answers, and not what a step of a plan expects.
  if (error instanceof NetworkError && error.code === 'not-as-expected') return exitCode.no;
  if (error instanceof ProofError) return proofCodes[error.code];
  return exitCode.usage;
}
