import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InputError } from '../../src/errors.js';
import { parseDeviceTlInfo, readInventory, type Inventory } from '../../src/migration/index.js';
import { alarm as transcript } from './phone-log-transcripts.js';

const itl = '1ba1c907e99e4d3c539dc81424af6c9f7dce4d6d';
const ctl = 'f'.repeat(40);

interface Told {
  readonly device?: string;
  readonly ctl?: string;
  readonly itl?: string;
  readonly more?: string;
}

function alarm({
  device = 'SEP000000000001',
  ctl: c = 'Not Installed',
  itl: i = 'Not Installed',
  more = '',
}: Told = {}): string {
  return transcript
    .replace('SEPC80084AA8743', device)
    .replace('Not Installed', c)
    .replace(/1B A1[^<]*/, i)
    .replace('</ParameterList>', `${more}</ParameterList>`);
}

/** What a log has around an alarm. */
const refer = [
  '2019-03-12 09:13:34.112 |SIPTcp - wait_SdlReadRsp: Incoming SIP TCP message from 192.168.7.104',
  'REFER sip:cucm-115.home.lab SIP/2.0',
  'Content-Type: application/x-cisco-alarm+xml',
  'Content-Length: 640',
  '',
  '',
].join('\r\n');

function read(text: string, parts: readonly string[] = [text]): Inventory {
  return readInventory(parts, 'alarms.log');
}

function problemsOf(text: string): readonly string[] {
  return read(text).problems.map(({ line, message }) => `${String(line)}: ${message}`);
}

describe('the alarm of the transcript', () => {
  test('is read exactly', () => {
    expect(parseDeviceTlInfo(transcript)).toEqual([
      {
        device: 'SEPC80084AA8743',
        ctl: undefined,
        itl,
        tftpServer: 'cucm-115.home.lab',
        parameters: new Map([
          ['DeviceName', 'SEPC80084AA8743'],
          ['IPv4Address', '192.168.7.104'],
          ['IPv6Address', ''],
          ['CTL_Signature', 'Not Installed'],
          ['CTL_TFTP_Server', 'N/A'],
          ['ITL_Signature', '1B A1 C9 07 E9 9E 4D 3C 53 9D C8 14 24 AF 6C 9F 7D CE 4D 6D '],
          ['ITL_TFTP_Server', 'cucm-115.home.lab'],
          ['StatusCode', '3'],
        ]),
      },
    ]);
  });

  test('is a phone of an inventory', () => {
    const inventory = read(`# a copy of it\n${transcript}\n`);
    expect([...inventory.phones.values()]).toEqual([
      {
        device: 'SEPC80084AA8743',
        model: undefined,
        state: {
          ctl: undefined,
          itl,
          securityByDefault: true,
          tvsServers: undefined,
          tftpServer: 'cucm-115.home.lab',
        },
        source: inventory.sources[0],
        line: 3,
        cells: [
          ...['SEPC80084AA8743', '192.168.7.104', '', 'Not Installed', 'N/A'],
          ...['1B A1 C9 07 E9 9E 4D 3C 53 9D C8 14 24 AF 6C 9F 7D CE 4D 6D ', 'cucm-115.home.lab', '3'],
        ],
      },
    ]);
    expect(inventory).toMatchObject({ problems: [], notes: [], sources: [{ kind: 'alarms', file: 'alarms.log' }] });
  });

  test('may be on one line, with CRLF, with attributes in apostrophes, and stand beside other alarms', () => {
    const other = '<x-cisco-alarm><Alarm Name="LastOutOfServiceInformation"><x>&amp;</x></Alarm></x-cisco-alarm>';
    const one = transcript.replaceAll(/\n/g, '').replaceAll('"', "'");
    const text = `${other}${one}${other}x${alarm({ device: 'SEP000000000002' }).replaceAll('\n', '\r\n')}`;
    expect(parseDeviceTlInfo(text, (line, message) => expect.fail(`${String(line)}: ${message}`))).toMatchObject([
      { device: 'SEPC80084AA8743', itl },
      { device: 'SEP000000000002', itl: undefined },
    ]);
  });
});

describe('a log', () => {
  test('of each device the last alarm counts', () => {
    const log = [
      refer + alarm({ ctl: ctl.toUpperCase() }),
      refer + alarm({ device: 'SEP000000000002', itl }),
      refer + alarm({ ctl: 'Not Installed', itl }),
    ].join('\r\n');
    const inventory = read(log);
    expect(
      [...inventory.phones.values()].map(({ device, state, line }) => [device, state.ctl, state.itl, line]),
    ).toEqual([
      ['SEP000000000001', undefined, itl, 47],
      ['SEP000000000002', undefined, itl, 27],
    ]);
    expect(inventory.notes).toEqual(['1 alarms were followed by later ones of the same device, which count']);
  });

  test('with many alarms, half of them cut, gives the whole ones and reports the others by their lines', () => {
    const whole: string[] = [];
    const cut: number[] = [];
    const lines: string[] = [];
    for (let number = 0; number < 200; number += 1) {
      const device = `SEP${number.toString(16).toUpperCase().padStart(12, '0')}`;
      const body = alarm({ device, ctl, itl }).split('\n');
      lines.push(...refer.split('\r\n').slice(0, -1));
      // Line 2 has the root; cut after 2 to 12 of 15 lines, in the middle of the last one.
      const kept = 2 + ((number * 7) % 11);
      if (number % 2 === 0) {
        whole.push(device);
        lines.push(...body);
      } else {
        cut.push(lines.length + 2);
        const last = body[kept - 1]!;
        lines.push(...body.slice(0, kept - 1), kept === 2 ? last : last.slice(0, Math.ceil(last.length / 2)));
      }
    }
    const inventory = read(lines.join('\n'));
    expect([...inventory.phones.keys()]).toEqual(whole);
    expect([...inventory.phones.values()].every(({ state }) => state.ctl === ctl && state.itl === itl)).toBe(true);
    expect(inventory.problems.map(({ line }) => line)).toEqual(cut);
    expect(new Set(inventory.problems.map(({ message }) => message))).toEqual(
      new Set([
        'DeviceTLInfo alarm: it is cut: another one begins before its end',
        'DeviceTLInfo alarm: it is cut: its end is missing',
      ]),
    );
  });

  test('an alarm that was cut at its beginning is reported', () => {
    const log = `${alarm().split('\n').slice(6).join('\n')}\n${alarm({ device: 'SEP000000000002' })}`;
    expect([...read(log).phones.keys()]).toEqual(['SEP000000000002']);
    expect(problemsOf(log)).toEqual(['9: the end of an alarm whose beginning is missing']);
  });

  test('the halves of two alarms do not become one', () => {
    const [first, second] = [alarm({ ctl, itl }).split('\n'), alarm({ device: 'SEP000000000002' }).split('\n')];
    const spliced = [...first.slice(0, 6), '09:13:35 |other words', ...second.slice(7)].join('\n');
    expect(problemsOf(spliced)).toEqual(['7: DeviceTLInfo alarm: text between the parameters: the alarm is cut']);
    expect(problemsOf([...first.slice(0, 9), ...second.slice(4)].join('\n'))).toEqual([
      '10: DeviceTLInfo alarm: the parameter DeviceName is there twice: the alarm is cut',
    ]);
  });

  test('an alarm without an end is not collected for ever', () => {
    const log = `${alarm().split('\n').slice(0, 5).join('\n')}\n${'09:13:35 |other words\n'.repeat(20_000)}${alarm()}`;
    expect(read(log).phones.size).toBe(1);
    expect(problemsOf(log)).toEqual(['2: DeviceTLInfo alarm: it is cut: no end within 64 KiB']);
  });
});

describe('a broken alarm is reported with its line', () => {
  test.each([
    ['no device', alarm({ device: '' }), '2: DeviceTLInfo alarm: no device name'],
    ['a device that is none', alarm({ device: 'SEP1' }), 'the device name "SEP1" is not SEP and 12 hex digits'],
    ['a signature that is none', alarm({ itl: '1B A1' }), 'ITL_Signature is 4 hex digits, not 40'],
    [
      'a missing parameter',
      transcript.replace(/<String name="CTL_S.*\n/, ''),
      'the parameter CTL_Signature is missing',
    ],
    [
      'a tag that is not closed',
      transcript.replace('</ParameterList>', ''),
      '14: DeviceTLInfo alarm: unexpected close tag',
    ],
    ['an element within a parameter', alarm({ device: '<b>SEP000000000001</b>' }), 'an element <b> within a parameter'],
    ['a parameter without a name', alarm({ more: '<String>x</String>' }), 'a parameter without a name'],
    ['CDATA', alarm({ more: '<String name="a"><![CDATA[x]]></String>' }), 'CDATA is not read'],
    ['an entity', alarm({ more: '<String name="a">&lol;</String>' }), 'undefined entity'],
    ['a DOCTYPE', transcript.replace('<Alarm', '<!DOCTYPE a [<!ENTITY x "y">]><Alarm'), '3: DeviceTLInfo alarm: '],
  ])('%s', (_what, text, message) => {
    const problems = problemsOf(text);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(message);
    expect(read(`${text}\n${alarm({ device: 'SEP000000000009' })}`).phones.size).toBe(1);
  });

  test('entities are never expanded: not those of a DOCTYPE before the alarm, which is text of the log', () => {
    const bomb = '<!DOCTYPE x-cisco-alarm [<!ENTITY a "SEP000000000001"><!ENTITY f SYSTEM "file:///etc/passwd">]>';
    for (const entity of ['&a;', '&f;', '&#83;EP000000000001&a;']) {
      const text = `${bomb}\n${alarm({ device: entity })}`;
      expect(read(text).phones.size).toBe(0);
      expect(problemsOf(text)[0]).toMatch(/undefined entity/);
    }
    // Those of XML itself stand for one character each.
    expect(parseDeviceTlInfo(alarm({ device: '&#83;EP000000000001' }))).toMatchObject([{ device: 'SEP000000000001' }]);
  });
});

test('of more parameters than phones send, the first ones are kept: a log cannot make a table without end', () => {
  const parameters = (from: number): string =>
    Array.from({ length: 50 }, (_, index) => `<String name="p${String(from + index)}">x</String>`).join('');
  const inventory = read(
    `${alarm({ itl, more: parameters(0) })}\n${alarm({ device: 'SEP000000000002', ctl, itl, more: parameters(50) })}`,
  );
  expect(inventory.sources[0]?.columns).toHaveLength(64);
  const [, second] = [...inventory.phones.values()];
  expect(second?.cells.length).toBeLessThanOrEqual(64);
  expect(second?.state).toMatchObject({ ctl, itl });
});

test('a log of alarms of other kinds only is no inventory', () => {
  expect(() => read(transcript.replace('DeviceTLInfo', 'Other'))).toThrow(InputError);
});

test('a spreadsheet formula in a parameter is kept as it came, for what is written from it to be made harmless', () => {
  const [one] = parseDeviceTlInfo(alarm({ more: `<String name="x">=1+1</String>` }));
  expect(one?.parameters.get('x')).toBe('=1+1');
});

test('whatever a log is made of, it is read, reported, or refused', () => {
  const pieces = transcript.split(/(?=<)|(?<=>)/);
  const text = fc.array(fc.oneof({ weight: 8, arbitrary: fc.constantFrom(...pieces, '\n', refer) }, fc.string()), {
    maxLength: 80,
  });
  fc.assert(
    fc.property(text, (parts) => {
      try {
        const { phones, problems } = read('', parts);
        for (const { device } of phones.values()) expect(device).toBe('SEPC80084AA8743');
        for (const { line } of problems) expect(line).toBeGreaterThan(0);
      } catch (error) {
        expect(error).toBeInstanceOf(InputError);
      }
    }),
    { numRuns: 2000 },
  );
});
