import { Command, CommanderError } from 'commander';
import { exitCode, exitCodeOf } from './exit-code.js';
import { Output, type OutputOptions } from './output.js';
import { version } from './version.js';

/** A group of commands: what it is for, and where its commands are declared. */
interface Group {
  readonly summary: string;
  readonly load: () => Promise<(group: Command) => void>;
}

/** Only the group that is used is loaded: the others would cost every command their time. */
const groups: Readonly<Record<string, Group>> = {
  token: {
    summary: 'tokens, their SAST certificates, and what they are able to do',
    load: async () => (await import('./commands/token.js')).declareTokenCommands,
  },
  ctl: {
    summary: 'show, verify, compare, build and sign CTL files',
    load: async () => (await import('./commands/ctl.js')).declareCtlCommands,
  },
  itl: {
    summary: 'show, verify, compare, build and reset ITL files',
    load: async () => (await import('./commands/itl.js')).declareItlCommands,
  },
  file: {
    summary: 'sign, verify, strip, encrypt and decrypt files for phones: one, or whole folders',
    load: async () => (await import('./commands/file.js')).declareFileCommands,
  },
  cluster: {
    summary: 'the cluster file and its certificates',
    load: async () => (await import('./commands/cluster.js')).declareClusterCommands,
  },
  phone: {
    summary: 'a virtual phone: boot it, offer it files, see each decision with its rule',
    load: async () => (await import('./commands/phone.js')).declarePhoneCommands,
  },
  fleet: {
    summary: 'the phones of an inventory: what they hold, and what they would accept',
    load: async () => (await import('./commands/fleet.js')).declareFleetCommands,
  },
  diagnose: {
    summary: 'why do phones not take these lists, and what to do; must an ITL really be deleted (A12)',
    load: async () => (await import('./commands/diagnose.js')).declareDiagnose,
  },
  migrate: {
    summary: 'plans from one state of a cluster to another: make them, show, apply and undo them',
    load: async () => (await import('./commands/migrate.js')).declareMigrateCommands,
  },
  tvs: {
    summary: 'the Trust Verification Service: serve it, ask it',
    load: async () => (await import('./commands/tvs.js')).declareTvsCommands,
  },
  tftp: {
    summary: 'serve a folder to phones, or fetch a file as they do',
    load: async () => (await import('./commands/tftp.js')).declareTftpCommands,
  },
  lab: {
    summary: 'a whole cluster on this machine, with phones that boot from it; or a story, told with one',
    load: async () => (await import('./commands/lab.js')).declareLab,
  },
  completion: {
    summary: 'print a completion script for bash, zsh or fish',
    load: async () => (await import('./commands/completion.js')).declareCompletion,
  },
};

/**
 * A program with one group's commands, or with all of them. Without a command it prints its help on standard error and
 * ends with exit code 2, as wrong usage: a script that forgot the command must not go on.
 */
export async function buildProgram(only?: string): Promise<Command> {
  const program = new Command('etoken-bridge')
    .description('Build, sign, check and migrate the trust lists of Cisco telephone clusters, with a token or without.')
    .version(version, '-V, --version')
    .configureOutput({ outputError: (text, write) => write(explainUsage(text)) })
    .exitOverride()
    .configureHelp({ sortSubcommands: false })
    .addHelpText('after', exitCodesHelp);
  for (const [name, group] of Object.entries(groups)) {
    const command = program.command(name).description(group.summary);
    if (only === undefined || only === name) (await group.load())(command);
    inheritSettings(program, command);
  }
  return program;
}

const exitCodesHelp = `
Exit codes:
  0  done
  1  the answer is no (a file does not verify, lists differ, a plan waits for somebody)
  2  wrong usage or input file
  3  the token or its library failed
  4  refused because unsafe; --accept A4 lets exactly check A4 through
  130  interrupted
`;

/** Wrong usage as it is printed. A PIN that was given as an argument is not repeated. */
function explainUsage(text: string): string {
  if (!/unknown option '--pin(=|')/.test(text)) return `${text}hint: add --help for the commands and options\n`;
  return [
    'error: a PIN is not taken as an argument, because other users can see arguments\n',
    'hint: give --pin-file FILE, ETOKEN_BRIDGE_PIN_FILE, ETOKEN_BRIDGE_PIN, or pin-source in the URI of --token\n',
  ].join('');
}

function inheritSettings(parent: Command, command: Command): void {
  command.copyInheritedSettings(parent);
  for (const child of command.commands) inheritSettings(command, child);
}

/** Runs one command line. @returns its exit code. */
export async function runCommand(words: readonly string[]): Promise<number> {
  // The packages that paint prompts know only the variable.
  if (words.includes('--no-color')) process.env['NO_COLOR'] = '1';
  try {
    const named = words.find((word) => !word.startsWith('-'));
    const program = await buildProgram(
      named !== undefined && named in groups && named !== 'completion' ? named : undefined,
    );
    await program.parseAsync([...words], { from: 'user' });
    return Number(process.exitCode ?? exitCode.done);
  } catch (error) {
    // Commander has printed what was wrong, or the help or version that was asked for.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCode.done : exitCode.usage;
    return reportFailure(error, words);
  }
}

/** Says why a command line failed. @returns its exit code. */
export function reportFailure(error: unknown, words: readonly string[]): number {
  new Output({}).error(error, words.includes('--debug'));
  return exitCodeOf(error);
}

/** Declares one command with the options that every command has. */
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- commander knows options by their declaration only
export function declareCommand<Options extends OutputOptions>(
  group: Command,
  usage: string,
  summary: string,
  declareOptions: (command: Command) => void,
  action: (operands: readonly string[], options: Options, output: Output) => Promise<number>,
): void {
  const command = group.command(usage).description(summary);
  declareOptions(command);
  declareAction(command, action);
}

/** Declares what a command does, with the options that every command has. */
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- as above
export function declareAction<Options extends OutputOptions>(
  command: Command,
  action: (operands: readonly string[], options: Options, output: Output) => Promise<number>,
): void {
  command
    .option('--json', 'print one JSON document')
    .option('-q, --quiet', 'print only results, warnings and errors')
    .option('--no-color', 'no colours (NO_COLOR is honoured too)')
    .option('--debug', 'print stack traces')
    .action(async (...parameters: unknown[]) => {
      const options = command.opts<Options>();
      const operands = parameters
        .slice(0, -2)
        .flat()
        .filter((one): one is string => typeof one === 'string');
      process.exitCode = await action(operands, options, new Output(options));
    });
}
