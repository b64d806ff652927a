import { Argument, type Command } from 'commander';
import { formatCompletion, shells, type Shell } from '../completion.js';
import { buildProgram } from '../program.js';

/** Declares `completion bash|zsh|fish`. */
export function declareCompletion(group: Command): void {
  group
    .addArgument(new Argument('<shell>', 'for which shell').choices(shells))
    .addHelpText(
      'after',
      `
Examples:
  etoken-bridge completion bash > /etc/bash_completion.d/etoken-bridge
  etoken-bridge completion zsh > "\${fpath[1]}/_etoken-bridge"
  etoken-bridge completion fish > ~/.config/fish/completions/etoken-bridge.fish
`,
    )
    .action(async (shell: string) => {
      process.stdout.write(formatCompletion(await buildProgram(), shell as Shell));
    });
}
