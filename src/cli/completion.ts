import type { Command } from 'commander';

/** The shells that completion scripts can be made for. */
export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

/** What can follow at one place of a command line. */
interface Place {
  /** The words up to here, e.g. `ctl show`. */
  readonly words: string;
  readonly commands: readonly { readonly name: string; readonly summary: string }[];
  readonly options: readonly { readonly name: string; readonly summary: string }[];
}

const programs = ['etoken-bridge', 'etb'] as const;

/** A completion script, made from the commands and options as they are declared. Files complete where no option does. */
export function formatCompletion(program: Command, shell: Shell): string {
  const places = placesOf(program, '');
  if (shell === 'bash') return formatBash(places);
  return shell === 'zsh' ? formatZsh(places) : formatFish(places);
}

function placesOf(command: Command, words: string): Place[] {
  const visible = command.commands;
  const place = {
    words,
    commands: visible.map((child) => ({ name: child.name(), summary: child.description() })),
    options: [...command.options.map(({ long, description }) => ({ name: long ?? '', summary: description }))]
      .filter(({ name }) => name !== '')
      .concat({ name: '--help', summary: 'print the options of the command' }),
  };
  return [place, ...visible.flatMap((child) => placesOf(child, `${words} ${child.name()}`.trim()))];
}

function formatBash(places: readonly Place[]): string {
  const cases = places.map(({ words, commands, options }) => {
    const answers = [...commands, ...options].map(({ name }) => name).join(' ');
    return `    '${words}') answers='${answers}' ;;`;
  });
  return `# bash completion for etoken-bridge
_etoken_bridge() {
  local word="\${COMP_WORDS[COMP_CWORD]}" place='' answers=''
  local index
  for ((index = 1; index < COMP_CWORD; index += 1)); do
    case "\${COMP_WORDS[index]}" in
      -*) ;;
      *) case " ${places.map((place) => place.words.replaceAll(' ', '_')).join(' ')} " in
           *" \${place:+\${place// /_}_}\${COMP_WORDS[index]} "*) place="\${place:+\$place }\${COMP_WORDS[index]}" ;;
         esac ;;
    esac
  done
  case "$place" in
${cases.join('\n')}
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
  const cases = places.map(({ words, commands, options }) => {
    const rows = [...commands, ...options].map(({ name, summary }) => `'${name}:${zshText(summary)}'`);
    return `    '${words}') answers=(${rows.join(' ')}) ;;`;
  });
  return `#compdef ${programs.join(' ')}
_etoken_bridge() {
  local place='' candidate word
  local -a answers known
  known=(${places
    .filter(({ words }) => words !== '')
    .map(({ words }) => `'${words}'`)
    .join(' ')})
  for word in "\${(@)words[2,CURRENT-1]}"; do
    candidate="\${place:+$place }$word"
    if (( \${known[(Ie)$candidate]} )); then place="$candidate"; fi
  done
  case "$place" in
${cases.join('\n')}
  esac
  _describe 'etoken-bridge' answers || _files
}
_etoken_bridge "$@"
`;
}

function zshText(text: string): string {
  return text.replaceAll("'", "'\\''").replaceAll(':', '\\:');
}

function formatFish(places: readonly Place[]): string {
  const lines = places.flatMap(({ words, commands, options }) => {
    const path = words.split(' ').filter((word) => word !== '');
    const here = [
      ...path.map((word) => `__fish_seen_subcommand_from ${word}`),
      ...(commands.length === 0
        ? []
        : [`not __fish_seen_subcommand_from ${commands.map(({ name }) => name).join(' ')}`]),
    ].join('; and ');
    const condition = here === '' ? '' : ` -n '${here}'`;
    const noFiles = commands.length === 0 ? '' : ' -f';
    return [
      ...commands.map(
        ({ name, summary }) => `complete -c PROGRAM${condition}${noFiles} -a ${name} -d '${fishText(summary)}'`,
      ),
      ...options.map(
        ({ name, summary }) => `complete -c PROGRAM${condition} -l ${name.slice(2)} -d '${fishText(summary)}'`,
      ),
    ];
  });
  const all = programs.flatMap((program) => lines.map((line) => line.replace('PROGRAM', program)));
  return `# fish completion for etoken-bridge\n${all.join('\n')}\n`;
}

function fishText(text: string): string {
  return text.replaceAll("'", "\\'");
}
