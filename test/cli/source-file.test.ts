import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { SourceFile } from '../../src/cli/source-file.js';
import { temporaryFolder } from './etoken-bridge.js';

const folder = temporaryFolder();

test('a file that changes while it is read is an error that names it', async () => {
  writeFileSync(join(folder, 'small'), 'before');
  const small = new SourceFile(join(folder, 'small'));
  appendFileSync(join(folder, 'small'), 'more');
  expect(() => small.readWhole()).toThrow(/small changed while it was read/);
  await small.close();
  writeFileSync(join(folder, 'large'), new Uint8Array(1_000_000));
  const large = new SourceFile(join(folder, 'large'));
  const read = async (): Promise<void> => {
    for await (const chunk of large.chunks()) {
      if (chunk.length > 0) appendFileSync(join(folder, 'large'), 'x');
    }
  };
  await expect(read()).rejects.toMatchObject({ code: 'file-unreadable', message: /large changed while it was read/ });
  await large.close();
});
