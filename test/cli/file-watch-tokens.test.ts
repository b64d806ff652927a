import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { buildFaultShim, shimMissing } from '../fault-shim/build.js';
import { skipReason } from '../skip-reason.js';
import { makeSoftTokens } from './soft-tokens.js';
import { signedContent, startWatch, untilSigned } from './watched-folder.js';

const tokens = await makeSoftTokens();
const { folder, first, wrongPinFile } = tokens;

describe.skipIf(shimMissing !== undefined)(`file watch with a token${skipReason(shimMissing)}`, () => {
  const shim = shimMissing === undefined ? buildFaultShim(folder, tokens.module) : undefined;
  const token = ['--module', shim?.module ?? '', '--token-serial', first.token.serialNumber, '--settle', '0.2'];
  const environment = { ...tokens.environment, ...shim?.environment };
  const logins = (): number => shim?.takeCalls().filter((name) => name === 'C_Login').length ?? 0;

  test('one login for everything that is signed', async () => {
    const served = join(folder, 'served');
    mkdirSync(served);
    writeFileSync(join(served, 'a.xml'), 'a');
    logins();
    const watcher = await startWatch(served, [...token, '--pin-file', first.pinFile], environment);
    await untilSigned(served, 'a.xml', 'a', first.certificate);
    for (const name of ['b.xml', 'c.xml']) writeFileSync(join(served, name), name);
    for (const name of ['b.xml', 'c.xml']) await untilSigned(served, name, name, first.certificate);
    expect(await watcher.stop()).toBe(0);
    expect(logins()).toBe(1);
    expect(watcher.log()).not.toContain(first.pin);
  });

  test('a token that is gone ends it with exit code 3; what is not signed is named, and signed the next time', async () => {
    const served = join(folder, 'pulled');
    mkdirSync(served);
    writeFileSync(join(served, 'a.xml'), 'a');
    const watcher = await startWatch(served, [...token, '--pin-file', first.pinFile], environment);
    await untilSigned(served, 'a.xml', 'a', first.certificate);
    // CKR_DEVICE_REMOVED
    shim?.setRules('C_SignInit rv=0x32', 'C_Sign rv=0x32');
    writeFileSync(join(served, 'a.xml'), 'changed');
    writeFileSync(join(served, 'b.xml'), 'b');
    expect(await watcher.ended).toBe(3);
    shim?.setRules();
    expect(watcher.lines().at(-1)).toMatchObject({ event: 'ended', reason: 'failure' });
    expect(watcher.lines().at(-1)?.['notSigned']).toContain('a.xml');
    expect(watcher.log()).toContain('not signed: a.xml\n');
    expect(watcher.log()).toMatch(/^error: /m);
    expect(signedContent(join(served, 'a.xml.sgn'), first.certificate)).toBe('a');
    const next = await startWatch(served, [...token, '--pin-file', first.pinFile], environment);
    await untilSigned(served, 'a.xml', 'changed', first.certificate);
    await untilSigned(served, 'b.xml', 'b', first.certificate);
    expect(await next.stop()).toBe(0);
  });

  test('a wrong PIN is tried once, at the start, and nothing is written', () => {
    const served = join(folder, 'wrong');
    mkdirSync(served);
    logins();
    const words = ['file', 'watch', served, ...token, '--pin-file', wrongPinFile];
    const outcome = tokens.run(words, { env: environment });
    expect(outcome).toMatchObject({ status: 3, stdout: '' });
    expect(logins()).toBe(1);
  });
});
