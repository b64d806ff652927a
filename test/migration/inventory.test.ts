import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InputError } from '../../src/errors.js';
import {
  columnNames,
  hasSecurityByDefault,
  readInventory,
  untold,
  type ColumnMeaning,
  type Inventory,
} from '../../src/migration/index.js';

const ctl = '1d97d908a1c26c7f5dab8cc57e9e0b8ab2a5d4c1';
const itl = '1ba1c907e99e4d3c539dc81424af6c9f7dce4d6d';
const header = 'device,model,CTL SHA-1,ITL SHA-1,TVS servers,Security by Default';

function read(text: string, parts: readonly string[] = [text]): Inventory {
  return readInventory(parts, 'phones.csv');
}

function problemsOf(inventory: Inventory): readonly string[] {
  expect(inventory.problemCount).toBe(inventory.problems.length);
  return inventory.problems.map(({ file, line, message }) => `${file}:${String(line)}: ${message}`);
}

function phone(name: string): string {
  return `SEP${name.padStart(12, '0')}`;
}

describe('a CSV inventory', () => {
  test('gives the phones with what they hold, and keeps the columns that are not understood', () => {
    const text = [
      `${header},TFTP server,Location`,
      `SEPC80084AA8743,CP-8861,${ctl.toUpperCase()},1B A1 C9 07 E9 9E 4D 3C 53 9D C8 14 24 AF 6C 9F 7D CE 4D 6D ,cucm-1;cucm-2:2445,yes,cucm-1,Berlin`,
      `sepc80084aa8744,7960,${ctl.match(/../g)!.join(':')},Not Installed,,No,,"Bonn, ""old"" building"`,
      `00:11:22-33.4455,CP-7821,${'0f'.repeat(16)},None,a|b  c,TRUE,N/A,`,
      'CSFjdoe,Jabber,-,,none,0,-,',
      '',
    ].join('\n');
    const inventory = read(text);
    expect(problemsOf(inventory)).toEqual([]);
    const phones = [...inventory.phones.values()];
    expect(phones.map(({ device, model, line, state }) => [device, model, line, state])).toEqual([
      [
        'SEPC80084AA8743',
        'CP-8861',
        2,
        { ctl, itl, tvsServers: ['cucm-1', 'cucm-2:2445'], securityByDefault: true, tftpServer: 'cucm-1' },
      ],
      [
        'SEPC80084AA8744',
        '7960',
        3,
        { ctl, itl: undefined, tvsServers: undefined, securityByDefault: false, tftpServer: undefined },
      ],
      [
        'SEP001122334455',
        'CP-7821',
        4,
        {
          ctl: '0f'.repeat(16),
          itl: undefined,
          tvsServers: ['a', 'b', 'c'],
          securityByDefault: true,
          tftpServer: undefined,
        },
      ],
      [
        'CSFjdoe',
        'Jabber',
        5,
        { ctl: undefined, itl: untold, tvsServers: [], securityByDefault: false, tftpServer: undefined },
      ],
    ]);
    expect(inventory.sources).toEqual([
      {
        file: 'phones.csv',
        kind: 'csv',
        columns: [...header.split(','), 'TFTP server', 'Location'],
        separator: ',',
        byteOrderMark: false,
      },
    ]);
    expect(phones[1]?.cells).toEqual([
      'sepc80084aa8744',
      '7960',
      ctl.match(/../g)!.join(':'),
      'Not Installed',
      '',
      'No',
      '',
      'Bonn, "old" building',
    ]);
  });

  const spellings = Object.entries(columnNames).flatMap(([meaning, names]) =>
    names.map((name) => [meaning as ColumnMeaning, name] as const),
  );

  test.each(spellings)('finds the column %s under the name %s, however it is written', (meaning, name) => {
    const first = {
      device: phone('1'),
      model: 'CP-8861',
      ctl,
      itl,
      tvs: 'cucm-1',
      securityByDefault: 'yes',
      tftp: 'cucm-9',
    };
    const written = [
      name.toUpperCase(),
      ` ${Array.from(name).join('_')} `,
      `"${Array.from(name).join('-')}"`,
      Array.from(name).join(' '),
    ];
    for (const title of written) {
      const rest = (Object.keys(columnNames) as ColumnMeaning[]).filter((one) => one !== meaning);
      const titles = [title, ...rest.map((one) => columnNames[one][0]!)];
      const inventory = read(`${titles.join(',')}\n${[first[meaning], ...rest.map((one) => first[one])].join(',')}\n`);
      const [read1] = [...inventory.phones.values()];
      expect(read1).toMatchObject({
        device: phone('1'),
        model: 'CP-8861',
        state: { ctl, itl, tvsServers: ['cucm-1'], securityByDefault: true, tftpServer: 'cucm-9' },
      });
    }
  });

  test('of two columns that mean the same the better name counts; the same name twice is refused', () => {
    const [one] = [
      ...read(
        `Device Name,Name,CTL MD5,CTL SHA1,ITL\n${phone('1')},lobby,${'a'.repeat(32)},${ctl},-\n`,
      ).phones.values(),
    ];
    expect(one).toMatchObject({ device: phone('1'), state: { ctl, itl: undefined } });
    expect(() => read('device,CTL,ctl,itl\n')).toThrow('phones.csv has two columns CTL SHA-1 (line 1)');
  });

  test.each([
    [';', ''],
    ['\t', ''],
    [',', '\uFEFF'],
    [';', '\uFEFF'],
  ])('is read with the separator %j after the byte order mark %j, as Excel writes it', (separator, mark) => {
    const rows = [
      [...header.split(','), 'Room'],
      [phone('1'), 'CP-8861', ctl, itl, 'cucm-1|cucm-2', 'yes', `"a${separator}b"`],
    ];
    const text = mark + rows.map((row) => `${row.join(separator)}\r\n`).join('');
    for (const parts of [[text], Array.from(text)]) {
      const inventory = read('', parts);
      expect(problemsOf(inventory)).toEqual([]);
      const [one] = [...inventory.phones.values()];
      expect(one?.state.tvsServers).toEqual(['cucm-1', 'cucm-2']);
      expect(one?.cells.at(-1)).toBe(`a${separator}b`);
      expect(inventory.sources[0]).toMatchObject({ separator, byteOrderMark: mark !== '' });
    }
  });

  test('a line sep=; is what Excel is told, and no header', () => {
    const inventory = read(`sep=;\r\n${header.replaceAll(',', ';')}\r\n${phone('1')};;;;;\r\n`);
    expect([...inventory.phones.values()].map(({ line }) => line)).toEqual([3]);
  });

  test.each(['\n', '\r\n', '\r'])('line numbers are right with %j and cells of several lines', (end) => {
    const text = [
      '',
      `${header},Note`,
      `${phone('1')},,${ctl},,,,"one`,
      'two ""quoted""',
      '',
      'five"',
      `${phone('2')},,short,,,,`,
      '   ',
      `${phone('3')},,,,,,"x"`,
      `${phone('4')},,,,,`,
    ].join(end);
    for (const parts of [[text], Array.from(text), [text.slice(0, 99), text.slice(99)]]) {
      const inventory = read('', parts);
      expect([...inventory.phones.values()].map(({ device, line }) => [device, line])).toEqual([
        [phone('1'), 3],
        [phone('3'), 9],
      ]);
      expect(inventory.phones.get(phone('1'))?.cells.at(-1)).toBe(['one', 'two "quoted"', '', 'five'].join(end));
      expect(problemsOf(inventory)).toEqual([
        'phones.csv:7: CTL SHA-1 is "short", not 40 hex digits (SHA-1), 32 (MD5) or "none"',
        'phones.csv:10: it has 6 columns, and the header has 7',
      ]);
    }
  });

  const good = `${phone('1')},CP-8861,${ctl},${itl},cucm-1,yes`;
  test.each([
    ['too few columns', `${phone('2')},CP-8861,${ctl}`, 'it has 3 columns, and the header has 6'],
    ['too many columns', `${good},x,y`, 'it has 8 columns, and the header has 6'],
    ['no device name', `  ,CP-8861,${ctl},${itl},cucm-1,yes`, 'no device name'],
    ['a short MAC address', `SEP12345,,,,,yes`, 'the device name "SEP12345" is not SEP and 12 hex digits'],
    ['a device name that is none', `=cmd|' /c calc'!A1,,,,,yes`, String.raw`"=cmd|' /c calc'!A1" is no device name`],
    ['a SHA-1 with a digit too few', `${phone('2')},,${ctl.slice(1)},,,yes`, 'CTL SHA-1 is 39 hex digits, not 40'],
    ['a SHA-256', `${phone('2')},,,${'a'.repeat(64)},,yes`, 'ITL SHA-1 is 64 hex digits, not 40'],
    ['no hex', `${phone('2')},,,unknown,,yes`, 'ITL SHA-1 is "unknown", not 40 hex digits'],
    ['an unknown boolean', `${phone('2')},,,,,perhaps`, 'Security by Default is "perhaps", not yes or no'],
    [
      'a TVS server that is none',
      `${phone('2')},,,,http://x y,yes`,
      '"http://x" is no name or address of a TVS server',
    ],
    [
      'an ITL without Security by Default',
      `${phone('2')},,,${itl},,no`,
      'it has an ITL, and Security by Default is no',
    ],
    ['the same device twice', good, `${phone('1')} is here twice; line 2 is used`],
    ['the same device twice, written otherwise', '00:00:00:00:00:01,,,,,', 'line 2 is used'],
    ['a quote that is not closed', `${phone('2')},"CP-8861,,,,yes`, 'a quote (") is not closed'],
    ['text after a quote', `${phone('2')},"CP"-8861,,,,yes`, 'its quotes (") are wrong'],
    ['quotes within a cell', `${phone('2')},7" "screen,,,,yes`, 'its quotes (") are wrong'],
    ['one inch', `${phone('2')},7" screen,,,,yes`, 'a quote (") is not closed'],
  ])('a line with %s is reported with its number, and the rest is used', (_what, broken, message) => {
    for (const end of ['\n', '\r\n']) {
      const text = [header, good, broken, `${phone('9')},,,,,yes`, `${phone('A')},"x",,,,yes`, ''].join(end);
      const inventory = read(text);
      expect([...inventory.phones.keys()]).toEqual([phone('1'), phone('9'), phone('A')]);
      expect(problemsOf(inventory)).toHaveLength(1);
      expect(problemsOf(inventory)[0]).toMatch(/^phones\.csv:3: /);
      expect(problemsOf(inventory)[0]).toContain(message);
    }
  });

  test('one broken line among thousands costs no other one', () => {
    const lines = Array.from({ length: 3000 }, (_, index) => `${phone(index.toString(16).toUpperCase())},,,,,yes`);
    lines[700] = `${phone('F00F00')},"never closed,,,,yes`;
    lines[1999] = `${phone('F00F00')},a"b"c,,,,yes`;
    const inventory = read([header, ...lines].join('\n'));
    expect(inventory.phones.size).toBe(2998);
    expect(problemsOf(inventory)).toEqual([
      'phones.csv:702: a quote (") is not closed',
      'phones.csv:2001: its quotes (") are wrong',
    ]);
  });

  test('a line of more than a million characters is reported and not kept', () => {
    const long = 'x'.repeat(700_000);
    const parts = [`${header}\n${phone('1')},,,,,yes\n`, long, long, long, `\n${phone('2')},,,,,yes\n`];
    const inventory = read('', parts);
    expect([...inventory.phones.values()].map(({ device, line }) => [device, line])).toEqual([
      [phone('1'), 2],
      [phone('2'), 4],
    ]);
    expect(problemsOf(inventory)).toEqual(['phones.csv:3: the line has more than a million characters']);
  });

  test('of many broken lines the first thousand are told and all are counted', () => {
    const inventory = read([header, ...Array.from({ length: 5000 }, () => 'x')].join('\n'));
    expect([inventory.problemCount, inventory.problems.length]).toEqual([5000, 1000]);
  });

  test('phones that hold the same share one object', () => {
    const rows = Array.from({ length: 100 }, (_, index) => `${phone(String(index))},CP-8861,${ctl},${itl},a b,yes`);
    const phones = [...read([header, ...rows].join('\n')).phones.values()];
    expect(new Set(phones.map(({ state }) => state)).size).toBe(1);
  });
});

describe('lines that cannot be used', () => {
  test('the same device twice counts where the second line says something else', () => {
    const line = `${phone('1')},CP-8861,${ctl},none,,yes`;
    expect(read([header, line, line].join('\n'))).toMatchObject({ problemCount: 1, unusable: { count: 0, rows: [] } });
    const other = read([header, line, line.replace(ctl, 'none')].join('\n'));
    expect(other).toMatchObject({ problemCount: 1, unusable: { count: 1, rows: [{ device: phone('1'), line: 3 }] } });
  });

  test('of cells that may not be where they belong only the name of a phone is taken for a device', () => {
    const titles = 'model,device,ctl,itl';
    const inventory = read([titles, `CP,8861,${phone('1')},none,none`, `CP-8861,${phone('2')},none`].join('\n'));
    expect(inventory.unusable).toMatchObject({ count: 2, rows: [{ device: phone('2'), line: 3 }] });
  });

  test('beyond the thousand that are told all are counted and kept', () => {
    const rows = Array.from({ length: 1500 }, (_, index) => `${phone(String(index))},,#N/A,,,yes`);
    const { problems, unusable } = read([header, ...rows].join('\n'));
    expect([problems.length, unusable.count, unusable.rows.length]).toEqual([1000, 1500, 1500]);
  });

  test('a broken alarm counts, unless a later one of the same device is whole', () => {
    const alarm = (device: string, signature: string): string =>
      '<x-cisco-alarm><Alarm Name="DeviceTLInfo"><ParameterList>' +
      `<String name="DeviceName">${device}</String><String name="CTL_Signature">${signature}</String>` +
      '<String name="ITL_Signature">N/A</String></ParameterList></Alarm></x-cisco-alarm>\n';
    const broken = ['short', ''].map((signature) => alarm(phone('1'), signature)).join('');
    const log = readInventory([broken + alarm(phone('2'), 'N/A')], 'x.log');
    expect(log.problems.map(({ message }) => message)).toEqual([
      'DeviceTLInfo alarm: CTL_Signature is "short", not 40 hex digits (SHA-1), 32 (MD5) or "none"',
      'DeviceTLInfo alarm: the parameter CTL_Signature is empty',
    ]);
    expect(log.unusable).toMatchObject({ count: 2, rows: [{ device: phone('1'), line: 1, cells: [phone('1')] }, {}] });
    expect(readInventory([broken + alarm(phone('1'), 'N/A')], 'x.log')).toMatchObject({
      problemCount: 2,
      unusable: { count: 0 },
    });
    expect(readInventory([alarm(phone('1'), 'N/A') + broken], 'x.log').unusable.count).toBe(2);
  });

  test('alarms with ever new parameters do not make ever more columns', () => {
    const alarms = Array.from({ length: 100 }, (_, index) =>
      [
        '<x-cisco-alarm><Alarm Name="DeviceTLInfo"><ParameterList>',
        `<String name="DeviceName">${phone(String(index))}</String>`,
        '<String name="CTL_Signature">N/A</String><String name="ITL_Signature">N/A</String>',
        `<String name="Odd${String(index)}">x</String></ParameterList></Alarm></x-cisco-alarm>\n`,
      ].join(''),
    );
    const { phones, sources, problems } = readInventory(alarms, 'x.log');
    expect([phones.size, sources[0]?.columns.length, problems]).toEqual([100, 64, []]);
    expect(phones.get(phone('60'))?.cells).toHaveLength(64);
    expect(phones.get(phone('99'))?.cells).toHaveLength(3);
  });
});

describe('without a column Security by Default', () => {
  test('ITL and model decide, and it is said', () => {
    const rows = [
      `${phone('1')},Cisco 7960,${ctl},none`,
      `${phone('2')},Cisco 7960,${ctl},none`,
      `${phone('3')},CP-7940G,,${itl}`,
      `${phone('4')},Cisco IP Communicator,,`,
      `${phone('5')},CP-8861,,`,
      `${phone('6')},,,`,
    ];
    const inventory = read(['device,model,ctl,itl', ...rows].join('\n'));
    expect([...inventory.phones.values()].map(({ state }) => state.securityByDefault)).toEqual([
      false,
      false,
      // It has an ITL, whatever its model is.
      true,
      false,
      true,
      true,
    ]);
    expect([...inventory.phones.values()].map(({ state }) => state.tvsServers)).toEqual(Array(6).fill(undefined));
    expect(inventory.notes).toEqual([
      'phones.csv has no column Security by Default: decided by ITL and model for 5 phones; without it Cisco 7960 (2), Cisco IP Communicator (1)',
    ]);
  });

  test('an empty cell is decided so too', () => {
    const inventory = read(`${header}\n${phone('1')},7940,,,,\n${phone('2')},7940,,,,yes\n`);
    expect([...inventory.phones.values()].map(({ state }) => state.securityByDefault)).toEqual([false, true]);
    expect(inventory.notes).toEqual([
      'phones.csv has empty cells in the column TVS servers: the usual servers are taken for 1 phones; "none" says that a phone has none',
      'phones.csv has empty cells in the column Security by Default: decided by ITL and model for 1 phones; without it 7940 (1)',
    ]);
  });

  test.each([
    'Cisco 7940',
    'Cisco 7960',
    'CP-7960G',
    'Cisco Unified IP Phone 7940G',
    'cipc',
    'Cisco IP Communicator',
    'Cisco Unified Client Services Framework',
    'Cisco Dual Mode for iPhone',
    'Cisco Jabber for Tablet',
    'Cisco TelePresence MX800',
    'Cisco TelePresence Codec C40',
    'Third-party SIP Device (Advanced)',
  ])('%s has it not', (model) => expect(hasSecurityByDefault(model)).toBe(false));

  test.each(['Cisco 7941', 'CP-7961G-GE', '7962', 'CP-8861', 'Cisco 7821', 'Cisco DX650', 'CP-6921', '', 'something'])(
    '%s has it',
    (model) => expect(hasSecurityByDefault(model)).toBe(true),
  );
});

describe('what is no inventory', () => {
  test.each([
    ['', 'the inventory phones.csv is empty'],
    ['\n \r\n', 'the inventory phones.csv is empty'],
    ['x'.repeat(2_000_000), 'the inventory phones.csv has lines of more than a million characters only'],
    ['hello world\n', 'the inventory phones.csv is no inventory: no DeviceTLInfo alarm is in it, and its first line'],
    ['device,model\nSEP000000000001,x\n', 'has no column CTL SHA-1, ITL SHA-1 (line 1)'],
    ['\ndevice;ctl\n', 'has no column ITL SHA-1 (line 2)'],
    ['ctl,itl\n,\n', 'is no inventory'],
    ['\u001b[2Jx\n', String.raw`("\u{1b}[2Jx")`],
  ])('%j is refused', (text, message) => {
    expect(() => read(text)).toThrow(InputError);
    expect(() => read(text)).toThrow(message);
  });

  test('a header alone is an inventory without phones', () => {
    expect(read(header)).toMatchObject({ problemCount: 0 });
    expect(read(header).phones.size).toBe(0);
  });
});

describe('whatever the text is', () => {
  const words = fc.constantFrom(
    ...[header, ctl, itl, phone('1'), phone('2'), ',', ';', '"', '""', '\n', '\r\n', '\r', '\uFEFF', 'yes', 'none'],
    ...['<x-cisco-alarm>', '</x-cisco-alarm>', '<Alarm Name="DeviceTLInfo">', '<String name="DeviceName">', '\0', 'é'],
  );
  const texts = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(fc.oneof(words, fc.string()), { maxLength: 40 }).map((parts) => parts.join('')),
    fc.array(fc.oneof(words, fc.string()), { maxLength: 40 }).map((parts) => `${header}\n${parts.join('')}`),
  );

  test('it is read, reported, or refused with an InputError; in parts as in one', () => {
    fc.assert(
      fc.property(texts, fc.array(fc.nat(200), { maxLength: 5 }), (text, cuts) => {
        const outcome = (parts: readonly string[]): unknown => {
          try {
            const { phones, problems, notes } = read('', parts);
            return [[...phones.values()], problems, notes];
          } catch (error) {
            expect(error).toBeInstanceOf(InputError);
            return (error as InputError).message;
          }
        };
        const places = [0, ...cuts.map((cut) => Math.min(cut, text.length)).sort((left, right) => left - right)];
        const parts = places.map((place, index) => text.slice(place, places[index + 1]));
        const whole = outcome([text]);
        expect(outcome(parts)).toEqual(whole);
        if (!Array.isArray(whole)) return;
        // Every line is used, reported, or empty; no line is reported that is not there.
        const lines = text.split(/\r\n|\n|\r/).length;
        for (const { line } of read(text).problems) expect(line).toBeLessThanOrEqual(lines);
      }),
      { numRuns: 1500 },
    );
  });

  test('what was written as CSV reads back cell by cell', () => {
    const device = fc.integer({ min: 0, max: 0xffffff }).map((number) => phone(number.toString(16).toUpperCase()));
    const cell = fc.string({ unit: fc.constantFrom('a', ' ', ',', ';', '"', '\n', '\r\n', '=', 'ü', '-') });
    const rows = fc.uniqueArray(fc.record({ device, note: cell, ctl: fc.constantFrom('', ctl) }), {
      selector: (row) => row.device,
      maxLength: 20,
    });
    fc.assert(
      fc.property(rows, fc.constantFrom(',', ';', '\t'), fc.constantFrom('\n', '\r\n'), (written, separator, end) => {
        const quote = (text: string): string => `"${text.replaceAll('"', '""')}"`;
        const text = [
          ['device', 'ctl', 'itl', 'Note'].join(separator),
          ...written.map((row) => [row.device, row.ctl, '', quote(row.note)].join(separator)),
        ].join(end);
        const inventory = read(text);
        expect(problemsOf(inventory)).toEqual([]);
        expect([...inventory.phones.values()].map(({ cells }) => cells)).toEqual(
          written.map((row) => [row.device, row.ctl, '', row.note]),
        );
      }),
      { numRuns: 300 },
    );
  });
});
