import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { skipReason } from '../skip-reason.js';
import { temporaryFolder } from './etoken-bridge.js';
import { noTerminal, openTerminal } from './terminal.js';

test.skipIf(noTerminal !== undefined)(
  `a terminal gives the process of its command, and never one that stands for a group${skipReason(noTerminal)}`,
  async () => {
    const folder = temporaryFolder();
    const terminal = openTerminal(['--version'], { cwd: folder });
    expect(await terminal.ended).toBe(0);
    expect(terminal.processId()).toBeGreaterThan(1);
    for (const text of ['', '\n', '0\n', '1\n', '-5\n', 'none\n']) {
      writeFileSync(join(folder, '.terminal-pid'), text);
      expect(() => terminal.processId()).toThrow('.terminal-pid holds no process id');
    }
  },
);
