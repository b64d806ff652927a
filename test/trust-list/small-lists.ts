import { createHash, type KeyObject } from 'node:crypto';
import fc from 'fast-check';
import { createSoftwareSigner, type Signer } from '../../src/signer/index.js';
import { generateRsaKey, issueCertificate, type Certificate } from '../../src/x509/index.js';
import { tags, text, type FilePieces, type Piece } from './pieces.js';

/** Who signs a test's list: certificate, key, and the signer made of both. */
export interface ListSigner {
  readonly certificate: Certificate;
  readonly key: KeyObject;
  readonly signer: Signer;
  readonly name: Uint8Array;
  readonly serialNumber: Uint8Array;
}

/** A signer with a fresh key of 1024 bits. */
export async function makeListSigner(commonName = 'cucm-1051-a-pub', serial = 0x70): Promise<ListSigner> {
  const key = await generateRsaKey(1024);
  const subject = [{ type: 'CN', value: commonName }];
  const certificate = await issueCertificate(
    {
      subject,
      publicKey: key,
      serialNumber: Uint8Array.of(serial, 0xca, 0xf6, 0x4e),
      notBefore: new Date('2015-03-06T00:00:00Z'),
      notAfter: new Date('2040-03-06T00:00:00Z'),
    },
    { name: subject, key },
  );
  const name = text(`CN=${commonName}`);
  const { serialNumber } = certificate;
  return { certificate, key, signer: createSoftwareSigner(certificate, key), name, serialNumber };
}

const { header: h, record: r } = tags;

function piece(tag: number, ...bytes: number[]): Piece {
  return { tag, value: Uint8Array.from(bytes) };
}

/** SIGNERID and SIGNATUREINFO as clusters write them. */
export function signerId({ name, serialNumber }: Pick<ListSigner, 'name' | 'serialNumber'>): Piece {
  const children = [
    { tag: h.signerName, value: name },
    { tag: h.serialNumber, value: serialNumber },
    { tag: h.issuerName, value: name },
  ];
  return { tag: h.signerId, children };
}

export function signatureInfo(digest = 1, modulus = 1): Piece {
  const algorithm = [piece(h.signatureAlgorithm, 0), piece(h.signatureModulus, modulus)];
  return {
    tag: h.signatureInfo,
    children: [piece(h.digestAlgorithm, digest), { tag: h.signatureAlgorithmInfo, children: algorithm }],
  };
}

/** A header in the order of clusters, for a key of 1024 bits. */
export function headerPieces(signer: Pick<ListSigner, 'name' | 'serialNumber'>): Piece[] {
  return [
    piece(h.version, 1, 2),
    piece(h.headerLength, 0, 0),
    signerId(signer),
    signatureInfo(),
    { tag: h.signature, value: new Uint8Array(128) },
    { tag: h.fileName, value: text('CTLFile.tlv') },
    piece(h.timestamp, 0x54, 0xfa, 0x12, 0xe7),
  ];
}

/** A record with a whole certificate, in the tokenless order. */
export function recordPieces(function_: number, { certificate, name, serialNumber }: ListSigner): Piece[] {
  return [
    { tag: r.dnsName, value: text('cucm-1051-a-pub') },
    { tag: r.subjectName, value: name },
    piece(r.function, function_ >> 8, function_ & 0xff),
    { tag: r.issuerName, value: name },
    { tag: r.serialNumber, value: serialNumber },
    { tag: r.publicKey, value: certificate.publicKey },
    { tag: r.signature, value: certificate.signature },
    { tag: r.certificate, value: certificate.der },
    piece(r.ipAddress, 10, 48, 47, 153),
  ];
}

/** A record with a digest in the certificate's place. */
export function hashRecordPieces(
  function_: number,
  signer: ListSigner,
  algorithm: 'sha1' | 'sha512' = 'sha1',
): Piece[] {
  const digest = createHash(algorithm).update(signer.certificate.der).digest();
  return [
    ...recordPieces(function_, signer).filter(({ tag }) => tag !== r.certificate && tag !== r.ipAddress),
    { tag: r.certificateHash, value: digest },
    piece(r.hashAlgorithm, algorithm === 'sha1' ? 1 : 3),
  ];
}

/** What the CTL client leaves of a server's record when the cluster is set to non-secure: 33 bytes. */
export function emptiedRecordPieces(): Piece[] {
  return [piece(r.function, 0, 2), { tag: r.ipAddress, value: new Uint8Array(16) }];
}

/** A list of the signer's record, its CCM+TFTP record and a CAPF record with a digest. */
export function smallList(signer: ListSigner): FilePieces {
  const records = [recordPieces(0, signer), recordPieces(2, signer), hashRecordPieces(4, signer)];
  return { header: headerPieces(signer), padding: 2, records };
}

const knownHeaderTags: readonly number[] = [...Object.values(h), 13];
const knownRecordTags: readonly number[] = Object.values(r);

function unknownPieces(known: readonly number[]): fc.Arbitrary<Piece[]> {
  const tag = fc.integer({ min: 0, max: 255 }).filter((one) => !known.includes(one));
  return fc.array(fc.record({ tag, value: fc.uint8Array({ maxLength: 20 }) }), { maxLength: 3 });
}

function shuffled(pieces: readonly Piece[]): fc.Arbitrary<Piece[]> {
  return fc.shuffledSubarray([...pieces], { minLength: pieces.length });
}

/** The same pieces and some unknown ones, in any order, in containers too. */
function reordered(pieces: readonly Piece[], known: readonly number[]): fc.Arbitrary<Piece[]> {
  const inside = pieces.map((one) =>
    one.children === undefined
      ? fc.constant(one)
      : reordered(one.children, known).map((children) => ({ tag: one.tag, children })),
  );
  return fc
    .tuple(fc.tuple(...inside), unknownPieces(known))
    .chain(([changed, unknown]) => shuffled([...changed, ...unknown]));
}

/** Text of any bytes, also such as are no UTF-8, with its NUL. */
const anyText = fc
  .uint8Array({ min: 1, maxLength: 30 })
  .map((bytes) => new Uint8Array([...bytes.filter((byte) => byte !== 0), 0]));

const byteValue = fc.uint8Array({ maxLength: 200 });

function anyRecord(signer: ListSigner): fc.Arbitrary<Piece[]> {
  const function_ = fc.tuple(fc.nat(255), fc.nat(255)).map((bytes) => piece(r.function, ...bytes));
  const optional = fc.subarray([
    { tag: r.dnsName, value: text('node') },
    { tag: r.signature, value: new Uint8Array(5) },
    piece(r.ipAddress, 0, 0, 0, 0),
  ]);
  const certificate = fc.oneof(
    byteValue.map((value): Piece[] => [{ tag: r.certificate, value }]),
    fc.constantFrom(1, 2, 3).map((code): Piece[] => {
      return [{ tag: r.certificateHash, value: new Uint8Array([20, 32, 64][code - 1]!) }, piece(r.hashAlgorithm, code)];
    }),
  );
  const names = fc.record({ subject: anyText, issuer: anyText, serial: byteValue, key: byteValue }).map((one) => [
    { tag: r.subjectName, value: one.subject },
    { tag: r.issuerName, value: one.issuer },
    { tag: r.serialNumber, value: one.serial },
    { tag: r.publicKey, value: one.key },
  ]);
  const whole = fc.tuple(function_, optional, names, certificate).map((parts) => parts.flat());
  const emptied = fc.tuple(function_, optional).map(([one, others]) => [one, ...others.filter(({ tag }) => tag !== 8)]);
  const copied = fc.nat(30).map((number) => recordPieces(number + 1, signer));
  return fc.oneof(whole, emptied, copied).chain((pieces) => reordered(pieces, knownRecordTags));
}

/** Any list that is right: unknown elements, every order, any padding, up to some fifty records. */
export function anyList(signer: ListSigner): fc.Arbitrary<FilePieces> {
  const [version, headerLength, ...rest] = headerPieces(signer);
  const header = fc
    .tuple(fc.constantFrom(1, 2, 3), fc.constantFrom([], [piece(h.signerVersion, 1, 1)]))
    .map(([digest, more]) => [
      ...rest.map((one) => (one.tag === h.signatureInfo ? signatureInfo(digest) : one)),
      ...more,
    ])
    .chain((pieces) => reordered(pieces, knownHeaderTags))
    .map((pieces) => [version!, headerLength!, ...pieces]);
  const records = fc
    .tuple(
      fc.array(anyRecord(signer), { maxLength: 25 }),
      reordered(recordPieces(0, signer), knownRecordTags),
      fc.array(anyRecord(signer), { maxLength: 25 }),
    )
    .map(([before, signing, after]) => [...before, signing, ...after]);
  return fc.record({ header, padding: fc.nat(3), records });
}
