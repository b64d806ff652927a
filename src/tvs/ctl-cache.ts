import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { equalBytes } from '../bytes/index.js';
import { FormatError } from '../errors.js';
import { decodeTrustList, verifyTrustList, type TrustList, type TrustListRecord } from '../trust-list/index.js';
import { decodeCertificate } from '../x509/index.js';
import { CertificateCache } from './certificate-cache.js';
import { lookUpKey, lookUpKeys } from './spelling.js';

/** Far above every CTL that phones load. */
const largestFile = 1024 * 1024;

/**
 * A file that changed less than so many milliseconds ago is read again: file times move on in ticks, and a second
 * change within one tick would not show.
 */
const settlingTime = 100;

/** The certificates of the server's own CTL file, as the file is at each moment. */
export class CtlCache {
  readonly #path: string;
  readonly #log: (line: string) => void;
  /** Which state of the file `#cache` was made from; none before a file was read, and while it may still change. */
  #state: string | undefined;
  #bytes: Uint8Array | undefined;
  #complaint: string | undefined;
  #cache = new CertificateCache();

  constructor(path: string, log: (line: string) => void) {
    this.#path = path;
    this.#log = log;
  }

  /**
   * What the file holds now. A file that is broken, cut off or still being written is not taken: the last good one
   * stands. A file that was removed takes its certificates with it.
   */
  current(): CertificateCache {
    const state = this.#stateOnDisk();
    if (state === undefined) this.#forget();
    else if (state !== this.#state) this.#refresh();
    return this.#cache;
  }

  #stateOnDisk(): string | undefined {
    try {
      const found = statSync(this.#path, { throwIfNoEntry: false, bigint: true });
      return found === undefined ? undefined : stateOf(found);
    } catch {
      // Not a reason to forget what is known: the folder may be out of reach for a moment. Reading tells what is wrong.
      return 'unknown';
    }
  }

  #forget(): void {
    if (this.#bytes !== undefined) this.#say('has been removed. Clearing CTL Certificate Cache');
    this.#state = undefined;
    this.#bytes = undefined;
    this.#cache = new CertificateCache();
  }

  #refresh(): void {
    try {
      const { bytes, state, settled } = readState(this.#path);
      // What is not settled is compared again at the next question, which costs one reading of the file.
      this.#state = settled ? state : undefined;
      if (this.#bytes !== undefined && equalBytes(bytes, this.#bytes)) {
        this.#complaint = undefined;
        return;
      }
      const list = decodeTrustList(bytes);
      const verification = verifyTrustList(list);
      if (!verification.verified) {
        this.#complain(`is not taken, the last good one stands: ${verification.reason}`);
        return;
      }
      this.#say('has been modified. Recaching CTL Certificate Cache');
      this.#log('updateLocalCTLCache : Refreshing the local CTL certificate cache');
      this.#cache = cacheOf(list, this.#log);
      this.#bytes = bytes;
      this.#complaint = undefined;
    } catch (error) {
      this.#complain(`is not taken, the last good one stands: ${reasonOf(error)}`);
    }
  }

  /** Each complaint once, until another or a good file: a broken file is met again at every question. */
  #complain(text: string): void {
    if (text === this.#complaint) return;
    this.#complaint = text;
    this.#log(`ERROR:CertificateCache::localCTLCacheMonitor - ${basename(this.#path)} ${text}`);
  }

  #say(text: string): void {
    this.#log(`CertificateCache::localCTLCacheMonitor - ${basename(this.#path)} ${text}`);
  }
}

interface FileState {
  readonly ino: bigint;
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

function stateOf({ ino, size, mtimeNs, ctimeNs }: FileState): string {
  return `${ino}/${size}/${mtimeNs}/${ctimeNs}`;
}

/** A file's bytes, and the state it was in when they were read. */
function readState(path: string): { bytes: Uint8Array; state: string; settled: boolean } {
  const file = openSync(path, 'r');
  try {
    const found = fstatSync(file, { bigint: true });
    if (!found.isFile()) throw new Error('not a file');
    if (found.size > largestFile) throw new Error(`${found.size} bytes; phones load 65,535 at the most`);
    const bytes = new Uint8Array(Number(found.size));
    let length = 0;
    while (length < bytes.length) {
      const count = readSync(file, bytes, length, bytes.length - length, length);
      if (count === 0) break;
      length += count;
    }
    const settled = Date.now() - Number(found.ctimeNs / 1_000_000n) > settlingTime;
    return { bytes: bytes.subarray(0, length), state: stateOf(found), settled };
  } finally {
    closeSync(file);
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The certificates of a CTL that does not change; none when it does not verify, as a server would not take it. */
export function cacheOfList(list: TrustList, log: (line: string) => void): { current(): CertificateCache } {
  const cache = verifyTrustList(list).verified ? cacheOf(list, log) : new CertificateCache();
  return { current: () => cache };
}

/**
 * The server vouches for every signer of its CTL and for every other certificate in it, each for what the list says it
 * does: roles are numbered as FUNCTION, so a token's records give {0}, CCM+TFTP {2}, CAPF {4}. A tokenless list names
 * the CallManager certificate twice, as signer and as CCM+TFTP, which together gives {0, 2}, as an upload would. A
 * FUNCTION above 255 fits no role. Records without the whole certificate cannot be sent, and are passed over.
 */
function cacheOf(list: TrustList, log: (line: string) => void): CertificateCache {
  const cache = new CertificateCache();
  for (const record of list.records) {
    const { certificate, issuerName, serialNumber } = record;
    if (certificate === undefined || issuerName === undefined || serialNumber === undefined) continue;
    const key = lookUpKey(serialNumber, issuerName);
    log(`tvs_sql_get_all_CTL_certificate - Unique Key used for Caching :: ${key}, length : ${Buffer.byteLength(key)}`);
    const keys = [...new Set([key, ...keysOfCertificate(record)])];
    cache.add(keys, certificate, record.function <= 0xff ? [record.function] : []);
  }
  return cache;
}

/** Other lists may spell the certificate otherwise. One that cannot be decoded is known as the list spells it. */
function keysOfCertificate({ certificate }: TrustListRecord): readonly string[] {
  try {
    return certificate === undefined ? [] : lookUpKeys(decodeCertificate(certificate));
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return [];
  }
}
