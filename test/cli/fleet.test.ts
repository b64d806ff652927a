import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { noTerminal, openTerminal } from './terminal.js';
import { makeLab, md5Of, serveLab, sha1Of } from '../migration/fleets.js';
import { skipReason } from '../skip-reason.js';
import { expectFailure, jsonOf, plainEnvironment, program, run, snapshot, temporaryFolder } from './etoken-bridge.js';

const folder = temporaryFolder();
const [presentLab, otherLab] = [await makeLab(), await makeLab()];
const [present, other] = [await serveLab(presentLab), await serveLab(otherLab)];
const clusterFile = join(presentLab, 'cluster.yaml');
const [pubItl, subItl] = [present.itls['cucm-pub']!, present.itls['cucm-sub']!];

function put(name: string, content: string | Uint8Array): string {
  writeFileSync(join(folder, name), content);
  return name;
}

mkdirSync(join(folder, 'lists/backups'), { recursive: true });
put('CTLFile.tlv', present.ctl.bytes);
put('pub.tlv', pubItl.bytes);
put('sub.tlv', subItl.bytes);
put('lists/backups/other-CTL.tlv', other.ctl.bytes);
put('lists/other-ITL.tlv', other.itls['cucm-pub']!.bytes);
put('lists/README.txt', 'no list');

const header = 'device,model,CTL SHA-1,ITL SHA-1,TVS servers,Security by Default,Room';
const unknownDigest = 'ab'.repeat(20);
const offers = ['--ctl', 'CTLFile.tlv', '--itl', 'pub.tlv', 'sub.tlv'];

function device(number: number): string {
  return `SEP${number.toString(16).toUpperCase().padStart(12, '0')}`;
}

/** Rows of phones that are kept, lost, and of which nobody can tell. */
const rows = {
  same: `${device(1)},CP-8861,${sha1Of(present.ctl)},${sha1Of(pubItl)},cucm-pub,yes,a`,
  md5: `${device(2)},CP-8861,${md5Of(present.ctl)},${md5Of(pubItl)},cucm-pub,yes,b`,
  empty: `${device(3)},CP-8861,none,Not Installed,cucm-pub,yes,c`,
  strange: `${device(4)},CP-8861,${sha1Of(other.ctl)},${sha1Of(other.itls['cucm-pub']!)},cucm-pub,yes,"d, ""e"""`,
  plain: `${device(5)},7960,${sha1Of(other.ctl)},,,no,=1+1`,
  unknown: `${device(6)},CP-8861,${unknownDigest},none,,yes,f`,
};

function inventory(name: string, ...lines: readonly string[]): string {
  return put(name, [header, ...lines, ''].join('\r\n'));
}

function check(words: readonly string[], options: Parameters<typeof run>[1] = {}): ReturnType<typeof run> {
  return run(['fleet', 'check', ...words], { cwd: folder, ...options });
}

describe('fleet check', () => {
  test('exits with 0 when no phone is lost', () => {
    inventory('kept.csv', rows.same, rows.md5, rows.empty);
    const { status, stdout, stderr } = check(['--phones', 'kept.csv', ...offers]);
    expect(stdout).toContain(`2 phones: CTL ${sha1Of(present.ctl)} (CTLFile.tlv), ITL ${sha1Of(pubItl)} (pub.tlv)\n`);
    expect(stdout).toContain(`  ${device(1)} ${device(2)}\n  TVS servers cucm-pub\n  CTLFile.tlv: accepted by P5: `);
    expect(stdout).toContain('1 phone: CTL none, ITL none\n');
    expect(stdout).toMatch(/\n3 phones in 2 groups: 3 kept, 0 lost\n$/);
    expect([status, stderr]).toEqual([0, '']);
  });

  test('exits with 1 when some are, and writes them with all their columns', () => {
    inventory('all.csv', ...Object.values(rows));
    const words = [
      '--phones',
      'all.csv',
      '--lists',
      'lists',
      ...offers,
      '--cluster',
      clusterFile,
      '--lost',
      'lost.csv',
    ];
    const { status, stdout, stderr } = check(words);
    expect(stdout).toMatch(/\n6 phones in 5 groups: 3 kept, 2 lost, 1 of which nobody can tell\n$/);
    expect(stdout).toContain('(lists/backups/other-CTL.tlv)');
    expect(stderr.split('\n')).toEqual([
      'all.csv has empty cells in the column TVS servers: the usual servers are taken for 1 phones; "none" says that a phone has none',
      '1 files of lists are no trust lists: lists/README.txt',
      `warning: 1 phone holds the CTL ${unknownDigest}, which is not at hand: nobody can tell what they accept. Fetch it from the TFTP server that they had, or from a backup of it, into lists`,
      'lost.csv: the phones that are lost, or of which nobody can tell',
      '',
    ]);
    expect(status).toBe(1);
    const lines = readFileSync(join(folder, 'lost.csv'), 'utf8').split('\r\n');
    expect(lines[0]).toBe(`${header},fleet check: verdict,fleet check: rule,fleet check: reason`);
    expect(lines[1]).toMatch(/,lost,P5,"?CTLFile\.tlv: the signer .* is not in its lists, and no TVS server/);
    expect(lines[1]?.startsWith(`${rows.strange},`)).toBe(true);
    expect(lines[2]).toMatch(/,=1\+1,lost,P11,"?CTLFile\.tlv: the signer .* is not in its lists"?$/);
    expect(lines[2]?.startsWith(`${rows.plain},`)).toBe(true);
    expect(lines[3]).toBe(`${rows.unknown},unknown,,"they hold the CTL ${unknownDigest}, not at hand"`);
    expect(lines.slice(4)).toEqual(['']);

    // Again, with another inventory: the previous file is kept.
    const before = readFileSync(join(folder, 'lost.csv'), 'utf8');
    inventory('fewer.csv', rows.plain);
    const again = check(['--phones', 'fewer.csv', '--lists', 'lists', ...offers, '--lost', 'lost.csv']);
    expect(again.status).toBe(1);
    expect(again.stderr).toMatch(/the previous file is .*backups\/lost\.csv\./);
    const [backup] = readdirSync(join(folder, 'backups'));
    expect(readFileSync(join(folder, 'backups', backup!), 'utf8')).toBe(before);
  });

  test('without a cluster file TVS vouches, and what depends on that is said', () => {
    inventory('strange.csv', rows.strange);
    const { status, stdout } = check(['--phones', 'strange.csv', '--lists', 'lists', ...offers]);
    expect(stdout).toContain('  CTLFile.tlv, if TVS vouches for the signer: accepted by P5: ');
    expect(stdout).toContain('  CTLFile.tlv, while TVS does not answer: rejected by P5: ');
    expect(stdout).toContain('  kept while TVS answers, lost without it\n');
    expect(stdout).toMatch(/\n1 phone in 1 group: 0 kept, 1 kept while TVS answers, 0 lost\n$/);
    expect(status).toBe(0);
  });

  test('--json prints one document with stable keys', () => {
    inventory('json.csv', ...Object.values(rows), 'SEP1,,,,,,');
    const outcome = check(['--phones', 'json.csv', '--lists', 'lists', ...offers, '--lost', 'json-lost.csv', '--json']);
    const document = jsonOf(outcome) as {
      readonly groups: readonly { readonly fate: string; readonly devices: string[]; readonly lists: object[] }[];
    };
    expect(document).toMatchObject({
      phones: 6,
      kept: 3,
      needsTvs: 1,
      lost: 1,
      unknown: 2,
      unusable: 1,
      tvs: 'vouches',
      unknownLists: [{ kind: 'ctl', digest: unknownDigest, phones: 1, mixedUpWith: null }],
      problemCount: 1,
      problems: [{ file: 'json.csv', line: 8, message: 'the device name "SEP1" is not SEP and 12 hex digits' }],
      notes: [
        'json.csv has empty cells in the column TVS servers: the usual servers are taken for 1 phones; "none" says that a phone has none',
      ],
      lostFile: { path: 'json-lost.csv', backup: null },
    });
    expect(document.groups.map(({ fate, devices }) => [fate, devices])).toEqual([
      ['kept', [device(1), device(2)]],
      ['kept', [device(3)]],
      ['needs-tvs', [device(4)]],
      ['lost', [device(5)]],
      ['unknown', [device(6)]],
    ]);
    expect(document.groups[3]).toMatchObject({
      phones: 1,
      rule: 'P11',
      securityByDefault: false,
      ctl: { kind: 'known', digest: sha1Of(other.ctl), name: 'lists/backups/other-CTL.tlv' },
      itl: { kind: 'none', digest: null, name: null },
      tvsServers: [],
      tftpServer: null,
      lists: [
        { kind: 'ctl', name: 'CTLFile.tlv', withTvs: { accepted: false, rule: 'P11' }, withoutTvs: { rule: 'P11' } },
      ],
    });
    expect(Object.keys(document).sort()).toEqual(
      ['phones', 'kept', 'needsTvs', 'lost', 'unknown', 'tvs', 'groups', 'unknownLists', 'problemCount', 'problems']
        .concat(['notes', 'lostFile', 'unusable'])
        .sort(),
    );
    expect(outcome.status).toBe(1);
  });

  test('reads logs with alarms, CSV and alarms together, and standard input', () => {
    const strings = { DeviceName: device(3), CTL_Signature: unknownDigest, ITL_Signature: 'Not Installed' };
    const parameters = Object.entries(strings).map(([name, value]) => `<String name="${name}">${value}</String>`);
    const alarm = `<x-cisco-alarm>\n<Alarm Name="DeviceTLInfo">\n<ParameterList>\n${parameters.join('\n')}\n</ParameterList>\n</Alarm>\n</x-cisco-alarm>\n`;
    const log = put('sdl.log', `REFER sip:x SIP/2.0\n${alarm}REFER sip:y SIP/2.0\n${alarm.slice(0, 99)}`);
    inventory('csv.csv', rows.same, rows.empty);
    const { status, stdout, stderr } = check(['--phones', 'csv.csv', log, ...offers]);
    expect(stdout).toMatch(
      /2 phones in 2 groups and 1 line that cannot be used: 1 kept, 0 lost, 2 of which nobody can tell\n$/,
    );
    expect(stdout).toContain(`1 phone: CTL ${unknownDigest} (not at hand), ITL none`);
    expect(stderr).toContain('warning: sdl.log, line 12: DeviceTLInfo alarm: it is cut: its end is missing\n');
    expect(stderr).toContain('warning: 1 line of the inventory cannot be used, and what they tell is left out\n');
    expect(status).toBe(1);
    const piped = check(['--phones', '-', ...offers], { input: readFileSync(join(folder, 'csv.csv')) });
    expect(piped.stdout).toMatch(/2 phones in 2 groups: 2 kept, 0 lost\n$/);
    expect(piped.status).toBe(0);
  });

  test('nothing offered: it says what the phones hold', () => {
    const { status, stdout, stderr } = check(['--phones', 'kept.csv']);
    expect(stdout).toMatch(/3 phones in 3 groups\n$/);
    const document = jsonOf(check(['--phones', 'kept.csv', '--json'])) as { readonly groups: { fate: unknown }[] };
    expect(document).toMatchObject({ phones: 3, kept: null, needsTvs: null, lost: null, unknown: null, unusable: 0 });
    expect(document.groups.map(({ fate }) => fate)).toEqual([null, null, null]);
    expect(stderr).toContain('nothing is offered to the phones: give --ctl and --itl');
    expect(status).toBe(0);
  });

  test.each([
    ['UTF-8 with a mark', '\uFEFF', 'utf8'],
    ['UTF-16', '\uFEFF', 'utf16le'],
    ['Windows-1252', '', 'latin1'],
  ] as const)('reads %s', (_name, mark, encoding) => {
    const text = `${mark}${header}\r\n${rows.plain.replace('=1+1', 'Büro')}\r\n`;
    put('encoded.csv', Buffer.from(text, encoding));
    const words = ['--phones', 'encoded.csv', '--lists', 'lists', ...offers, '--lost', 'encoded-lost.csv'];
    const { status, stderr } = check(words);
    expect(status).toBe(1);
    expect(readFileSync(join(folder, 'encoded-lost.csv'), 'utf8')).toContain(',Büro,lost,P11,');
    expect(stderr.includes('was read as Windows-1252')).toBe(encoding === 'latin1');
  });
});

describe('lines that cannot be used', () => {
  const broken = ['SEP1,,,,,,', `${device(7)},,${'a'.repeat(39)},,,,`, rows.same, `${device(8)},"x,,,,,`];

  test('are told with their numbers, and the rest is used', () => {
    inventory('broken.csv', rows.same, ...broken);
    const { status, stdout, stderr } = check(['--phones', 'broken.csv', ...offers]);
    expect(stderr.split('\n')).toEqual([
      'warning: broken.csv, line 3: the device name "SEP1" is not SEP and 12 hex digits',
      'warning: broken.csv, line 4: CTL SHA-1 is 39 hex digits, not 40 hex digits (SHA-1), 32 (MD5) or "none"',
      `warning: broken.csv, line 5: ${device(1)} is here twice; line 2 is used`,
      'warning: broken.csv, line 6: a quote (") is not closed',
      'warning: 4 lines of the inventory cannot be used, and what they tell is left out',
      '',
    ]);
    // The line 5 says of its phone what line 2 says.
    expect(stdout).toMatch(
      /\n1 phone in 1 group and 3 lines that cannot be used: 1 kept, 0 lost, 3 of which nobody can tell\n$/,
    );
    expect(status).toBe(1);
  });

  test('of a phone whose only line cannot be used nobody can tell, and it is among the lost ones', () => {
    inventory('na.csv', `${device(7)},CP-8861,#N/A,none,,yes,g`);
    const words = ['--phones', 'na.csv', ...offers];
    const { status, stdout, stderr } = check([...words, '--lost', 'na-lost.csv']);
    expect(stdout).toMatch(/^0 phones in 0 groups and 1 line that cannot be used: 0 kept, 0 lost, 1 of which nobody/);
    expect(stderr).toContain('warning: the inventory has no phone that can be used');
    expect(status).toBe(1);
    expect(readFileSync(join(folder, 'na-lost.csv'), 'utf8').split('\r\n')[1]).toBe(
      `${device(7)},CP-8861,#N/A,none,,yes,g,unknown,,"line 2 cannot be used: CTL SHA-1 is ""#N/A"", not 40 hex digits (SHA-1), 32 (MD5) or ""none""\"`,
    );
    expect(jsonOf(check([...words, '--json']))).toMatchObject({ phones: 0, kept: 0, unknown: 1, unusable: 1 });
    expect(check(['--phones', 'na.csv']).status).toBe(1);
  });

  test('an empty cell tells nothing, and it is said of how many phones', () => {
    inventory('empty.csv', `${device(1)},CP-8861,,,cucm-pub,yes,a`, `${device(2)},CP-8861,,none,cucm-pub,yes,b`);
    const outcome = check(['--phones', 'empty.csv', ...offers, '--json']);
    expect(outcome.status).toBe(1);
    const held = { kind: 'unknown', digest: null, name: null };
    expect(jsonOf(outcome)).toMatchObject({
      kept: 0,
      unknown: 2,
      unknownLists: [
        { kind: 'ctl', digest: null, phones: 2, mixedUpWith: null },
        { kind: 'itl', digest: null, phones: 1, mixedUpWith: null },
      ],
      groups: [{ ctl: held, itl: held }, { ctl: held }],
    });
    const { stdout, stderr } = check(['--phones', 'empty.csv', ...offers]);
    expect(stdout).toContain('1 phone: CTL not told, ITL not told\n');
    expect(stdout).toContain('  nobody can tell: the inventory does not tell their CTL and their ITL\n');
    expect(stderr).toContain('warning: of 2 phones the inventory does not tell the CTL: nobody can tell');
    expect(stderr).toContain('warning: of 1 phone the inventory does not tell the ITL: nobody can tell');
  });

  test('--strict refuses them, and writes nothing', () => {
    inventory('strict.csv', rows.same, ...broken, rows.plain);
    const before = snapshot(folder);
    const outcome = check(['--phones', 'strict.csv', ...offers, '--strict', '--lost', 'strict-lost.csv']);
    expectFailure(
      outcome,
      2,
      '4 lines of the inventory cannot be used:\n  strict.csv, line 3: the',
      'leave out --strict',
    );
    expect(outcome.stderr).toContain('\n  strict.csv, line 6: a quote (") is not closed\nhint: ');
    expect(snapshot(folder)).toEqual(before);
    inventory('good.csv', rows.same);
    expect(check(['--phones', 'good.csv', ...offers, '--strict']).status).toBe(0);
  });

  test('of many, twenty are shown and all are counted', () => {
    inventory('many.csv', ...Array.from({ length: 500 }, () => 'x'));
    const told = check(['--phones', 'many.csv']);
    expect(told.stderr.match(/^warning: many\.csv, line/gm)).toHaveLength(20);
    expect(told.stderr).toContain(
      'warning: 500 lines of the inventory cannot be used, and what they tell is left out (and 480 more)',
    );
    expect(told.stderr).toContain('warning: the inventory has no phone that can be used');
    expect(check(['--phones', 'many.csv', '--strict']).stderr).toMatch(/line 21: [^\n]*\n {2}and 480 more\nhint: /);
  });

  test('nothing of a file moves the cursor', () => {
    inventory('cursor.csv', '"\u001b[2JSEP\n1",,,,,,');
    const { stderr } = check(['--phones', 'cursor.csv']);
    expect(stderr).toContain(String.raw`line 2: "\u001b[2JSEP\n1" is no device name`);
    expect(stderr).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
  });
});

describe('wrong input ends with 2', () => {
  put('words.txt', 'just words\n');
  inventory('one.csv', rows.same);

  test.each<readonly [readonly string[], string, string]>([
    [[], "required option '--phones <file...>'", ''],
    [['--phones', 'none.csv'], 'there is no inventory none.csv', 'check the path'],
    [['--phones', 'lists'], 'the inventory lists cannot be read', 'check the file'],
    [
      ['--phones', 'words.txt'],
      'the inventory words.txt is no inventory: no DeviceTLInfo alarm',
      'give CSV with the columns',
    ],
    [['--phones', 'CTLFile.tlv'], 'is no inventory', 'give CSV with the columns'],
    [['--phones', 'one.csv', '--ctl', 'pub.tlv'], 'pub.tlv is an ITL, and the CTL', 'mixed up'],
    [['--phones', 'one.csv', '--itl', 'words.txt'], 'words.txt is no trust list', ''],
    [['--phones', 'one.csv', '--lists', 'nowhere'], 'there is no folder of trust lists nowhere', 'check the path'],
    [['--phones', 'one.csv', '--cluster', 'words.txt'], 'words.txt', ''],
    [['--phones', 'one.csv', '--lost', '-'], '--lost is not written to standard output', '--lost ./-'],
    [['--phones', 'one.csv', '--lost', 'one.csv'], 'the output one.csv is also an input', 'give another --lost'],
    [['--phones', 'one.csv', '--ctl', 'CTLFile.tlv', '--lost', './CTLFile.tlv'], 'is also an input', 'another --lost'],
    [
      ['--phones', 'one.csv', '--lists', 'lists', '--lost', 'lists/other-ITL.tlv'],
      'is also an input',
      'another --lost',
    ],
    [['--phones', 'one.csv', '--lost', 'no/such/folder.csv'], 'its folder does not exist', ''],
  ])('%j', (words, error, hint) => {
    const before = snapshot(folder);
    const outcome = check(words);
    expect(outcome.stderr).toContain(error);
    expect(outcome.stderr).toContain(hint);
    expect([outcome.status, outcome.stdout]).toEqual([2, '']);
    expect(snapshot(folder)).toEqual(before);
  });

  test('a link to an input is that input', () => {
    symlinkSync(join(folder, 'one.csv'), join(folder, 'link.csv'));
    expectFailure(check(['--phones', 'one.csv', '--lost', 'link.csv']), 2, 'is also an input (one.csv)', '--lost');
  });
});

test('a hundred thousand phones in one go, each counted once', () => {
  const kinds = Object.values(rows);
  const lines = Array.from({ length: 100_000 }, (_, index) =>
    kinds[index % kinds.length]!.replace(/^SEP[^,]*/, device(index)),
  );
  inventory('large.csv', ...lines);
  const words = ['fleet', 'check', '--phones', 'large.csv', '--lists', 'lists', ...offers, '--cluster', clusterFile];
  const { status, stdout } = spawnSync(process.execPath, [program, ...words, '--lost', 'large-lost.csv', '--json'], {
    cwd: folder,
    encoding: 'utf8',
    env: plainEnvironment(),
    maxBuffer: 64 * 1024 * 1024,
  });
  expect(status).toBe(1);
  const document = JSON.parse(stdout) as { readonly groups: readonly { readonly devices: readonly string[] }[] };
  // 16,667 phones of each of the first four kinds and 16,666 of the last two.
  expect(document).toMatchObject({ phones: 100_000, kept: 50_001, needsTvs: 0, lost: 33_333, unknown: 16_666 });
  expect(new Set(document.groups.flatMap(({ devices }) => devices)).size).toBe(100_000);
  const written = readFileSync(join(folder, 'large-lost.csv'), 'utf8').split('\r\n');
  expect(written).toHaveLength(1 + 33_333 + 16_666 + 1);
  expect(written[1]).toMatch(new RegExp(`^${device(3)},`));
});

test.skipIf(noTerminal)(`a terminal shows how far it is${skipReason(noTerminal)}`, async () => {
  const words = ['fleet', 'check', '--phones', 'large.csv', '--lists', 'lists', ...offers];
  const terminal = openTerminal(words, { cwd: folder });
  expect(await terminal.ended).toBe(1);
  const screen = terminal.screen();
  expect(screen).toMatch(/\r\u001b\[Kreading large\.csv, KiB: \d+ of \d+/);
  expect(screen).toMatch(/\r\u001b\[Kphones judged: \d+ of 100000/);
  // The line is gone in the end.
  expect(screen).toMatch(/\r\u001b\[K100|\r\u001b\[K\d+ phones: /);
});

test('an inventory of more than 16 MiB may come through a pipe', () => {
  const input = Buffer.concat([
    Buffer.from(`${header}\n`),
    ...Array.from({ length: 17 }, (_, index) => {
      const room = 'x'.repeat(1024);
      const lines = Array.from(
        { length: 1024 },
        (_row, row) => `${device(index * 1024 + row)},,none,none,,yes,${room}\n`,
      );
      return Buffer.from(lines.join(''));
    }),
  ]);
  const { status, stdout } = check(['--phones', '-', '--json'], { input });
  expect(JSON.parse(stdout)).toMatchObject({ phones: 17 * 1024, problemCount: 0 });
  expect(status).toBe(0);
});

test('the command loads the readers of inventories only when it reads one', () => {
  const trace = (words: readonly string[]): string => {
    const script = `
      const { syncBuiltinESMExports } = require('node:module');
      process.on('exit', () => process.stderr.write(Object.keys(require.cache).join('\\n')));
      void syncBuiltinESMExports; process.argv.splice(1, 1, process.argv[1]);
      require(process.argv[1]);`;
    return spawnSync(process.execPath, ['-e', script, program, ...words], {
      cwd: folder,
      encoding: 'utf8',
      env: plainEnvironment(),
    }).stderr;
  };
  expect(trace(['fleet', 'check', '--phones', 'one.csv'])).toMatch(/node_modules\/csv-parse\//);
  for (const words of [
    ['ctl', 'verify', 'CTLFile.tlv', '--against', 'CTLFile.tlv'],
    ['fleet', '--help'],
  ]) {
    const loaded = trace(words);
    expect(loaded).toContain('main.js');
    expect(loaded).not.toMatch(/node_modules\/(csv-parse|saxes)\//);
  }
});
