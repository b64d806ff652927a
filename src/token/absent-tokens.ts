import type { Environment, ModuleCandidate } from './modules.js';
import { moduleName } from './modules.js';
import { explainSmartCardDaemon } from './smart-card-daemon.js';

/** Where p11-kit's client looks for the server that has the tokens. */
const serverVariable = 'P11_KIT_SERVER_ADDRESS';

/**
 * What modules that showed no token may lack, in words: the smart card daemon, or the server of a module that only
 * passes on what another process has. Nothing is told where nothing is missing.
 *
 * @param modules those that showed no token.
 */
export async function explainAbsentTokens(
  modules: readonly ModuleCandidate[],
  environment: Environment = process.env,
): Promise<readonly string[]> {
  const daemon = await explainSmartCardDaemon(modules, environment);
  const clients = modules.filter(({ path }) => moduleName(path) === 'p11-kit-client');
  return [...(daemon === undefined ? [] : [daemon]), ...clients.map(({ path }) => explainServer(path, environment))];
}

function explainServer(path: string, environment: Environment): string {
  const shows = `${path} shows the tokens of a server only`;
  return (environment[serverVariable] ?? '') === ''
    ? `${shows}, and ${serverVariable} is not set: set it to what "p11-kit server" printed, or to a command such as "|ssh HOST p11-kit remote MODULE"`
    : `${shows}, and none is behind ${serverVariable}: check that the server runs there, and that the token is plugged in at its machine`;
}
