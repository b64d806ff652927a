import { createPrivateKey } from 'node:crypto';
import type { default as Ssh2, ParsedKey } from 'ssh2';
import { FormatError } from '../errors.js';

/**
 * Checks a private key for logging in, and gives it in a form that ssh2 reads.
 *
 * @throws FormatError `bad-key`, or `bad-password` when it is encrypted and the passphrase missing or wrong.
 */
export function readLoginKey(ssh2: typeof Ssh2, bytes: Uint8Array, passphrase?: string): ParsedKey {
  const text = Buffer.from(bytes);
  const isPkcs8 =
    text.includes('-----BEGIN PRIVATE KEY-----') || text.includes('-----BEGIN ENCRYPTED PRIVATE KEY-----');
  const parsed = isPkcs8 ? fromPkcs8(ssh2, text, passphrase) : ssh2.utils.parseKey(text, passphrase);
  const key = Array.isArray(parsed) ? (parsed as readonly ParsedKey[])[0] : parsed;
  if (key !== undefined && !(key instanceof Error) && key.isPrivateKey()) return key;
  const said = key instanceof Error ? key.message : '';
  if (/passphrase|encrypted|decrypt|integrity/i.test(said)) {
    const what = passphrase === undefined ? 'is encrypted' : 'does not open with this passphrase';
    throw new FormatError('bad-password', `the private key for the login ${what}`, { offset: 0 });
  }
  throw new FormatError(
    'bad-key',
    'no private key for a login in it',
    { offset: 0 },
    {
      hint: 'give a private key as ssh-keygen writes it, not the public one beside it',
    },
  );
}

/** ssh2 does not read PKCS#8, node does; both know the older forms of RSA and of curves. */
function fromPkcs8(ssh2: typeof Ssh2, text: Buffer, passphrase: string | undefined): ParsedKey | Error {
  let pem: string;
  try {
    const key = createPrivateKey({ key: text, format: 'pem', ...(passphrase === undefined ? {} : { passphrase }) });
    if (key.asymmetricKeyType !== 'rsa' && key.asymmetricKeyType !== 'ec') return new Error('no key of RSA or a curve');
    pem = key.export({ format: 'pem', type: key.asymmetricKeyType === 'rsa' ? 'pkcs1' : 'sec1' }).toString();
  } catch {
    // What node says could be about the key itself.
    return new Error(text.includes('ENCRYPTED') ? 'encrypted' : 'no PKCS#8');
  }
  return ssh2.utils.parseKey(pem);
}
