// The process that PKCS#11 runs in. It loads one library once, answers requests one after the other, and ends when its
// parent closes the channel. The path of the library is its only argument; SOFTHSM2_CONF is in its environment; PINs
// come in messages.
import { createRequire } from 'node:module';
import type { Module } from 'graphene-pk11';
import { callPkcs11, OperationFailure } from './pkcs11-failure.js';
import type { Failure, OperationResult, Reply, Request } from './messages.js';
import { createOperations, type Graphene, type OperationTable } from './token-operations.js';

/** Loads graphene-pk11 by `require`: importing it takes node half as long again as everything else here. */
function loadGraphene(): Graphene {
  try {
    return createRequire(import.meta.url)('graphene-pk11') as Graphene;
  } catch (error) {
    const [said] = messageOf(error).split('\n');
    throw new OperationFailure({
      code: 'binding-missing',
      message: `graphene-pk11 and pkcs11js, which talk to PKCS#11, cannot be loaded: ${said ?? ''}`,
      hint: 'install Python 3, make and a C++ compiler, let npm run the install script of pkcs11js, and run npm ci',
    });
  }
}

function loadModule(graphene: Graphene, path: string): Module {
  try {
    return graphene.Module.load(path, 'SoftHSM2');
  } catch (error) {
    throw new OperationFailure({
      code: 'module-failed',
      message: `${path} cannot be loaded: ${messageOf(error)}`,
      hint: 'SOFTHSM2_MODULE must name libsofthsm2.so, built for this machine; unset it to have it found',
    });
  }
}

/** A value that is made once, or the error that came of it. */
function attempt<T>(make: () => T): () => T {
  let outcome: { readonly value: T } | { readonly error: unknown };
  try {
    outcome = { value: make() };
  } catch (error) {
    outcome = { error };
  }
  return () => {
    if ('error' in outcome) throw outcome.error;
    return outcome.value;
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function failureOf(error: unknown): Failure {
  if (error instanceof OperationFailure) return error.failure;
  return { code: 'function-failed', message: messageOf(error) };
}

// Whatever SoftHSM2 writes belongs to this user alone.
process.umask(0o077);
// What takes time is done at once; the tokens are not looked at before the first request.
const loaded = attempt(() => {
  const graphene = loadGraphene();
  return { graphene, module: loadModule(graphene, process.argv[2] ?? '') };
});
let operations: OperationTable | undefined;

function run(request: Request): OperationResult {
  const { graphene, module } = loaded();
  if (operations === undefined) {
    callPkcs11('C_Initialize', () => module.initialize());
    operations = createOperations(graphene, module);
  }
  const operation = operations[request.operation] as (given: Request['given']) => OperationResult;
  return operation(request.given);
}

process.on('message', (request: Request) => {
  let reply: Reply;
  try {
    reply = { result: run(request) };
  } catch (error) {
    reply = { failure: failureOf(error) };
  }
  process.send?.(reply);
});

process.on('disconnect', () => {
  if (operations !== undefined) loaded().module.finalize();
  process.exit();
});
