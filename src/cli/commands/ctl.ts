import { Option, type Command } from 'commander';
import { declareCommand } from '../program.js';
import type { FlowName } from './ctl-flows.js';
import type { BuildOptions } from './ctl-options.js';
import { declareBuildOptions, declareClusterOption, declareTokenCertificates } from './ctl-options.js';
import { declareReadingCommands } from './trust-list.js';

/** One command that builds a list: what it is called, and which of the options it has besides the common ones. */
interface BuildCommand {
  readonly flow: FlowName;
  readonly usage: string;
  readonly summary: string;
  readonly cluster: 'required' | 'optional';
  readonly tokens?: string;
  readonly more?: (command: Command) => void;
}

const buildCommands: readonly BuildCommand[] = [
  {
    flow: 'create',
    usage: 'create',
    summary: 'a first CTL; in token mode it wants two tokens (A5) and signs with the first',
    cluster: 'required',
    tokens: 'certificate of a token that is not plugged in; may be repeated',
    more: (command) =>
      command
        .addOption(new Option('--mode <mode>', 'who signs').choices(['token', 'tokenless']).makeOptionMandatory())
        .requiredOption('--out <file>', 'where the list is written'),
  },
  {
    flow: 'update',
    usage: 'update <file>',
    summary: 'the same mode with the present certificates of the cluster, signed again',
    cluster: 'required',
  },
  {
    flow: 'addToken',
    usage: 'add-token <file>',
    summary: 'add a token, signed by one that is in the file (A2)',
    cluster: 'optional',
    tokens: 'certificate of the token to add, when it is not plugged in',
  },
  {
    flow: 'removeToken',
    usage: 'remove-token <file>',
    summary: 'remove a token, signed by one that stays',
    cluster: 'optional',
    more: (command) => command.requiredOption('--serial <hex>', 'serial of the certificate to remove'),
  },
  {
    flow: 'toTokenless',
    usage: 'to-tokenless <file>',
    summary: "from tokens to the cluster's own key",
    cluster: 'required',
  },
  {
    flow: 'toToken',
    usage: 'to-token <file>',
    summary: "from the cluster's own key to tokens, whose certificates must be in Phone-SAST-trust (A3)",
    cluster: 'required',
    tokens: 'certificate of a token that is not plugged in; may be repeated',
  },
  {
    flow: 'toNonSecure',
    usage: 'to-non-secure <file>',
    summary: 'empty the servers of the list, as the change to a non-secure cluster does',
    cluster: 'optional',
  },
  { flow: 'sign', usage: 'sign <file>', summary: 're-sign a list as it is', cluster: 'optional' },
];

/** Declares the commands of the group `ctl`. */
export function declareCtlCommands(group: Command): void {
  declareReadingCommands(group, 'CTL');
  for (const { flow, usage, summary, cluster, tokens, more } of buildCommands) {
    declareCommand<BuildOptions>(
      group,
      usage,
      summary,
      (command) => {
        declareClusterOption(command, cluster === 'required');
        more?.(command);
        if (!usage.startsWith('create')) command.option('--out <file>', 'write there instead of updating the file');
        if (tokens !== undefined) declareTokenCertificates(command, tokens);
        declareBuildOptions(command);
      },
      async ([path], options, output) => {
        if (options.key === undefined) (await import('../named-token.js')).startNamedToken(options);
        const { buildCtl } = await import('./ctl-build.js');
        return buildCtl(flow, path, options, output);
      },
    );
  }
}
