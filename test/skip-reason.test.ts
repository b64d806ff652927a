import { afterEach, expect, test, vi } from 'vitest';
import { notMissingInCi, skipReason } from './skip-reason.js';

afterEach(() => {
  vi.unstubAllEnvs();
});

test('a title says why its tests are skipped, and nothing when they run', () => {
  expect(skipReason('there is no C compiler')).toBe(' (skipped: there is no C compiler)');
  expect([skipReason(undefined), skipReason('')]).toEqual(['', '']);
});

test('what is missing is given back, and is an error in CI', () => {
  vi.stubEnv('CI', '');
  expect(notMissingInCi('terminals', 'no script')).toBe('no script');
  vi.stubEnv('CI', 'true');
  expect(notMissingInCi('terminals', undefined)).toBeUndefined();
  expect(() => notMissingInCi('terminals', 'no script')).toThrow('terminals (no script)');
});
