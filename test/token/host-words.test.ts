import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { HostTail } from '../../src/token/host-words.js';
import { openTokenHost, Pin } from '../../src/token/index.js';
import { buildFaultShim, shimMissing } from '../fault-shim/build.js';
import { libraryPath, whatIsMissing } from '../modules/programs.js';
import { skipReason } from '../skip-reason.js';
import { makeSoftTokens, rightPin, temporaryFolder } from './soft-tokens.js';

/** What is shown of what a library wrote, in these pieces, after it was given a PIN. */
function shownOf(pin: string, ...pieces: readonly string[]): string {
  const tail = new HostTail();
  tail.hide(new Pin(pin));
  for (const piece of pieces) tail.add(piece);
  return tail.text;
}

describe('what a library wrote is shown without the PIN', () => {
  test.each([
    ['as it is', 'PIN=19857854.'],
    ['as hexadecimal digits', 'PIN=3139383537383534.'],
    ['as a dump', 'PIN=31 39 38 35 37 38 35 34.'],
    ['with colons', 'PIN=31:39:38:35:37:38:35:34.'],
    ['with 0x', 'PIN=0x31, 0x39, 0x38, 0x35, 0x37, 0x38, 0x35, 0x34.'],
    ['with 0x, without blanks', 'PIN=0x310x390x380x350x370x380x350x34.'],
    ['as a literal of C', String.raw`PIN=\x31\x39\x38\x35\x37\x38\x35\x34.`],
    ['over two lines', 'PIN=31 39 38 35\n  37 38 35 34.'],
    ['in UTF-16', 'PIN=1\x009\x008\x005\x007\x008\x005\x004\x00.'],
  ])('%s', (_how, wrote) => {
    expect(shownOf('19857854', wrote)).toMatch(/^PIN=(0x|\\x)?\[PIN\]\.$/);
  });

  test.each(['4B:76:37:23:C3:A9', '4b 76 37 23 c3 a9', '0X4B,0x76,0X37,0x23,0XC3,0xa9'])(
    'in either case, and beyond ASCII: %s',
    (wrote) => {
      expect(shownOf('Kv7#é', wrote)).toMatch(/^(0X)?\[PIN\]$/);
    },
  );

  test('in pieces that come one after the other', () => {
    expect(shownOf('19857854', '31 39 38 3', '5 37 38 35 34 end')).toBe('[PIN] end');
  });

  test('of more than one row of a dump', () => {
    const wrote = [
      'pPin[ulPinLen] 00007ffd0b1c2a30 / 22',
      '    00000000  4B 76 37 23 72 4A 32 2D 72 69 67 68 74 2D 61 6E  Kv7#rJ2-right-an',
      '    00000010  64 2D 6C 6F 6E 67                                d-long',
    ];
    const shown = shownOf('Kv7#rJ2-right-and-long', wrote.join('\n'));
    expect(shown.split('\n').map((line) => line.replaceAll(/ +/g, ' '))).toEqual([
      wrote[0],
      ' 00000000 [PIN] [PIN]',
      ' 00000010 [PIN] [PIN]',
    ]);
  });

  test('and everything else as it was written', () => {
    const wrote = 'C_Login 31 39 38 35 failed: 0x000000a0, 198-5785';
    expect(shownOf('19857854', wrote)).toBe(wrote);
  });
});

const spy = libraryPath('pkcs11-spy.so');
const missing = shimMissing ?? whatIsMissing([{ what: spy, package: 'opensc' }]);

test.skipIf(missing !== undefined)(
  `a crash at the login behind pkcs11-spy does not show the PIN that the spy wrote${skipReason(missing)}`,
  async () => {
    const folder = temporaryFolder();
    const soft = await makeSoftTokens(folder, [{ label: 'CTL', bits: 1024 }]);
    const shim = buildFaultShim(join(folder, 'shim'), soft.softHsm.module);
    shim.setRules('C_Login abort');
    const environment = { ...soft.environment, ...shim.environment, PKCS11SPY: shim.module };
    const host = openTokenHost({ modulePath: spy, environment });
    const { tokens } = await host.request('tokens', { modulePath: spy });
    const { slotId } = tokens.find(({ label }) => label === 'CTL')!;
    const login = host.request('unlock', { slotId, pin: new Pin(rightPin) });
    const error: unknown = await login.catch((reason: unknown) => reason);
    await host.close();
    expect(error).toMatchObject({
      code: 'host-crashed',
      functionName: 'C_Login',
      message: expect.stringMatching(/it wrote: .*pPin.* \[PIN\] \[PIN\]/) as string,
    });
    const { message } = error as Error;
    expect(message).not.toContain(rightPin);
    expect(message.replaceAll(/\s/g, '').toLowerCase()).not.toContain(Buffer.from(rightPin).toString('hex'));
  },
);
