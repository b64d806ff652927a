import { expect, test } from 'vitest';
import { KnownLists } from '../../src/migration/index.js';
import { itl, tokenCtl, tokenlessCtl } from '../phone/lists.js';
import { md5Of, sha1Of } from './fleets.js';

test('lists are found by SHA-1 and by MD5, and keep the name of the first file with these bytes', () => {
  const known = new KnownLists();
  expect(known.addFile('backups/CTLFile.tlv', tokenCtl.bytes)).toBeUndefined();
  expect(known.addFile('copy.tlv', tokenCtl.bytes.slice())).toBeUndefined();
  known.add('ITLFile.tlv', itl);
  expect(known.size).toBe(2);
  for (const digest of [sha1Of(tokenCtl), md5Of(tokenCtl)]) {
    expect(known.find(digest)).toMatchObject({ name: 'backups/CTLFile.tlv', sha1: sha1Of(tokenCtl), kind: 'CTL' });
    expect(known.find(digest)?.list.bytes).toEqual(tokenCtl.bytes);
  }
  expect(known.find(md5Of(itl))).toMatchObject({ list: itl, kind: 'ITL' });
  for (const digest of [sha1Of(tokenlessCtl), '', sha1Of(tokenCtl).toUpperCase()]) {
    expect(known.find(digest)).toBeUndefined();
  }
});

test('a file that is no list is not added, and it is said why', () => {
  const known = new KnownLists();
  expect(known.addFile('SEP.cnf.xml', Buffer.from('<device/>'))).toMatch(/at byte 0/);
  expect(known.addFile('cut.tlv', tokenCtl.bytes.subarray(0, 900))).toMatch(/RECORDLENGTH|byte/);
  expect(known.addFile('empty', new Uint8Array())).toMatch(/byte 0/);
  expect(known.addFile('large', new Uint8Array(2_000_000))).toMatch(/phones load/);
  expect(known.size).toBe(0);
});
