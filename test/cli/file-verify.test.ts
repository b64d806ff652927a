import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { decodeSignedHeader } from '../../src/signed-file/index.js';
import { expectFailure, jsonOf, run, snapshot, temporaryFolder, type Outcome } from './etoken-bridge.js';
import type { BulkDocument } from './signed-files.js';
import { makeSoftwareKey } from './software-keys.js';

const folder = temporaryFolder();
const stranger = (await makeSoftwareKey('stranger', 0x4c)).write(folder, 'stranger');

function here(...words: readonly string[]): Outcome {
  return run(words, { cwd: folder });
}

function done(...words: readonly string[]): void {
  const { status, stderr } = here(...words);
  expect([status, stderr.split('\n').filter((line) => line.startsWith('error'))]).toEqual([0, []]);
}

// The publisher runs CCM+TFTP: function 2 in the CTL. The ITL has it too.
const init = ['cluster', 'init', 'cluster', '--lab', '--key-bits', '1024', '--release', '11.5.1'];
done(...init, '--node', 'pub,10.0.0.1', '--node', 'sub,10.0.0.2');
const cluster = ['--cluster', 'cluster/cluster.yaml'];
done('ctl', 'create', ...cluster, '--mode', 'tokenless', '--out', 'CTLFile.tlv');
done('itl', 'create', ...cluster, '--node', 'pub', '--out', 'ITLFile.tlv');
for (const name of ['a.xml', 'b.xml']) writeFileSync(join(folder, name), `content of ${name}`);
done('file', 'sign', 'a.xml', 'b.xml', ...cluster, '--out', 'good');
done('file', 'sign', 'a.xml', ...stranger, '--out', 'strange');
const damaged = readFileSync(join(folder, 'good/a.xml.sgn'));
damaged[damaged.length - 1]! ^= 1;
writeFileSync(join(folder, 'damaged.xml.sgn'), damaged);

describe('file verify', () => {
  test('says of each file which signer, where it was found, and by which rule', () => {
    const { status, stdout } = here('file', 'verify', 'good', '--ctl', 'CTLFile.tlv', '--itl', 'ITLFile.tlv');
    const signer = String.raw`CN=pub;.* \(serial [0-9a-f]+\)`;
    expect(stdout).toMatch(
      new RegExp(
        `^good/a.xml.sgn: verified by P12, signed by ${signer}, record 2 of the CTL\n` +
          `good/b.xml.sgn: verified by P12, signed by ${signer}, record 2 of the CTL\n2 verified\n$`,
      ),
    );
    expect(status).toBe(0);
    const document = jsonOf(here('file', 'verify', 'good', '--itl', 'ITLFile.tlv', '--json')) as BulkDocument;
    expect(document.files[0]).toMatchObject({
      path: 'good/a.xml.sgn',
      outputs: [],
      state: 'verified',
      encrypted: false,
      fileName: 'a.xml.sgn',
      rule: 'P12',
      used: { kind: 'itl', record: 2 },
      reason: null,
      warnings: [],
      error: null,
    });
  });

  test('a stranger and a changed file end with 1 and the reason; the others are told all the same', () => {
    const words = ['file', 'verify', 'good/b.xml.sgn', 'strange', 'damaged.xml.sgn', '--ctl', 'CTLFile.tlv'];
    const { status, stdout } = here(...words, '--quiet');
    expect(stdout).toMatch(
      /^strange\/a.xml.sgn: not verified by P12: the signer CN=stranger \(serial 4c010203\) is not in the CTL with function 2 or 3$/m,
    );
    expect(stdout).toMatch(
      /^damaged.xml.sgn: not verified by P12: the signer CN=pub.* is record 2 of the CTL, and the signature was not made with its key/m,
    );
    expect(stdout).toMatch(/^1 verified, 2 not verified$/m);
    expect(stdout).not.toContain('good');
    expect(status).toBe(1);
    const document = jsonOf(here(...words, '--json')) as BulkDocument;
    expect(document.files.map(({ state }) => state)).toEqual(['verified', 'not-verified', 'not-verified']);
    expect(document.notVerified).toBe(2);
  });

  test('keys from a certificate', () => {
    const certificate = ['--certificate', stranger[3]!];
    const { status, stdout } = here('file', 'verify', 'strange', ...certificate);
    expect([status, stdout]).toEqual([0, 'strange/a.xml.sgn: verified, signed by CN=stranger\n1 verified\n']);
    const wrong = here('file', 'verify', 'good/a.xml.sgn', ...certificate);
    expect(wrong.stdout).toMatch(
      /^good\/a.xml.sgn: not verified: it was not signed with the key of CN=stranger; its header names CN=pub/,
    );
    expect(wrong.status).toBe(1);
    expectFailure(here('file', 'verify', 'good', ...certificate, '--ctl', 'CTLFile.tlv'), 2, 'not from both');
    expectFailure(here('file', 'verify', 'good'), 2, 'no keys to verify with', '--ctl FILE');
  });

  test('a FILENAME that is not the name of the file is a warning', () => {
    writeFileSync(join(folder, 'renamed.sgn'), readFileSync(join(folder, 'good/a.xml.sgn')));
    const { status, stdout, stderr } = here('file', 'verify', 'renamed.sgn', '--ctl', 'CTLFile.tlv');
    expect(stderr).toBe(
      'warning: renamed.sgn: its FILENAME is a.xml.sgn: a phone that asks for renamed.sgn rejects it\n',
    );
    expect([status, stdout.endsWith('1 verified\n')]).toEqual([0, true]);
  });

  test('what is no signed file ends with 2: a list, a plain file, one that is cut off', () => {
    const keys = ['--ctl', 'CTLFile.tlv'];
    const good = readFileSync(join(folder, 'good/a.xml.sgn'));
    writeFileSync(join(folder, 'cut.sgn'), good.subarray(0, 100));
    writeFileSync(join(folder, 'empty.sgn'), '');
    const { status, stderr, stdout } = here('file', 'verify', 'CTLFile.tlv', 'a.xml', 'cut.sgn', 'empty.sgn', ...keys);
    expect(stderr).toMatch(/^error: CTLFile.tlv: VERSION at byte 3: version 1.0 expected, 1.2 found$/m);
    expect(stderr).toMatch(/^error: a.xml: VERSION at byte 0: /m);
    expect(stderr).toMatch(/^error: cut.sgn: .*a header of \d+ bytes in a file of 100 bytes$/m);
    expect(stderr).toMatch(/^error: empty.sgn: .*the file is empty$/m);
    expect([status, stdout]).toEqual([2, '0 verified, 4 failed\n']);
    expectFailure(here('file', 'verify', 'good', '--ctl', 'ITLFile.tlv'), 2, 'ITLFile.tlv is an ITL');
  });

  test('a list that does not verify itself, and an empty ITL, are told', () => {
    const list = readFileSync(join(folder, 'CTLFile.tlv'));
    list[list.length - 1]! ^= 1;
    writeFileSync(join(folder, 'Broken.tlv'), list);
    const broken = here('file', 'verify', 'good/a.xml.sgn', '--ctl', 'Broken.tlv');
    expect(broken.stderr).toContain('warning: the CTL Broken.tlv does not verify itself');
    done('itl', 'empty', 'ITLFile.tlv', ...cluster, '--out', 'EmptyITL.tlv');
    const empty = here('file', 'verify', 'good/a.xml.sgn', '--itl', 'EmptyITL.tlv');
    expect(empty.stderr).toContain('warning: P6: ');
    expect(empty.status).toBe(1);
  });
});

describe('file strip', () => {
  test('gives the plain files back with their tree, byte for byte', () => {
    const { status, stdout, stderr } = here('file', 'strip', 'good', '--out', 'plain');
    expect(stderr).toBe('the signatures are not checked: give --ctl, --itl or --certificate to check them\n');
    expect([status, stdout]).toEqual([
      0,
      'good/a.xml.sgn: stripped, plain/a.xml\ngood/b.xml.sgn: stripped, plain/b.xml\n2 stripped\n',
    ]);
    for (const name of ['a.xml', 'b.xml']) {
      expect(readFileSync(join(folder, 'plain', name), 'utf8')).toBe(`content of ${name}`);
    }
    const again = here('file', 'strip', 'good', '--out', 'plain', '--ctl', 'CTLFile.tlv');
    expect(again.stdout).toMatch(/^good\/a.xml.sgn: already done; verified by P12/);
    expect(again.stdout).toMatch(/0 stripped, 2 already done\n$/);
    expect(again.stderr).toBe('');
  });

  test('with keys, a file that does not verify gives nothing', () => {
    const words = ['file', 'strip', 'strange', 'good', '--out', 'checked', '--ctl', 'CTLFile.tlv'];
    expectFailure(here(...words), 4, 'strange/a.xml.sgn and good/a.xml.sgn would both become checked/a.xml');
    const { status, stdout } = here('file', 'strip', 'strange', 'good/b.xml.sgn', ...words.slice(4));
    expect(stdout).toMatch(/^strange\/a.xml.sgn: not verified by P12/);
    expect([status, readdirSync(join(folder, 'checked'))]).toEqual([1, ['b.xml']]);
  });

  test('the name of the output comes from the name of the file, not from what its header says', async () => {
    const { signFile } = await import('../../src/signed-file/index.js');
    const key = await makeSoftwareKey('evil', 0x4d);
    const bytes = await signFile(new Uint8Array(3), { name: '../../evil', timestamp: 1 }, key.signer);
    expect(decodeSignedHeader(bytes).fileName).toBe('../../evil.sgn');
    writeFileSync(join(folder, 'evil-header.sgn'), bytes);
    const { status, stderr } = here('file', 'strip', 'evil-header.sgn', '--out', 'confined');
    expect(stderr).toContain('its FILENAME is ../../evil.sgn');
    expect([status, readdirSync(join(folder, 'confined'))]).toEqual([0, ['evil-header']]);
  });

  test('an output that is the input, or no name, is refused', () => {
    writeFileSync(join(folder, 'signed-file'), readFileSync(join(folder, 'good/a.xml.sgn')));
    writeFileSync(join(folder, '.sgn'), readFileSync(join(folder, 'good/a.xml.sgn')));
    const before = snapshot(folder);
    expectFailure(here('file', 'strip', 'signed-file'), 4, 'the output signed-file is also an input');
    expectFailure(here('file', 'strip', '.sgn'), 4, 'gives an output with the name ""');
    expect(snapshot(folder)).toEqual(before);
  });
});
