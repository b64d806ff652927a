import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InputError, RefusalError } from '../../src/errors.js';
import {
  checkJournalPlan,
  formatJournalEntry,
  journalHead,
  leavesTraces,
  nextStep,
  parseJournal,
  progressOf,
  wayBack,
  type Journal,
  type JournalEntry,
} from '../../src/migration/index.js';
import { plan } from './plans.js';

const head = journalHead(plan);
const sha1 = 'e'.repeat(40);

function journal(...entries: readonly JournalEntry[]): Journal {
  const text = [head, ...entries].map(formatJournalEntry).join('');
  return parseJournal(text, 'journal.jsonl');
}

const begun = (step: string): JournalEntry => ({ entry: 'begun', step, timestamp: 1_700_000_000 });
const done = (step: string, digest?: string): JournalEntry => ({ entry: 'done', step, sha1: digest });
const through = (count: number): readonly JournalEntry[] =>
  plan.steps
    .slice(0, count)
    .flatMap(({ id, action }) => [begun(id), done(id, action.kind === 'build-ctl' ? sha1 : undefined)]);

describe('a journal', () => {
  test('is read up to its last whole line, wherever it was cut off', () => {
    const entries = [head, ...through(3)];
    const text = entries.map(formatJournalEntry).join('');
    for (let length = 0; length <= text.length; length += 1) {
      const read = parseJournal(text.slice(0, length), 'journal.jsonl');
      const whole = text.slice(0, length).split('\n').length - 1;
      expect(read.entries).toEqual(parseJournal(text, 'journal.jsonl').entries.slice(0, whole));
      expect(text.slice(0, read.length)).toMatch(/^$|\n$/);
    }
  });

  test('that is broken anywhere else is refused, with its line', () => {
    const lines = [head, ...through(2)].map(formatJournalEntry);
    const broken: readonly (readonly [number, string])[] = [
      [1, '\n'],
      [2, 'begun\n'],
      [2, '[]\n'],
      [2, '{"entry":"began","step":"1-upload"}\n'],
      [2, '{"entry":"toString"}\n'],
      [3, '{"entry":"begun","step":"1-upload"}\n'],
      [3, '{"entry":"begun","step":"1-upload","timestamp":-1}\n'],
      [3, '{"entry":"begun","step":"1-upload","timestamp":1,"inputs":"abc"}\n'],
      [3, '{"entry":"done","step":"1-upload","sha1":"abc"}\n'],
      [3, '{"entry":"done","step":"1-upload","extra":1}\n'],
      [2, lines[0]!],
      [1, lines[1]!],
    ];
    for (const [line, text] of broken) {
      const edited = lines.map((one, index) => (index === line - 1 ? text : one)).join('');
      expect(() => parseJournal(edited, 'j')).toThrow(`the journal j cannot be read: line ${line} is no entry`);
    }
  });

  test('never does anything but read or refuse', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
        try {
          parseJournal(text, 'j');
        } catch (error) {
          expect(error).toBeInstanceOf(InputError);
        }
      }),
    );
  });

  test('of another plan, or of this one before it was edited, is refused, each in its words', () => {
    checkJournalPlan(plan, journal(), 'j');
    checkJournalPlan(plan, parseJournal('', 'j'), 'j');
    const edited = { ...plan, steps: plan.steps.slice(1) };
    expect(() => checkJournalPlan(edited, journal(), 'j')).toThrow(/was edited after it was begun/);
    const other = { ...plan, created: '2026-04-01T00:00:00Z' };
    expect(() => checkJournalPlan(other, journal(), 'j')).toThrow(/belongs to another plan, made at 2026-03-01/);
    expect(() => checkJournalPlan(other, journal(), 'j')).toThrow(RefusalError);
  });
});

describe('the next step', () => {
  test('is the one that was begun, else the first that was not, through the whole plan', () => {
    for (const [index, { id }] of plan.steps.entries()) {
      expect(nextStep(progressOf(plan, journal(...through(index))))).toMatchObject({ step: { id }, state: 'open' });
      const under = nextStep(progressOf(plan, journal(...through(index), begun(id))));
      expect(under).toMatchObject({ step: { id }, state: 'begun', timestamp: 1_700_000_000 });
    }
    expect(nextStep(progressOf(plan, journal(...through(plan.steps.length))))).toBeUndefined();
  });

  test('knows which CTL is served', () => {
    const [upload, build, publish] = plan.steps.map(({ id }) => id) as [string, string, string];
    expect(progressOf(plan, journal()).ctl).toBe(plan.from.ctl);
    expect(progressOf(plan, journal(...through(2))).ctl).toBe(plan.from.ctl);
    expect(progressOf(plan, journal(...through(2), begun(publish))).ctl).toBe(plan.from.ctl);
    expect(progressOf(plan, journal(...through(3))).ctl).toBe(sha1);
    const back: readonly JournalEntry[] = [
      { entry: 'undo-begun', step: publish, to: build },
      { entry: 'undone', step: publish },
    ];
    const undone = progressOf(plan, journal(...through(3), ...back));
    expect(undone).toMatchObject({ ctl: plan.from.ctl, undoing: { to: build } });
    expect(progressOf(plan, journal(...through(3), ...back, { entry: 'undo-finished' })).undoing).toBeUndefined();
    expect(upload).toBe('1-upload');
  });

  test('is told of no journal that contradicts its plan', () => {
    const [upload, build] = plan.steps.map(({ id }) => id) as [string, string];
    const contradictions: readonly (readonly JournalEntry[])[] = [
      [done(upload)],
      [begun(build)],
      [begun(upload), begun(upload)],
      [begun(upload), begun(build)],
      [...through(1), begun(upload)],
      [...through(1), done(upload)],
      [begun('9-nothing')],
      [{ entry: 'undone', step: upload }],
      [...through(2), { entry: 'undo-begun', step: upload }],
      [...through(1), { entry: 'undo-begun', step: upload }, done(upload)],
      [...through(2), { entry: 'undo-begun', step: build }, { entry: 'undone', step: build }, begun(build)],
    ];
    for (const entries of contradictions) {
      expect(() => progressOf(plan, journal(...entries))).toThrow(/fits nowhere/);
    }
  });
});

describe('the way back', () => {
  const back = (entries: readonly JournalEntry[], to?: string) => {
    const { to: end, steps } = wayBack(progressOf(plan, journal(...entries)), to);
    return { to: end, steps: steps.map(({ step }) => step.id) };
  };

  test('ends behind the last safe step before the last one', () => {
    expect(back([])).toEqual({ to: undefined, steps: [] });
    expect(back(through(1))).toEqual({ to: undefined, steps: ['1-upload'] });
    expect(back(through(2))).toEqual({ to: '1-upload', steps: ['2-build-ctl'] });
    expect(back(through(3))).toEqual({ to: '2-build-ctl', steps: ['3-publish-ctl'] });
    // The third is not safe: it is no place to end.
    expect(back(through(4))).toEqual({ to: '2-build-ctl', steps: ['4-restart-phones', '3-publish-ctl'] });
    expect(back(through(5))).toEqual({ to: '4-restart-phones', steps: ['5-delete-list'] });
    expect(back([...through(2), begun('3-publish-ctl')])).toEqual({ to: '2-build-ctl', steps: ['3-publish-ctl'] });
  });

  test('ends where it is told', () => {
    expect(back(through(4), 'start').steps).toEqual(['4-restart-phones', '3-publish-ctl', '2-build-ctl', '1-upload']);
    expect(back(through(4), '3-publish-ctl').steps).toEqual(['4-restart-phones']);
    expect(() => back(through(2), '3-publish-ctl')).toThrow('the step 3-publish-ctl is not done');
    expect(() => back(through(2), '9-nothing')).toThrow('the plan has no step 9-nothing');
  });

  test('passes by what leaves nothing behind, whatever the plan says of its undoing', () => {
    for (const undo of [[], ['Nothing has to be taken back.']]) {
      for (const one of plan.steps) {
        const isNothing = ['build-ctl', 'restart-phones', 'delete-list'].includes(one.action.kind);
        expect([one.id, leavesTraces({ step: { ...one, undo }, already: false })]).toEqual([one.id, !isNothing]);
        expect(leavesTraces({ step: { ...one, undo }, already: true })).toBe(false);
      }
    }
  });

  test('that was begun is gone to its end', () => {
    const half: readonly JournalEntry[] = [
      ...through(4),
      { entry: 'undo-begun', step: '4-restart-phones', to: '1-upload' },
      { entry: 'undone', step: '4-restart-phones' },
    ];
    expect(back(half)).toEqual({ to: '1-upload', steps: ['3-publish-ctl', '2-build-ctl'] });
    expect(() => back(half, 'start')).toThrow('a way back to 1-upload was begun');
  });
});
