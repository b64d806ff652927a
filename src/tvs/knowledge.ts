import { equalBytes, formatHex, printable } from '../bytes/index.js';
import { FormatError } from '../errors.js';
import type { TrustList } from '../trust-list/index.js';
import { decodeCertificate, formatClusterName, type Certificate } from '../x509/index.js';
import { CertificateCache, type CachedCertificate } from './certificate-cache.js';
import { CtlCache, cacheOfList } from './ctl-cache.js';
import type { SignerNames, TvsGrant, TvsRefusal } from './message.js';
import { rolesOfStore } from './roles.js';
import { lookUpKey, lookUpKeys } from './spelling.js';

/** How long phones may keep an answer, in seconds, unless told. */
const dayInSeconds = 86_400;

/** What a TVS server is to know. */
export interface TvsKnowledgeRequest {
  /**
   * The uploaded certificates by the name of their store: trust stores such as `Phone-SAST-trust`, and the stores of
   * the cluster's own certificates, `CallManager`, `CAPF`, `TVS`, `tomcat`, `ipsec`.
   */
  readonly trustStores: Readonly<Record<string, readonly Certificate[]>>;
  /** The server's own CTL file. It need not be there, and is read again whenever it changed. */
  readonly ctlFile?: string;
  /** Instead of the file: the CTL itself, as it will be for as long as anyone asks. */
  readonly ctl?: TrustList | undefined;
  /** How long phones may keep an answer, in seconds: 86,400 unless told. */
  readonly timeToLive?: number;
  /** Told what is looked up and found, in the words of a cluster's log. */
  readonly log?: (line: string) => void;
}

/** What a TVS server knows, and so what it answers. */
export interface TvsKnowledge {
  /** The certificate of a signer, as the header of a trust list or signed file names it. */
  query(names: SignerNames): (TvsGrant & { readonly certificate: Uint8Array }) | TvsRefusal;
  /** Whether a certificate (DER) is known, byte for byte. */
  verify(certificate: Uint8Array): (TvsGrant & { readonly certificate: Uint8Array }) | TvsRefusal;
}

/** What the two stores are called in the logs of clusters. */
const databaseName = 'CertificateDBCache';
const ctlName = 'CertificateCTLCache';

/**
 * What a TVS server knows (tvs-protocol.md): the uploaded certificates, then those of its own CTL file. The first store
 * that has the certificate answers. A CTL file that is broken never fails a question.
 */
export function createTvsKnowledge(request: TvsKnowledgeRequest): TvsKnowledge {
  return new Stores(request);
}

class Stores implements TvsKnowledge {
  readonly #uploaded = new CertificateCache();
  readonly #ctl: { current(): CertificateCache } | undefined;
  readonly #timeToLive: number;
  readonly #log: ((line: string) => void) | undefined;

  constructor({ trustStores, ctlFile, ctl, timeToLive = dayInSeconds, log }: TvsKnowledgeRequest) {
    this.#log = log === undefined ? undefined : (line) => log(printable(line));
    const say = (line: string): void => this.#log?.(line);
    if (ctlFile !== undefined) this.#ctl = new CtlCache(ctlFile, say);
    else if (ctl !== undefined) this.#ctl = cacheOfList(ctl, say);
    this.#timeToLive = timeToLive;
    // What is wrong with the file is told when the server starts, not when the first phone asks.
    this.#ctl?.current();
    for (const [store, certificates] of Object.entries(trustStores)) {
      const roles = rolesOfStore(store);
      for (const certificate of certificates) this.#uploaded.add(lookUpKeys(certificate), certificate.der, roles);
    }
  }

  query(names: SignerNames): (TvsGrant & { readonly certificate: Uint8Array }) | TvsRefusal {
    this.#logQuery(names);
    const key = lookUpKey(names.serialNumber, names.issuerName);
    const found = this.#find(key);
    this.#log?.(
      found === undefined
        ? 'tvsHandleQueryCertReq : Certificate not found'
        : `convertX509ToDER -x509cert : ${found.certificate.length} bytes`,
    );
    return this.#answer(found);
  }

  verify(certificate: Uint8Array): (TvsGrant & { readonly certificate: Uint8Array }) | TvsRefusal {
    let decoded: Certificate;
    try {
      decoded = decodeCertificate(certificate);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      this.#log?.(`ERROR:getCertificateInformation(cert) : not a certificate: ${error.message}`);
      return { status: 'not-trusted' };
    }
    const { serialNumber } = decoded;
    const issuerName = formatClusterName(decoded.issuer);
    const serial = formatHex(serialNumber).toUpperCase();
    this.#log?.(`tvsGetIssuerNameFromX509 - issuerName : ${issuerName} and Length: ${Buffer.byteLength(issuerName)}`);
    this.#log?.(`tvsGetSerialNumberFromX509 - serialNumber : ${serial} and Length: ${serialNumber.length}`);
    const found = this.#find(lookUpKey(serialNumber, issuerName), certificate);
    if (found === undefined) this.#log?.('getCertificateInformation(cert) : certificate not found');
    return this.#answer(found);
  }

  /** @param wanted the certificate that it must be, byte for byte. */
  #find(key: string, wanted?: Uint8Array): CachedCertificate | undefined {
    return (
      this.#lookUp(databaseName, this.#uploaded, key, wanted) ??
      (this.#ctl === undefined ? undefined : this.#lookUp(ctlName, this.#ctl.current(), key, wanted))
    );
  }

  #lookUp(name: string, cache: CertificateCache, key: string, wanted?: Uint8Array): CachedCertificate | undefined {
    const known = cache.find(key);
    const found = wanted === undefined ? known[0] : known.find((one) => equalBytes(one.certificate, wanted));
    const log = this.#log;
    if (log === undefined) return found;
    const length = name === ctlName ? `, len : ${Buffer.byteLength(key)}` : '';
    const place = `${name}::getCertificateInformation`;
    log(`${place} - Looking up the certificate cache using Unique MAP ID : ${key}${length}`);
    if (wanted !== undefined && known.length > 0) {
      log(`${place} - Certificate compare return =${found === undefined ? 1 : 0}`);
    }
    if (found === undefined) {
      log(`ERROR:${place} - Cannot find the certificate in the cache`);
      return undefined;
    }
    if (wanted !== undefined) log(`${place} - Certificate found and equal`);
    log(`${place} - Found entry {rolecount : ${found.roles.length}}`);
    for (const role of found.roles) log(`${place} - {role : ${role}}`);
    return found;
  }

  #answer(found: CachedCertificate | undefined): (TvsGrant & { readonly certificate: Uint8Array }) | TvsRefusal {
    if (found === undefined) return { status: 'not-trusted' };
    const { certificate, roles } = found;
    return { status: 'success', certificate, roles, timeToLive: this.#timeToLive };
  }

  #logQuery({ subjectName, issuerName, serialNumber }: SignerNames): void {
    const log = this.#log;
    if (log === undefined) return;
    const say = (text: string): void => log(`tvsHandleQueryCertReq : ${text}`);
    log('tvsHandleQueryCertReq');
    say(`Subject Name is: ${subjectName}`);
    say(`Issuer Name is: ${issuerName}`);
    if (/^cn="?SAST-/.test(subjectName)) say('This is SAST eToken cert');
    say(`Serial Number is: ${formatHex(serialNumber).toUpperCase()}`);
  }
}
