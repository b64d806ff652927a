import { randomBytes } from 'node:crypto';
import { clusterIdentity } from '../../src/signed-file/index.js';
import type { Identity } from '../ctl/clusters.js';
import { cutSignature, layOutPieces, signAgain, text, type Piece } from '../trust-list/pieces.js';

/** A file of version 2.0 as trust-list-format.md lays it out, with random bytes for what is encrypted. */
export function encryptedFile({ certificate, key }: Identity, name: string): Uint8Array {
  const { signerName, issuerName, serialNumber } = clusterIdentity(certificate);
  const number = (tag: number, ...value: readonly number[]): Piece => ({ tag, value: Uint8Array.from(value) });
  const headerOf = (length: number): Buffer =>
    layOutPieces([
      number(1, 2, 0),
      number(2, length >> 8, length & 0xff),
      {
        tag: 3,
        children: [
          { tag: 4, value: signerName },
          { tag: 5, value: serialNumber },
          { tag: 6, value: issuerName },
        ],
      },
      { tag: 7, children: [number(8, 1), { tag: 9, children: [number(10, 0), number(11, 1)] }] },
      { tag: 12, value: new Uint8Array(128) },
      { tag: 14, value: text(name) },
      number(15, 0x69, 0x7d, 0xee, 0x40),
      {
        tag: 16,
        children: [
          { tag: 17, children: [number(18, 0), { tag: 19, value: randomBytes(16) }, number(20, 0, 5)] },
          {
            tag: 21,
            children: [number(22, 0), number(23, 0, 128), number(24, 1), { tag: 25, value: randomBytes(128) }],
          },
        ],
      },
      number(26, 1),
      { tag: 27, value: randomBytes(20) },
    ]);
  const unpadded = headerOf(0).length;
  const padding = Buffer.alloc((4 - (unpadded % 4)) % 4, 0x0d);
  const file = new Uint8Array(Buffer.concat([headerOf(unpadded + padding.length), padding, randomBytes(32)]));
  return signAgain(file, cutSignature(file), key);
}
