import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { run, temporaryFolder } from './etoken-bridge.js';

const folder = temporaryFolder();
const files = { bash: join(folder, 'etb.bash'), zsh: join(folder, '_etoken-bridge'), fish: join(folder, 'etb.fish') };
for (const [shell, file] of Object.entries(files)) {
  const { status, stdout, stderr } = run(['completion', shell]);
  expect([status, stderr]).toEqual([0, '']);
  writeFileSync(file, stdout);
}
writeFileSync(join(folder, 'CTLFile.tlv'), '');

function shellMissing(shell: string): boolean {
  return spawnSync(shell, ['-c', 'true']).status !== 0;
}

function runShell(shell: string, words: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(shell, words, { encoding: 'utf8', cwd: folder });
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return stdout;
}

/** What is on the command line, the last word being completed, and what must be offered for it. */
const cases: readonly (readonly [line: string, offered: readonly string[]])[] = [
  [
    'etoken-bridge ',
    [
      'cluster',
      'completion',
      'ctl',
      'diagnose',
      'file',
      'fleet',
      'itl',
      'lab',
      'migrate',
      'phone',
      'tftp',
      'token',
      'tvs',
    ],
  ],
  ['etb c', ['cluster', 'completion', 'ctl']],
  ['etb token ', ['certificates', 'change-pin', 'check', 'export', 'list', 'modules', 'watch']],
  ['etb itl ', ['backup-key', 'create', 'diff', 'empty', 'reset', 'show', 'verify']],
  ['etb file ', ['decrypt', 'encrypt', 'sign', 'strip', 'verify', 'watch']],
  ['etb file sign CTL', ['CTLFile.tlv']],
  ['etb itl reset ', ['localkey', 'remotekey']],
  ['etb itl reset localkey --signer ', ['CallManager', 'ITLRecovery']],
  ['etb ctl to-', ['to-non-secure', 'to-token', 'to-tokenless']],
  ['etb ctl show --', ['--debug', '--help', '--json', '--no-color', '--quiet', '--values']],
  ['etb ctl create --mode ', ['token', 'tokenless']],
  // A value that is the name of a group does not lead there.
  ['etb ctl create --mode token --mo', ['--mode', '--module']],
  ['etb token export --format ', ['der', 'pem']],
  ['etb cluster init --security-mode m', ['mixed']],
  ['etb cluster set ', ['mixed-mode', 'non-secure-mode']],
  ['etb cluster renew C', ['CAPF', 'CallManager']],
  ['etb completion ', ['bash', 'fish', 'zsh']],
  // Files, by the shell itself.
  ['etb ctl show CTL', ['CTLFile.tlv']],
  ['etb ctl create --cluster CTL', ['CTLFile.tlv']],
];

describe('bash', () => {
  test.skipIf(shellMissing('bash'))('the script is bash', () => {
    expect(runShell('bash', ['-n', files.bash])).toBe('');
  });

  test.skipIf(shellMissing('bash'))('completes groups, commands, options, values and files', () => {
    // As bash does it: the function sets COMPREPLY; when it is empty, the default is files.
    const script = `
      source ${files.bash}
      compopt() { [ "$*" = '-o default' ] && COMPREPLY=($(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}")); }
      while IFS= read -r line; do
        read -ra COMP_WORDS <<< "$line"
        case "$line" in *' ') COMP_WORDS+=('') ;; esac
        COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)) COMPREPLY=()
        function_name="$(complete -p "\${COMP_WORDS[0]}")"
        function_name="\${function_name#*-F }"
        "\${function_name%% *}"
        echo "\${COMPREPLY[*]}"
      done`;
    const { stdout, stderr } = spawnSync('bash', ['-c', script], {
      encoding: 'utf8',
      cwd: folder,
      input: cases.map(([line]) => `${line}\n`).join(''),
    });
    expect(stderr).toBe('');
    const offered = stdout.trimEnd().split('\n');
    expect(offered.map((line) => line.split(' ').sort())).toEqual(cases.map(([, words]) => [...words].sort()));
  });
});

describe('zsh', () => {
  const missing = shellMissing('zsh');
  test.skipIf(missing)(`the script is zsh${missing ? ' (zsh is not installed)' : ''}`, () => {
    expect(runShell('zsh', ['-f', '-n', files.zsh])).toBe('');
  });

  test.skipIf(missing)(
    `completes groups, commands, options and values${missing ? ' (zsh is not installed)' : ''}`,
    () => {
      // The parts of zsh's completion that show words on a terminal are replaced by ones that print them.
      const script = `
      autoload -Uz compinit; compinit -u -D
      _describe() { local -a rows; rows=("\${(@P)2}"); print -r -- "\${(@)rows%%:*}"; [[ -n "$rows" ]] }
      _files() { print -r -- CTL* }
      source ${files.zsh}
      while IFS= read -r line; do
        words=("\${(@s: :)line}"); CURRENT=$#words
        [[ "$_comps[\${words[1]}]" = _etoken_bridge ]] && _etoken_bridge
      done`;
      const lines = cases.map(([line]) => line);
      const { stdout, stderr } = spawnSync('zsh', ['-f', '-c', script], {
        encoding: 'utf8',
        cwd: folder,
        input: lines.map((line) => `${line}\n`).join(''),
      });
      expect(stderr).toBe('');
      // Zsh itself leaves out what does not begin with the word; an empty line stands where it goes on to files.
      const printed = stdout
        .trimEnd()
        .split('\n')
        .filter((line) => line !== '');
      const begun = lines.map((line) => line.slice(line.lastIndexOf(' ') + 1));
      const offered = printed.map((line, index) => line.split(' ').filter((word) => word.startsWith(begun[index]!)));
      expect(offered.map((words) => words.sort())).toEqual(cases.map(([, words]) => [...words].sort()));
    },
  );
});

describe('fish', () => {
  const missing = shellMissing('fish');
  test.skipIf(missing)(`the script is fish${missing ? ' (fish is not installed)' : ''}`, () => {
    expect(runShell('fish', ['--no-config', '-n', files.fish])).toBe('');
  });

  test.skipIf(missing)(`completes the same${missing ? ' (fish is not installed)' : ''}`, () => {
    const script = `source ${files.fish}; while read -l line; echo (complete -C $line | string split -f 1 \\t); end`;
    const { stdout, stderr } = spawnSync('fish', ['--no-config', '-c', script], {
      encoding: 'utf8',
      cwd: folder,
      input: cases.map(([line]) => `${line}\n`).join(''),
    });
    expect(stderr).toBe('');
    const offered = stdout.trimEnd().split('\n');
    expect(offered.map((line) => line.split(' ').sort())).toEqual(cases.map(([, words]) => [...words].sort()));
  });
});
