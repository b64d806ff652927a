import { describe, expect, test } from 'vitest';
import { parseRemotePlace } from '../../src/cli/sftp.js';
import { InputError } from '../../src/errors.js';

describe('USER@HOST:PATH', () => {
  test.each([
    ['backup@10.1.1.9:/srv/keys/', 'backup', '10.1.1.9', '/srv/keys/'],
    ['backup@host:', 'backup', 'host', ''],
    ['user@domain@host:file', 'user@domain', 'host', 'file'],
    ['u@h:/with:colon/and@sign', 'u', 'h', '/with:colon/and@sign'],
    ['u@[2001:db8::5]:/x', 'u', '2001:db8::5', '/x'],
    ['u@host:a b', 'u', 'host', 'a b'],
    // Without brackets the first part reads as a host.
    ['u@2001:db8::5', 'u', '2001', 'db8::5'],
  ])('%s', (text, user, host, path) => {
    expect(parseRemotePlace(text)).toEqual({ user, host, path });
  });

  test.each(['', 'host:/x', 'u@host', '@host:/x', 'u@:/x', 'u@[]:/x'])('%j is none', (text) => {
    expect(() => parseRemotePlace(text)).toThrow(InputError);
  });
});
