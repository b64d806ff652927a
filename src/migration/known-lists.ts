import { createHash } from 'node:crypto';
import { formatHex } from '../bytes/index.js';
import { FormatError } from '../errors.js';
import { decodeTrustList, trustListKind, type TrustList } from '../trust-list/index.js';

/** A trust list that is at hand, and where it is from. */
export interface KnownList {
  /** The file, for people. */
  readonly name: string;
  readonly list: TrustList;
  /** SHA-1 in lower-case hex. */
  readonly sha1: string;
  /** What its FILENAME says that it is. */
  readonly kind: 'CTL' | 'ITL' | undefined;
}

/** The trust lists that are at hand, by their SHA-1 and MD5: phones and inventories tell lists by their checksums. */
export class KnownLists {
  readonly #byDigest = new Map<string, KnownList>();

  /** How many there are; the same bytes under two names are one list. */
  get size(): number {
    return this.#byDigest.size / 2;
  }

  /** Adds a list. One with the same bytes that is there already stays, and keeps its name. */
  add(name: string, list: TrustList): KnownList {
    const sha1 = digest('sha1', list.bytes);
    const before = this.#byDigest.get(sha1);
    if (before !== undefined) return before;
    const known = { name, list, sha1, kind: trustListKind(list.header.fileName) };
    this.#byDigest.set(sha1, known);
    this.#byDigest.set(digest('md5', list.bytes), known);
    return known;
  }

  /**
   * Adds a file, if it is a trust list.
   *
   * @returns why it is none; `undefined` when it was added.
   */
  addFile(name: string, bytes: Uint8Array): string | undefined {
    try {
      this.add(name, decodeTrustList(bytes));
      return undefined;
    } catch (error) {
      if (error instanceof FormatError) return error.message;
      throw error;
    }
  }

  /** @param checksum SHA-1 or MD5, in lower-case hex. */
  find(checksum: string): KnownList | undefined {
    return this.#byDigest.get(checksum);
  }
}

function digest(algorithm: 'sha1' | 'md5', bytes: Uint8Array): string {
  return formatHex(createHash(algorithm).update(bytes).digest());
}
