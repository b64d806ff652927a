import type { KeyObject } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  addToken,
  createTokenCtl,
  createTokenlessCtl,
  ctlMode,
  isEmptied,
  toNonSecure,
  toToken,
  toTokenless,
  updateCtl,
  type AcceptableCheck,
  type CtlOptions,
  type CtlResult,
} from '../../src/ctl/index.js';
import { createLabToken, Lab, SharedTransport, type LabPhone } from '../../src/lab/index.js';
import type { CtlFlow, ListSigner, PhoneGroup, Situation, Step, TvsState } from '../../src/migration/index.js';
import type { Boot } from '../../src/phone/index.js';
import { digestOf, type Signer } from '../../src/signer/index.js';
import type { TrustList } from '../../src/trust-list/index.js';
import { generateRsaKey } from '../../src/x509/index.js';

const start = Date.UTC(2026, 0, 1);

const nodes = [
  { name: 'cucm-pub', address: '192.0.2.10', services: ['CallManager', 'TFTP', 'CAPF', 'TVS'] },
  { name: 'cucm-sub', address: '192.0.2.11', services: ['CallManager', 'TFTP', 'TVS'] },
  { name: 'cucm-sub2', address: '192.0.2.12', services: ['CallManager', 'TFTP', 'TVS'] },
  { name: 'cucm-sub3', address: '192.0.2.13', services: ['CallManager', 'TFTP', 'TVS'] },
] as const;

/** RSA keys that are used again from one lab to the next, never twice in one: making them would take most of the time. */
export class KeyPool {
  readonly #keys: Promise<KeyObject>[] = [];

  get(index: number): Promise<KeyObject> {
    const key = this.#keys[index] ?? generateRsaKey(1024);
    this.#keys[index] = key;
    return key;
  }

  /** A source that begins with the first key. */
  source(): () => Promise<KeyObject> {
    let next = 0;
    return () => this.get(next++);
  }
}

/** A lab with two phones, one with Security by Default and one without, and what its administrator has at hand. */
export class LabRun {
  readonly lab: Lab;
  readonly phones: readonly LabPhone[];
  /** All tokens that ever were. */
  readonly tokens: readonly Signer[];
  #tokensAtHand: readonly Signer[];
  #isTvsDown = false;
  readonly #transport: SharedTransport;
  readonly #directory: string;
  readonly #clock: { now: number };

  private constructor(
    lab: Lab,
    phones: readonly LabPhone[],
    tokens: readonly Signer[],
    directory: string,
    clock: { now: number },
  ) {
    this.lab = lab;
    this.phones = phones;
    this.tokens = tokens;
    this.#tokensAtHand = tokens.slice(0, 2);
    this.#directory = directory;
    this.#clock = clock;
    const server = lab.nodes[0]?.tftp;
    if (server === undefined) throw new Error('no TFTP server runs in this lab');
    this.#transport = new SharedTransport(server);
  }

  static async start(pool: KeyPool, release: string, nodeCount: 1 | 2 | 4): Promise<LabRun> {
    const directory = mkdtempSync(join(tmpdir(), 'etb-run-'));
    const clock = { now: start };
    const makeKey = pool.source();
    const lab = await Lab.start({
      directory,
      release,
      nodes: nodes.slice(0, nodeCount),
      keyBits: 1024,
      clock: () => new Date(clock.now),
      makeKey,
    });
    const tokens: Signer[] = [];
    for (const serial of ['0054f509', '008580ef', '00aa0001', '00aa0002']) {
      tokens.push(await createLabToken(serial, new Date(clock.now), 1024, makeKey));
    }
    const profile = { model: 'CP-8861', encryptedConfiguration: false };
    const phones = [
      await lab.addPhone({ ...profile, mac: '00005E005301', securityByDefault: true }),
      await lab.addPhone({ ...profile, mac: '00005E005302', securityByDefault: false }),
    ];
    const run = new LabRun(lab, phones, tokens, directory, clock);
    await run.boot();
    return run;
  }

  /** Milliseconds since 1970-01-01 UTC. */
  get now(): number {
    return this.#clock.now;
  }

  get tokensAtHand(): readonly Signer[] {
    return this.#tokensAtHand;
  }

  /** What the CTL that is served is, in the words of the modes. */
  modeOfCtl(): 'none' | 'token' | 'tokenless' {
    return this.lab.ctl === undefined ? 'none' : ctlMode(this.lab.ctl);
  }

  /** The same, and `non-secure` for a list whose servers are emptied. */
  describeCtl(): string {
    const { ctl } = this.lab;
    return ctl !== undefined && isEmptied(ctl) ? 'non-secure' : this.modeOfCtl();
  }

  /** The tokens that the administrator has, by their place in {@link LabRun.tokens}. */
  setTokensAtHand(indexes: readonly number[]): void {
    this.#tokensAtHand = indexes.map((index) => this.token(index));
  }

  token(index: number): Signer {
    const token = this.tokens[index];
    if (token === undefined) throw new Error(`no token ${String(index)}`);
    return token;
  }

  /** Serves a first CTL, and the phones take it. @param tokens by their place; the cluster's own key without any. */
  async serveFirstCtl(tokens: readonly number[]): Promise<void> {
    const signers = tokens.map((index) => this.token(index));
    const [first = this.lab.clusterSigner()] = signers;
    const flow = signers.length === 0 ? 'create-tokenless' : 'create-token';
    const { list } = await this.build(flow, first, signers, ['A5', 'A8', 'A14']);
    await this.lab.serveCtl(list, 'mixed');
    await this.boot();
  }

  /** TVS of every node is out of reach, and stays so. */
  async cutTvs(): Promise<void> {
    this.#isTvsDown = true;
    for (const { name } of this.lab.nodes) await this.lab.stopTvs(name);
  }

  /** All phones restart. */
  async boot(): Promise<readonly Boot[]> {
    this.#clock.now += 600_000;
    this.#transport.forget();
    const boots: Boot[] = [];
    for (const phone of this.phones) boots.push(await phone.boot(this.#transport));
    return boots;
  }

  situation(): Situation {
    const { lab } = this;
    const state: TvsState = this.#isTvsDown ? 'unreachable' : 'running';
    const itls = lab.nodes.map(({ name }) => [name, lab.itl(name)] as const);
    return {
      cluster: lab.cluster,
      ctl: lab.ctl,
      itls: Object.fromEntries(itls.filter(([, itl]) => itl !== undefined)) as Record<string, TrustList>,
      tvs: Object.fromEntries(lab.nodes.map(({ name }) => [name, state])),
      tokens: this.#tokensAtHand.map(({ certificate }) => certificate),
      phones: this.phones.map((phone) => this.#groupOf(phone)),
    };
  }

  #groupOf({ deviceName, state }: LabPhone): PhoneGroup {
    const held = (list: TrustList | undefined): PhoneGroup['ctl'] =>
      list === undefined ? { kind: 'none' } : { kind: 'known', list };
    const names = new Map(
      this.lab.nodes.map(({ name, tvs }) => [`${tvs?.host ?? ''}:${String(tvs?.port ?? 0)}`, name]),
    );
    return {
      devices: [deviceName],
      securityByDefault: state.profile.securityByDefault,
      ctl: held(state.ctl),
      itl: held(state.itl),
      tvsServers: state.tvsServers.map((server) => names.get(server) ?? server),
    };
  }

  /** Does a step of a plan as its performers would. */
  async carryOut({ action }: Step): Promise<void> {
    const { lab } = this;
    this.#clock.now += 600_000;
    switch (action.kind) {
      case 'upload':
        return lab.upload(
          action.store,
          action.certificates.map(({ sha1 }) => this.#certificate(sha1)),
        );
      case 'start-tvs':
        return lab.startTvs(action.node);
      case 'build-ctl': {
        const tokens = action.tokens.map(({ sha1 }) => this.#tokenOf(sha1));
        this.#built = (await this.build(action.flow, this.#signer(action.signer), tokens, action.accept)).list;
        return undefined;
      }
      case 'publish-ctl':
        if (this.#built === undefined) throw new Error('no CTL was built');
        return lab.serveCtl(this.#built, action.securityMode);
      case 'cluster-ctl': {
        const { list } = await this.build(action.flow, this.#signer(action.signer), [], []);
        return lab.serveCtl(list, action.securityMode);
      }
      case 'renew':
        return lab.renew(action.node, action.certificate);
      case 'rename':
        return lab.renewAll(action.node);
      case 'remove-ctl-file':
        return lab.removeCtl();
      case 'empty-itls':
        return lab.emptyItls();
      case 'fill-itls':
        return lab.fillItls();
      case 'delete-list':
        for (const index of action.groups) this.phones[index]?.deleteTrustList(action.list);
        return undefined;
      case 'restart-phones':
        await this.boot();
        return undefined;
      default:
        throw new Error(`the lab cannot ${action.kind}`);
    }
  }

  #built: TrustList | undefined;

  /** Builds a CTL by a flow, with the real keys of the lab. */
  async build(
    flow: CtlFlow,
    signer: Signer,
    tokens: readonly Signer[],
    accept: readonly AcceptableCheck[],
  ): Promise<CtlResult> {
    const { lab } = this;
    const options: CtlOptions = {
      timestamp: Math.floor(this.#clock.now / 1000),
      now: new Date(this.#clock.now),
      accept,
    };
    const cluster = { ...lab.cluster, securityMode: flow === 'to-non-secure' ? 'non-secure' : 'mixed' } as const;
    const certificates = tokens.map(({ certificate }) => certificate);
    if (flow === 'create-token') return createTokenCtl(cluster, certificates, signer, options);
    if (flow === 'create-tokenless') return createTokenlessCtl(cluster, signer, options);
    if (lab.ctl === undefined) throw new Error('the lab has no CTL');
    switch (flow) {
      case 'update':
        return updateCtl(lab.ctl, cluster, signer, options);
      case 'add-token':
        return addToken(lab.ctl, certificates[0] ?? signer.certificate, signer, {
          ...options,
          release: cluster.release,
        });
      case 'to-token':
        return toToken(lab.ctl, cluster, certificates, signer, options);
      case 'to-tokenless':
        return toTokenless(lab.ctl, cluster, signer, options);
      case 'to-non-secure':
        return toNonSecure(lab.ctl, signer, options);
    }
  }

  #signer(signer: ListSigner): Signer {
    if (signer.kind === 'token') return this.#tokenOf(signer.certificate.sha1);
    return this.lab.certificates.signer(this.lab.nodes[0]?.name ?? '', signer.name);
  }

  #tokenOf(sha1: string): Signer {
    const token = this.#tokensAtHand.find(({ certificate }) => sha1Of(certificate.der) === sha1);
    if (token === undefined) throw new Error('a token that is not at hand was asked for');
    return token;
  }

  #certificate(sha1: string): Signer['certificate'] {
    return this.#tokenOf(sha1).certificate;
  }

  async close(): Promise<void> {
    await this.#transport.close();
    await this.lab.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

function sha1Of(der: Uint8Array): string {
  return Buffer.from(digestOf('sha1', der)).toString('hex');
}
