import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { stories, tellStory, type Scene } from '../../src/lab/index.js';
import type { FileDecision } from '../../src/phone/index.js';

const folder = mkdtempSync(join(tmpdir(), 'etb-stories-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/**
 * What the rules say that each phone decides, scene by scene: file, yes or no, rule, and where the signer was found.
 * Written down before the lab could tell any of it.
 */
const expected: Readonly<Record<string, readonly (readonly string[])[]>> = {
  'first-boot': [['phone: CTL -P2, ITL +P3 own, cnf.sgn +P12 itl', 'old phone: CTL -P2, cnf.sgn -P12, cnf +P1']],
  'to-tokenless': [
    ['phone: CTL -P2, ITL +P3 own, cnf.sgn +P12 itl', 'old phone: CTL -P2, cnf.sgn -P12, cnf +P1'],
    ['phone: CTL +P5 itl, ITL +P5 ctl, cnf.sgn +P12 ctl', 'old phone: CTL +P3 own, cnf.sgn +P12 ctl'],
  ],
  'tokens-to-tokenless': [
    ['phone: CTL +P3 own, ITL +P4 ctl, cnf.sgn +P12 ctl', 'old phone: CTL +P3 own, cnf.sgn +P12 ctl'],
    ['phone: CTL +P5 itl, ITL +P5 ctl, cnf.sgn +P12 ctl', 'old phone: CTL -P11, cnf.sgn +P12 ctl'],
    ['phone: CTL +P5 ctl, ITL +P5 ctl, cnf.sgn +P12 ctl', 'old phone: CTL +P3 own, cnf.sgn +P12 ctl'],
  ],
  'tokenless-to-tokens': [
    ['phone: CTL +P3 own, ITL +P4 ctl, cnf.sgn +P12 ctl', 'old phone: CTL +P3 own, cnf.sgn +P12 ctl'],
    ['phone: CTL -P5, ITL +P5 ctl, cnf.sgn +P12 ctl', 'old phone: CTL -P11, cnf.sgn +P12 ctl'],
    ['phone: CTL +P5 tvs, ITL +P5 ctl, cnf.sgn +P12 ctl', 'old phone: CTL -P11, cnf.sgn +P12 ctl'],
    ['phone: CTL +P5 ctl, ITL +P5 ctl, cnf.sgn +P12 ctl', 'old phone: CTL +P3 own, cnf.sgn +P12 ctl'],
  ],
  'tokenless-to-tokens-by-ctl': [
    ['phone: CTL +P3 own, ITL +P4 ctl, cnf.sgn +P12 ctl'],
    ['phone: CTL +P5 tvs, ITL +P5 ctl, cnf.sgn +P12 ctl'],
  ],
  // The emptied CTL holds no server any more, and without an ITL nothing else does: the old phone cannot prove its
  // configuration (P12), and takes none unsigned while it holds a CTL (P1).
  'to-non-secure': [
    ['phone: CTL +P3 own, ITL +P4 ctl, cnf.sgn +P12 ctl', 'old phone: CTL +P3 own, cnf.sgn +P12 ctl'],
    ['phone: CTL +P5 ctl, ITL +P5 ctl, cnf.sgn +P12 itl', 'old phone: CTL +P11 ctl, cnf.sgn -P12'],
    ['phone: CTL -P2, ITL +P5 ctl, cnf.sgn +P12 itl', 'old phone: CTL -P2, cnf.sgn -P12'],
  ],
  'callmanager-renewed': [
    ['phone: CTL +P3 own, ITL +P4 ctl, cnf.sgn +P12 ctl', 'old phone: CTL +P3 own, cnf.sgn +P12 ctl'],
    ['phone: CTL +P5 ctl, ITL +P5 tvs, cnf.sgn +P12 itl', 'old phone: CTL +P11 ctl, cnf.sgn -P12'],
    ['phone: CTL +P5 itl, ITL +P5 ctl, cnf.sgn +P12 ctl', 'old phone: CTL -P11, cnf.sgn -P12'],
    ['phone: CTL +P5 ctl, ITL +P5 ctl, cnf.sgn +P12 ctl', 'old phone: CTL +P3 own, cnf.sgn +P12 ctl'],
  ],
  'both-renewed-one-node': [
    ['phone: CTL -P2, ITL +P3 own, cnf.sgn +P12 itl'],
    ['phone: CTL -P2, ITL -P5, cnf.sgn -P12'],
    ['phone: CTL -P2, ITL +P3 own, cnf.sgn +P12 itl'],
  ],
  'both-renewed-two-nodes': [
    ['phone: CTL -P2, ITL +P3 own, cnf.sgn +P12 itl'],
    ['phone: CTL -P2, ITL +P5 tvs, cnf.sgn +P12 itl'],
  ],
  'tvs-down': [
    ['phone: CTL -P2, ITL +P3 own, cnf.sgn +P12 itl'],
    ['phone: CTL -P2, ITL -P5, cnf.sgn -P12'],
    ['phone: CTL -P2, ITL +P5 tvs, cnf.sgn +P12 itl'],
  ],
  'tvs-down-with-token': [
    ['phone: CTL +P3 own, ITL +P4 ctl, cnf.sgn +P12 ctl'],
    ['phone: CTL +P5 ctl, ITL -P5, cnf.sgn -P12'],
    ['phone: CTL +P5 ctl, ITL +P5 ctl, cnf.sgn +P12 ctl'],
  ],
  'itl-deleted': [
    ['phone: CTL +P3 own, ITL +P4 ctl, cnf.sgn +P12 ctl'],
    ['phone: CTL +P4 ctl, ITL +P4 ctl, cnf.sgn +P12 ctl'],
    ['phone: CTL +P3 own, ITL +P4 ctl, cnf.sgn +P12 ctl'],
  ],
  // What the phone from 9.1 holds has no ITLRecovery: nothing that the cluster can sign reaches it.
  'itl-reset': [
    ['phone: CTL -P2, ITL +P3 own, cnf.sgn +P12 itl'],
    ['phone: CTL -P2, ITL -P5, cnf.sgn -P12', 'phone from 9.1: CTL -P2, ITL -P5, cnf.sgn -P12'],
    ['phone: CTL -P2, ITL +P5 itl, cnf.sgn +P12 itl', 'phone from 9.1: CTL -P2, ITL -P5, cnf.sgn -P12'],
    ['phone: CTL -P2, ITL +P5 itl, cnf.sgn +P12 itl', 'phone from 9.1: CTL -P2, ITL -P5, cnf.sgn -P12'],
    ['phone: CTL -P2, ITL +P5 itl, cnf.sgn +P12 itl', 'phone from 9.1: CTL -P2, ITL +P3 own, cnf.sgn +P12 itl'],
  ],
  // The configuration is signed by CallManager, which the phone still knows when ITLRecovery was renewed.
  'itl-reset-12': [
    ['phone: CTL -P2, ITL +P3 own, cnf.sgn +P12 itl'],
    ['phone: CTL -P2, ITL +P5 itl, cnf.sgn +P12 itl'],
    ['phone: CTL -P2, ITL -P5, cnf.sgn +P12 itl'],
    ['phone: CTL -P2, ITL +P5 itl, cnf.sgn +P12 itl'],
    ['phone: CTL -P2, ITL +P5 itl, cnf.sgn +P12 itl'],
  ],
  'empty-itl': [
    ['phone: CTL -P2, ITL +P3 own, cnf.sgn +P12 itl'],
    ['phone: CTL -P2, ITL +P5 itl, cnf.sgn +P6 any'],
    ['phone: CTL -P2, ITL +P6 any, cnf.sgn +P12 itl'],
  ],
  'empty-itl-with-ctl': [
    ['phone: CTL +P3 own, ITL +P4 ctl, cnf.sgn +P12 ctl'],
    ['phone: CTL +P5 ctl, ITL +P5 ctl, cnf.sgn +P12 ctl'],
    ['phone: CTL -P2, ITL -P5, cnf.sgn -P12'],
  ],
  moved: [
    ['phone: CTL -P2, ITL +P3 own, cnf.sgn +P12 itl'],
    ['phone: CTL -P2, ITL -P5, cnf.sgn -P12'],
    ['phone: CTL -P2, ITL +P5 tvs, cnf.sgn +P12 itl'],
  ],
  'central-tftp': [['phone: CTL -P2, ITL +P3 own, cnf.sgn -P12']],
  'encrypted-configuration': [
    [
      'phone: CTL +P3 own, ITL +P4 ctl, cnf.enc.sgn +P12 ctl',
      'plain phone: CTL +P3 own, ITL +P4 ctl, cnf.sgn +P12 ctl',
    ],
    [
      'phone: CTL +P5 ctl, ITL +P5 tvs, cnf.enc.sgn +P12 itl',
      'plain phone: CTL +P5 ctl, ITL +P5 tvs, cnf.sgn +P12 itl',
    ],
    ['phone: CTL +P5 ctl, ITL +P5 itl, cnf.enc.sgn -P12', 'plain phone: CTL +P5 ctl, ITL +P5 itl, cnf.sgn +P12 itl'],
    [
      'phone: CTL +P5 ctl, ITL +P5 itl, cnf.enc.sgn +P12 itl',
      'plain phone: CTL +P5 ctl, ITL +P5 itl, cnf.sgn +P12 itl',
    ],
  ],
  'encrypted-wrong-signer': [
    ['phone: CTL +P3 own, ITL +P4 ctl, cnf.enc.sgn +P12 ctl'],
    ['phone: CTL +P5 ctl, ITL +P5 ctl, cnf.enc.sgn -P12'],
    ['phone: CTL +P5 ctl, ITL +P5 ctl, cnf.enc.sgn +P12 ctl'],
  ],
  'encrypted-replaced-content': [
    ['phone: CTL +P3 own, ITL +P4 ctl, cnf.enc.sgn +P12 ctl'],
    ['phone: CTL +P5 ctl, ITL +P5 ctl, cnf.enc.sgn -P12'],
    [
      'phone: CTL +P5 ctl, ITL +P5 ctl, cnf.enc.sgn -P12',
      'other phone: CTL +P3 own, ITL +P4 ctl, cnf.enc.sgn +P12 ctl',
    ],
    [
      'phone: CTL +P5 ctl, ITL +P5 ctl, cnf.enc.sgn -P12',
      'other phone: CTL +P5 ctl, ITL +P5 ctl, cnf.enc.sgn +P12 ctl',
    ],
    [
      'phone: CTL +P5 ctl, ITL +P5 ctl, cnf.enc.sgn +P12 ctl',
      'other phone: CTL +P5 ctl, ITL +P5 ctl, cnf.enc.sgn +P12 ctl',
    ],
  ],
  'central-tftp-per-device': [['phone: CTL -P2, ITL +P3 own, cnf.sgn +P12 itl']],
};

function fileKind(file: string): string {
  if (/^(CTL|ITL)/.test(file)) return file.slice(0, 3);
  return `cnf${file.endsWith('.enc.sgn') ? '.enc.sgn' : file.endsWith('.sgn') ? '.sgn' : ''}`;
}

function inShort({ file, decision }: FileDecision): string {
  const { accepted, rule, used } = decision;
  const place = accepted && used !== undefined ? ` ${used.kind}` : '';
  return `${fileKind(file)} ${accepted ? '+' : '-'}${rule}${place}`;
}

function sceneInShort({ phones }: Scene): string[] {
  return phones.map(({ phone, boot }) => `${phone}: ${boot.decisions.map(inShort).join(', ')}`);
}

test('every story has an expectation', () => {
  expect(stories.map(({ name }) => name).sort()).toEqual(Object.keys(expected).sort());
});

test.each(stories.map((story) => [story.name, story] as const))('%s', async (name, story) => {
  const scenes = await tellStory(story, {
    directory: join(folder, name),
    start: new Date('2026-01-01T00:00:00Z'),
    keyBits: 1024,
  });
  expect(scenes.map(sceneInShort)).toEqual(expected[name]);
  for (const { phones } of scenes) {
    for (const { boot } of phones) {
      // A phone registers exactly if it took a configuration, and that is the last thing it decides about.
      const last = boot.decisions.at(-1);
      expect(boot.registered).toBe(last?.file.includes('.cnf.xml') === true && last.decision.accepted);
      for (const { decision } of boot.decisions) expect(decision.reason).toMatch(/\w/);
    }
  }
});
