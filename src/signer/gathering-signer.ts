import { DeviceError } from '../errors.js';
import type { Signer, SignRequest } from './signer.js';

/** A signer that makes many signatures faster together than one by one, such as a token with several sessions. */
export interface BatchSigner extends Signer {
  /** Signs many digests, in their order. Nothing is given out when one of them fails. */
  signBatch(requests: readonly SignRequest[]): Promise<Uint8Array[]>;
}

interface Waiting {
  readonly request: SignRequest;
  readonly resolve: (signature: Uint8Array) => void;
  readonly reject: (error: unknown) => void;
}

/** So many signatures go together. */
const mostTogether = 32;
/** And so many batches are under way: while one is made the next is prepared. */
const batchesUnderWay = 2;

/**
 * Signs one by one as any signer, and yet together: what is asked for while the signer is busy is gathered. It gains
 * only for callers that ask for many signatures at a time. When a batch fails, all of it fails.
 */
export function gatherSignatures(signer: BatchSigner): Signer {
  const waiting: Waiting[] = [];
  let underWay = 0;
  const next = (): void => {
    if (underWay >= batchesUnderWay || waiting.length === 0) return;
    const batch = waiting.splice(0, mostTogether);
    underWay += 1;
    void signTogether(signer, batch).then(() => {
      underWay -= 1;
      next();
    });
  };
  return {
    certificate: signer.certificate,
    digests: signer.digests,
    sign: (request) =>
      new Promise((resolve, reject) => {
        waiting.push({ request, resolve, reject });
        next();
      }),
  };
}

/** Never fails: each of the batch is told by itself. */
async function signTogether(signer: BatchSigner, batch: readonly Waiting[]): Promise<void> {
  try {
    const signatures = await signer.signBatch(batch.map(({ request }) => request));
    for (const [index, { resolve, reject }] of batch.entries()) {
      const signature = signatures[index];
      if (signature === undefined)
        reject(new DeviceError('function-failed', 'the signer gave fewer signatures than were asked for'));
      else resolve(signature);
    }
  } catch (error) {
    for (const { reject } of batch) reject(error);
  }
}
