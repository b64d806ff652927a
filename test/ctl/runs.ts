import { expect } from 'vitest';
import type { Cluster } from '../../src/cluster/index.js';
import {
  type AcceptableCheck,
  addToken,
  createTokenCtl,
  createTokenlessCtl,
  type CtlOptions,
  type CtlResult,
} from '../../src/ctl/index.js';
import { RefusalError } from '../../src/errors.js';
import type { Signer } from '../../src/signer/index.js';
import type { TrustList } from '../../src/trust-list/index.js';
import type { Certificate } from '../../src/x509/index.js';
import { clusterOf, counted, type Identity, options, publisher, recovery, tokenA, tokenB, tokenC } from './clusters.js';
import { expectProven } from './lists.js';

/** The cluster of the printed lists; its tokens are in Phone-SAST-trust. */
export const cluster: Cluster = clusterOf({ uploaded: [tokenA, tokenB, tokenC] });
export const newest: Cluster = clusterOf({ release: '12.5' });
export const pair: readonly Certificate[] = [tokenA.certificate, tokenB.certificate];

export const { list: tokens }: CtlResult = await createTokenCtl(cluster, pair, tokenA.signer, options);
export const { list: threeTokens }: CtlResult = await addToken(tokens, tokenC.certificate, tokenA.signer, options);
export const { list: oneToken }: CtlResult = await createTokenCtl(cluster, [tokenA.certificate], tokenA.signer, {
  ...options,
  accept: ['A5'],
});
export const { list: tokenless }: CtlResult = await createTokenlessCtl(cluster, publisher.signer, options);
export const { list: recovered }: CtlResult = await createTokenlessCtl(newest, recovery.signer, options);

export type Run = (signer: Signer, options: CtlOptions) => Promise<CtlResult>;

/** The flow is refused with the code, the signer is never asked, and the message names the thing. */
export async function expectRefused(run: Run, identity: Identity, code: string, words?: RegExp): Promise<RefusalError> {
  const { signer, asked } = counted(identity);
  const error: unknown = await run(signer, options).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(RefusalError);
  expect(error).toMatchObject({ code });
  if (words !== undefined) expect((error as RefusalError).message).toMatch(words);
  expect(asked()).toBe(0);
  return error as RefusalError;
}

/** The check fires, its hint names it, and `accept` lets exactly that one through as a notice. */
export async function expectAcceptable(
  run: Run,
  identity: Identity,
  check: AcceptableCheck,
  words?: RegExp,
): Promise<CtlResult> {
  const error = await expectRefused(run, identity, check, words);
  expect(error.hint).toContain(`--accept ${check} lets this one through`);
  const others = (['A2', 'A3', 'A5', 'A7', 'A8', 'A9', 'A14'] as const).filter((other) => other !== check);
  await expectRefused((signer, each) => run(signer, { ...each, accept: others }), identity, check);
  const { signer, asked } = counted(identity);
  const result = await run(signer, { ...options, accept: [check] });
  expectProven(result, signer);
  expect(asked()).toBe(1);
  expect(result.notices).toContainEqual({ check, message: `accepted: ${error.message}` });
  return result;
}

/** Acceptance changes nothing: what is refused would make a list that does not verify. */
export async function expectNeverAccepted(run: Run, identity: Identity, code: string, words?: RegExp): Promise<void> {
  const error = await expectRefused(run, identity, code, words);
  expect(error.hint ?? '').not.toContain('--accept');
  const all: AcceptableCheck[] = ['A2', 'A3', 'A5', 'A7', 'A8', 'A9', 'A14'];
  await expectRefused((signer, each) => run(signer, { ...each, accept: all }), identity, code, words);
}

/** A near miss: the flow runs, and says nothing but what it always says. */
export async function expectQuiet(run: Run, identity: Identity, ...always: readonly string[]): Promise<TrustList> {
  const result = await run(identity.signer, options);
  expect(result.notices.map(({ check }) => check)).toEqual(always);
  return expectProven(result, identity.signer);
}
