import { prepareTokenHost } from '../token/index.js';
import { namesToken, tokenChoice } from './token-choice.js';
import type { TokenOptions } from './token-options.js';

/** A token that is named will be asked: its host starts while the rest of the command is loaded. */
export function startNamedToken(options: TokenOptions): void {
  const choice = tokenChoice(options);
  if (!namesToken(choice)) return;
  const pinSource = choice.uri?.pinSource;
  prepareTokenHost(pinSource?.kind === 'environment' ? [pinSource.name] : []);
}
