import type forgeModule from 'node-forge';

/** Names and identifiers of RSA signatures over each digest (RFC 8017, A.2.4). */
export const digestNames = {
  sha1: { name: 'RSA-SHA1', oid: '1.2.840.113549.1.1.5' },
  sha256: { name: 'RSA-SHA256', oid: '1.2.840.113549.1.1.11' },
  sha512: { name: 'RSA-SHA512', oid: '1.2.840.113549.1.1.13' },
} as const;

/** node-forge, loaded when it is first needed: it costs every command 20 ms that only few have a use for. */
export async function loadForge(): Promise<typeof forgeModule> {
  const loaded = await import('node-forge');
  return loaded.default;
}
