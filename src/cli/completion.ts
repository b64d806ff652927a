import type { Command, Option } from 'commander';

/** The shells that completion scripts can be made for. */
export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

/** One word that can follow. */
interface Word {
  readonly name: string;
  readonly summary: string;
}

/** An option; with `values` when it takes one: the words to choose from, none where a file or any text is wanted. */
interface OptionWord extends Word {
  readonly values?: readonly string[];
}

/** What can follow at one place of a command line. */
interface Place {
  /** The words up to here, e.g. `ctl show`. */
  readonly words: string;
  readonly commands: readonly Word[];
  readonly options: readonly OptionWord[];
  /** The words that an operand is one of. */
  readonly operands: readonly string[];
  /** Whether an operand can be a file, or any text. */
  readonly files: boolean;
}

const programs = ['etoken-bridge', 'etb'] as const;

/** A completion script, made from the commands and options as they are declared. Files complete where no word does. */
export function formatCompletion(program: Command, shell: Shell): string {
  const places = placesOf(program, '');
  if (shell === 'bash') return formatBash(places);
  return shell === 'zsh' ? formatZsh(places) : formatFish(places);
}

function placesOf(command: Command, words: string): Place[] {
  const place = {
    words,
    commands: command.commands.map((child) => ({ name: child.name(), summary: child.description() })),
    options: [
      ...command.options.map(describeOption),
      { name: '--help', summary: 'print the options of the command' },
    ].filter(({ name }) => name !== ''),
    operands: command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? []),
    files: command.registeredArguments.some(({ argChoices }) => argChoices === undefined),
  };
  return [place, ...command.commands.flatMap((child) => placesOf(child, `${words} ${child.name()}`.trim()))];
}

function describeOption({ long, description, argChoices, required, optional }: Option): OptionWord {
  const word = { name: long ?? '', summary: description };
  return required || optional ? { ...word, values: argChoices ?? [] } : word;
}

/** Every option that takes a value, once, with the words to choose from. */
function valuesByOption(places: readonly Place[]): ReadonlyMap<string, readonly string[]> {
  const values = new Map<string, readonly string[]>();
  for (const { options } of places) {
    for (const option of options) if (option.values !== undefined) values.set(option.name, option.values);
  }
  return values;
}

/** What can follow where no dash was typed: options too, where nothing else can. */
function answersOf({ commands, options, operands, files }: Place): readonly Word[] {
  const answers = [...commands, ...operands.map((name) => ({ name, summary: '' }))];
  return answers.length === 0 && !files ? options : answers;
}

function formatBash(places: readonly Place[]): string {
  const names = (list: readonly Word[]): string => list.map(({ name }) => name).join(' ');
  const cases = places.map(
    (place) => `    '${place.words}') answers='${names(answersOf(place))}' options='${names(place.options)}' ;;`,
  );
  const values = [...valuesByOption(places)].map(
    ([name, choices]) => `    ${name}) answers='${choices.join(' ')}' options='' ;;`,
  );
  const known = places.map((place) => place.words.replaceAll(' ', '/')).join(' ');
  return `# bash completion for etoken-bridge
_etoken_bridge() {
  local word="\${COMP_WORDS[COMP_CWORD]}" place='' answers='' options='' candidate index
  for ((index = 1; index < COMP_CWORD; index += 1)); do
    candidate="\${place:+$place/}\${COMP_WORDS[index]}"
    case ' ${known} ' in
      *" $candidate "*) place="$candidate" ;;
    esac
  done
  case "\${place//\\// }" in
${cases.join('\n')}
  esac
  case "\${COMP_WORDS[COMP_CWORD-1]}" in
${values.join('\n')}
  esac
  case "$word" in
    -*) answers="$options" ;;
  esac
  COMPREPLY=($(compgen -W "$answers" -- "$word"))
  if [ \${#COMPREPLY[@]} -eq 0 ]; then
    compopt -o default 2>/dev/null
  fi
}
complete -F _etoken_bridge ${programs.join(' ')}
`;
}

function formatZsh(places: readonly Place[]): string {
  const rows = (list: readonly Word[]): string =>
    list.map(({ name, summary }) => `'${name}:${zshText(summary)}'`).join(' ');
  const cases = places.map(
    (place) => `    '${place.words}') answers=(${rows(answersOf(place))}) options=(${rows(place.options)}) ;;`,
  );
  const values = [...valuesByOption(places)].map(
    ([name, choices]) => `    ${name}) answers=(${choices.join(' ')}) options=() ;;`,
  );
  const known = places.filter((place) => place.words !== '').map((place) => `'${place.words}'`);
  return `#compdef ${programs.join(' ')}
_etoken_bridge() {
  local place='' candidate word
  local -a answers options known
  known=(${known.join(' ')})
  for word in "\${(@)words[2,CURRENT-1]}"; do
    candidate="\${place:+$place }$word"
    if (( \${known[(Ie)$candidate]} )); then place="$candidate"; fi
  done
  case "$place" in
${cases.join('\n')}
  esac
  case "\${words[CURRENT-1]}" in
${values.join('\n')}
  esac
  if [[ "\${words[CURRENT]}" == -* ]]; then answers=("\${options[@]}"); fi
  _describe 'etoken-bridge' answers || _files
}
if [ "$funcstack[1]" = '_etoken-bridge' ]; then
  _etoken_bridge "$@"
else
  compdef _etoken_bridge ${programs.join(' ')}
fi
`;
}

function zshText(text: string): string {
  return text.replaceAll("'", "'\\''").replaceAll(':', '\\:');
}

function formatFish(places: readonly Place[]): string {
  const lines = places.flatMap((place) => {
    const at = ` -n '__etoken_bridge_at "${place.words}"'`;
    return [
      ...(place.files ? [] : [`complete -c PROGRAM${at} -f`]),
      ...place.commands.map(({ name, summary }) => `complete -c PROGRAM${at} -f -a ${name} -d '${fishText(summary)}'`),
      ...place.operands.map((name) => `complete -c PROGRAM${at} -f -a ${name}`),
      ...place.options.map(
        ({ name, summary, values }) =>
          `complete -c PROGRAM${at} -l ${name.slice(2)}${fishValues(values)} -d '${fishText(summary)}'`,
      ),
    ];
  });
  const all = programs.flatMap((program) => lines.map((line) => line.replace('PROGRAM', program)));
  const known = places.filter((place) => place.words !== '').map((place) => `'${place.words}'`);
  return `# fish completion for etoken-bridge
function __etoken_bridge_at
  set -l place
  for word in (commandline -opc)[2..-1]
    set -l candidate (string trim -- "$place $word")
    if contains -- $candidate ${known.join(' ')}
      set place $candidate
    end
  end
  test "$place" = "$argv[1]"
end
${all.join('\n')}
`;
}

/** An option that takes a value: one of the choices, or whatever fish completes by itself, which is files. */
function fishValues(values: readonly string[] | undefined): string {
  if (values === undefined) return '';
  return values.length === 0 ? ' -r -F' : ` -x -a '${values.join(' ')}'`;
}

function fishText(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll("'", "\\'");
}
