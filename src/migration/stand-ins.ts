import type { KeyObject } from 'node:crypto';
import { concatBytes, equalBytes, formatHex } from '../bytes/index.js';
import type { Cluster, ClusterNode } from '../cluster/index.js';
import { createSoftwareSigner, digestOf, type Signer } from '../signer/index.js';
import { findElement } from '../tlv/index.js';
import {
  decodeTrustList,
  draftOfRecord,
  encodeRecords,
  recordHolds,
  recordTag,
  signingRecords,
  signTrustList,
  verifyTrustList,
  type RecordDraft,
  type TrustList,
  type TrustListRecord,
} from '../trust-list/index.js';
import { headerTag } from '../signed-file/index.js';
import { decodeCertificate, withOtherKey, type Certificate } from '../x509/index.js';

/**
 * Keys that stand in for private keys that are elsewhere: on tokens, on the cluster. A certificate whose key will sign
 * something gets a twin that differs from it in the key only, and every list that names it is rewritten to name the
 * twin. In that world lists can be built, signed and offered to phones as they will be in the real one, and the phones
 * decide by the same bytes of names, serials and functions.
 */
export class StandIns {
  readonly #makeKey: (index: number) => Promise<KeyObject>;
  /** By public key, in hex. */
  readonly #keys = new Map<string, KeyObject>();
  /** By DER, in hex. */
  readonly #twins = new Map<string, Signer>();
  /** The same twins by the key of the real certificate. */
  readonly #twinsByKey = new Map<string, Twin[]>();
  readonly #lists = new Map<string, TrustList>();
  readonly #made = new Map<string, Promise<Certificate>>();
  #keyCount = 0;

  /** @param makeKey gives RSA private keys, each for another index. */
  constructor(makeKey: (index: number) => Promise<KeyObject>) {
    this.#makeKey = makeKey;
  }

  /** The twin of a certificate, with its key. Two certificates for one key get twins for one key. */
  async twinOf(real: Certificate): Promise<Signer> {
    const name = formatHex(real.der);
    const known = this.#twins.get(name);
    if (known !== undefined) return known;
    const publicKey = formatHex(real.publicKey);
    const key = this.#keys.get(publicKey) ?? (await this.#newKey());
    this.#keys.set(publicKey, key);
    const twin = createSoftwareSigner(withOtherKey(real, key), key);
    this.#twins.set(name, twin);
    this.#twinsByKey.set(publicKey, [...(this.#twinsByKey.get(publicKey) ?? []), { real, twin, key }]);
    return twin;
  }

  /** A certificate that is made for the trial itself, once under each name: it is its own twin. */
  made(name: string, issue: (key: KeyObject) => Promise<Certificate>): Promise<Certificate> {
    const known = this.#made.get(name);
    if (known !== undefined) return known;
    const making = this.#newKey().then(async (key) => {
      const certificate = await issue(key);
      this.#twins.set(formatHex(certificate.der), createSoftwareSigner(certificate, key));
      return certificate;
    });
    this.#made.set(name, making);
    return making;
  }

  #newKey(): Promise<KeyObject> {
    const index = this.#keyCount;
    this.#keyCount += 1;
    return this.#makeKey(index);
  }

  /** Who signs with a certificate, a real one or a twin. */
  async signer(certificate: Certificate): Promise<Signer> {
    const isTwin = [...this.#twins.values()].find((twin) => equalBytes(twin.certificate.der, certificate.der));
    return isTwin ?? this.twinOf(certificate);
  }

  /** The twin if there is one, else the certificate itself: it will sign nothing. */
  certificate(real: Certificate): Certificate {
    return this.#twins.get(formatHex(real.der))?.certificate ?? real;
  }

  cluster(real: Cluster): Cluster {
    const nodes = real.nodes.map((node): ClusterNode => {
      const certificates = Object.entries(node.certificates).map(
        ([name, certificate]) => [name, this.certificate(certificate)] as const,
      );
      return { ...node, certificates: Object.fromEntries(certificates) };
    });
    const stores = Object.entries(real.trustStores).map(
      ([store, certificates]) => [store, certificates.map((one) => this.certificate(one))] as const,
    );
    return { ...real, nodes, trustStores: Object.fromEntries(stores) };
  }

  /** A list that a phone holds, with twins in it. Nobody verifies it any more: its signature is left as it was. */
  heldList(real: TrustList): TrustList {
    const name = formatHex(real.bytes);
    const known = this.#lists.get(name);
    if (known !== undefined) return known;
    const drafts = real.records.map((record) => this.#draftOf(record));
    const header = real.bytes.subarray(0, real.header.length);
    const list = decodeTrustList(concatBytes(header, encodeRecords(drafts)));
    this.#lists.set(name, list);
    return list;
  }

  /**
   * A list that phones are offered, with twins in it and signed by one. A list that does not verify is left as it is:
   * no phone will look further.
   */
  async offeredList(real: TrustList): Promise<TrustList> {
    const [signing] = signingRecords(real);
    if (signing?.certificate === undefined || !verifyTrustList(real).verified) return real;
    const signer = await this.twinOf(decodeCertificate(signing.certificate));
    const { header } = real;
    const list = await signTrustList(
      {
        version: header.version,
        digestAlgorithm: header.digestAlgorithm,
        fileName: findElement(header.elements, headerTag.fileName)?.value ?? new Uint8Array(),
        timestamp: header.timestamp,
        records: real.records.map((record) => this.#draftOf(record)),
        signingRecord: real.records.indexOf(signing),
      },
      signer,
    );
    // A phone that holds the very file holds the very list.
    this.#lists.set(formatHex(real.bytes), list);
    return list;
  }

  /** A record that names the twin instead of the certificate. */
  #draftOf(record: TrustListRecord): RecordDraft {
    const draft = draftOfRecord(record);
    const { publicKey } = record;
    if (publicKey === undefined) return draft;
    const candidates = this.#twinsByKey.get(formatHex(publicKey));
    const [first] = candidates ?? [];
    if (candidates === undefined || first === undefined) return draft;
    const same = candidates.find(({ real }) => recordHolds(record, real.der));
    const twin = same?.twin.certificate ?? otherTwin(record, first);
    const values = new Map<number, Uint8Array>([[recordTag.publicKey, first.twin.certificate.publicKey]]);
    if (twin !== undefined) {
      values.set(recordTag.certificate, twin.der);
      if (record.hashAlgorithm !== undefined)
        values.set(recordTag.certificateHash, digestOf(record.hashAlgorithm, twin.der));
    }
    return draft.map((element) => {
      const value = values.get(element.tag);
      return value === undefined ? element : { tag: element.tag, value };
    });
  }
}

interface Twin {
  readonly real: Certificate;
  readonly twin: Signer;
  readonly key: KeyObject;
}

/** Another certificate for the same key; of one that stands there as a hash nothing can be made. */
function otherTwin({ certificate }: TrustListRecord, { key }: Twin): Certificate | undefined {
  return certificate === undefined ? undefined : withOtherKey(decodeCertificate(certificate), key);
}
