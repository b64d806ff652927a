import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeSoftTokens, pins, type SoftTokens } from '../cli/soft-tokens.js';
import { buildFaultShim, shimMissing } from '../fault-shim/build.js';
import { skipReason } from '../skip-reason.js';
import {
  faultCases,
  formatFaultTable,
  functionsOf,
  hangLimit,
  type FaultCase,
  type FaultyCommand,
} from './fault-cases.js';
import { FaultLane, tryAll, type Trials } from './fault-lanes.js';
import { waitUntil } from './soft-tokens.js';

/** More than processors, because those that hang need none. */
const laneCount = 3;
/** A command that is given up may take so much longer than its limit on a busy machine, in milliseconds. */
const patience = 40_000;

/** For what waits for other cases, on a busy machine, in milliseconds. */
const longWait = 600_000;

/** No PIN in any spelling that a log could have. */
function expectNoPin(text: string): void {
  const bytes = Buffer.from(pins.first);
  for (const spelling of [pins.first, bytes.toString('hex'), bytes.toString('base64').replace(/=+$/, '')]) {
    expect(text.toLowerCase()).not.toContain(spelling.toLowerCase());
  }
}

describe.skipIf(shimMissing !== undefined)(`every fault of every function${skipReason(shimMissing)}`, () => {
  let tokens: SoftTokens;
  let lanes: readonly FaultLane[];
  let learnt: ReadonlyMap<FaultyCommand, { readonly written: string; readonly calls: readonly string[] }>;
  let trials: Trials;
  const results = new Map<FaultCase, number | 'failed'>();
  const allTried = (): Promise<unknown> => Promise.all(trials.outcomes.values());

  beforeAll(async () => {
    tokens = await makeSoftTokens();
    tokens.makeTokenList('CTLFile.tlv');
    const shim = buildFaultShim(tokens.folder, tokens.module);
    lanes = Array.from({ length: laneCount }, (_, index) => {
      return new FaultLane(join(tokens.folder, `lane-${String(index)}`), tokens, shim);
    });
    [learnt] = (await Promise.all(lanes.map((lane) => lane.learn()))) as [typeof learnt];
    trials = tryAll(lanes, faultCases);
    // Where only some tests are run, others are still being tried when they are done.
    return () => trials.stop();
  }, longWait);

  afterAll(() => {
    process.stdout.write(`${formatFaultTable(faultCases, results)}\n`);
  });

  test('is tried: the table has every function that the commands call', () => {
    for (const [command, functions] of Object.entries(functionsOf)) {
      const { calls } = learnt.get(command as FaultyCommand)!;
      expect(functions.toSorted()).toEqual([...new Set(calls)].toSorted());
    }
  });

  const titled = faultCases.map(
    (one) => [`${one.command}: ${one.functionName}: ${one.fault} → ${String(one.exitCode)}`, one] as const,
  );
  test.each(titled)(
    '%s',
    async (_title, one) => {
      results.set(one, 'failed');
      const outcome = await trials.outcomes.get(one)!;
      const { written } = learnt.get(one.command)!;
      expectNoPin(outcome.stdout + outcome.stderr);
      expect(outcome.stderr).not.toMatch(/^\s+at .*:\d+:\d+/m);
      expect(outcome.status, outcome.stderr).toBe(one.exitCode);
      expect([outcome.left, outcome.changed]).toEqual([[], []]);
      expect(outcome.logins).toBeLessThanOrEqual(1);
      if (one.kind === 'hang') expect(outcome.took).toBeLessThan(1000 * hangLimit + patience);
      if (one.exitCode === 0) {
        expect(outcome.stderr).not.toContain('error: ');
        expect(outcome.written).toBe(written);
      } else {
        expect(outcome.stderr).toMatch(/^error: [^\n]+\n([^\n]*\n)*hint: [^\n]+\n$/);
        expect(outcome.stderr).toContain(one.says);
        expect([outcome.stdout, outcome.written]).toEqual(['', undefined]);
        expect(outcome.next).toMatchObject({ status: 0, written });
      }
      results.set(one, one.exitCode);
    },
    longWait,
  );

  describe('while a token hangs', () => {
    const title = '%s: the PIN is in no argument and no environment';
    test.each(['C_Login', 'C_Sign'])(title, { timeout: longWait }, async (functionName) => {
      await allTried();
      const [lane] = lanes as [FaultLane];
      lane.shim.takeCalls();
      // Once from a file, and once from a variable, which the process that holds the token does not get.
      const ways = [lane.words('ctl sign'), lane.words('ctl sign').slice(0, -2)];
      for (const [index, words] of ways.entries()) {
        const secret: Record<string, string> = index === 0 ? {} : { ETOKEN_BRIDGE_PIN: pins.first };
        lane.shim.setRules(`${functionName} hang`);
        const running = lane.run(words, { ETOKEN_BRIDGE_TOKEN_TIMEOUT: '5', ...secret });
        try {
          expect(await waitUntil(() => lane.shim.calls().includes(functionName))).toBe(true);
          lane.shim.takeCalls();
          const processes = lane.processes();
          expect(processes).toHaveLength(2);
          const hosts = processes.filter((text) => text.includes('host-process'));
          expect(hosts).toHaveLength(1);
          for (const text of index === 0 ? processes : hosts) expectNoPin(text);
          const { status, stderr } = await running;
          expect([status, stderr]).toEqual([3, expect.stringContaining(`no answer within 5 s`)]);
          expectNoPin(stderr);
        } finally {
          await running;
          lane.shim.setRules();
        }
      }
    });

    test('a command that does not end is killed, and nothing is left of it', { timeout: longWait }, async () => {
      await allTried();
      const [lane] = lanes as [FaultLane];
      lane.shim.setRules('C_Sign hang');
      try {
        const { status } = await lane.run(lane.words('ctl sign'), { ETOKEN_BRIDGE_TOKEN_TIMEOUT: '600' }, 5000);
        expect(status).toBeNull();
        expect(await waitUntil(() => lane.processes().length === 0)).toBe(true);
      } finally {
        lane.shim.setRules();
      }
    });
  });

  test(
    'token list: a token that cannot be read is listed, and that it failed is said (3)',
    { timeout: longWait },
    async () => {
      await allTried();
      const [lane] = lanes as [FaultLane];
      lane.shim.setRules('C_OpenSession rv=0x30');
      const words = ['token', 'list', ...lane.words('token export').slice(4)];
      const { status, stdout, stderr } = await lane.run(words);
      lane.shim.setRules();
      expect(stdout).toMatch(/^SAST first\n[^]*\n {2}keys {4}could not be read\n/);
      expect(stderr).toMatch(/^error: token "SAST first" .*\(C_OpenSession: CKR_DEVICE_ERROR\)\nhint: /m);
      expect(status).toBe(3);
      expect((await lane.run(words)).status).toBe(0);
    },
  );

  test('a list that is updated in its place stays as it was', { timeout: longWait }, async () => {
    await allTried();
    const [lane] = lanes as [FaultLane];
    const words = lane.words('ctl sign');
    const inPlace = [...words.slice(0, 3), ...words.slice(5)];
    const before = lane.files();
    try {
      for (const rule of ['C_Sign rv=0x32', 'C_SignInit abort', 'C_Sign hang']) {
        lane.shim.setRules(rule);
        const { status } = await lane.run(inPlace, { ETOKEN_BRIDGE_TOKEN_TIMEOUT: '2' });
        expect([rule, status]).toEqual([rule, 3]);
        expect(lane.files()).toEqual(before);
      }
    } finally {
      lane.shim.setRules();
    }
    expect((await lane.run(inPlace)).status).toBe(0);
    expect(lane.files()).not.toEqual(before);
  });

  test.each(['0', '-1', 'soon', '1e3', '99999999'])(
    'a limit of "%s" is refused, and no token is asked',
    { timeout: longWait },
    async (limit) => {
      const [lane] = lanes as [FaultLane];
      await allTried();
      lane.shim.takeCalls();
      const { status, stderr } = await lane.run(lane.words('ctl sign'), { ETOKEN_BRIDGE_TOKEN_TIMEOUT: limit });
      expect([status, lane.shim.takeCalls()]).toEqual([2, []]);
      expect(stderr).toMatch(/^error: ETOKEN_BRIDGE_TOKEN_TIMEOUT is not a number of seconds .*\nhint: /);
    },
  );
});
