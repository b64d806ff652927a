import { join } from 'node:path';
import type { Boot, HeldFiles, PhoneProfile } from '../phone/index.js';
import type { Signer } from '../signer/index.js';
import { createLabToken } from './certificates.js';
import { Lab } from './lab.js';
import type { LabPhone } from './phone.js';
import type { LabRequest } from './request.js';
import type { TftpAddress } from '../tftp/index.js';
import { socketTransport } from './transport.js';

/** What a phone did in a scene. */
export interface PhoneInScene {
  readonly phone: string;
  readonly boot: Boot;
}

/** One step of a story: what was done before, and what each phone then decided. */
export interface Scene {
  readonly title: string;
  readonly phones: readonly PhoneInScene[];
}

/** A story of the tech notes, told with real servers and virtual phones. */
export interface Story {
  readonly name: string;
  /** What it shows, in one sentence. */
  readonly summary: string;
  readonly tell: (stage: Stage) => Promise<void>;
}

/** How a story is told. */
export interface StageRequest {
  /** The folder for the keys, certificates and files of its labs. */
  readonly directory: string;
  /** The moment at which it begins. */
  readonly start: Date;
  readonly keyBits?: 1024 | 2048 | 4096;
  /** Told each scene when it has happened. */
  readonly onScene?: (scene: Scene) => void;
  /** Told what the labs do. */
  readonly log?: (line: string) => void;
}

const publisher = {
  name: 'cucm-pub',
  address: '192.0.2.10',
  services: ['CallManager', 'TFTP', 'CAPF', 'TVS'],
} as const;
const subscriber = { name: 'cucm-sub', address: '192.0.2.11', services: ['CallManager', 'TFTP', 'TVS'] } as const;

/** Between two steps, in milliseconds: certificates of one node must not be renewed within five minutes (A11). */
const pace = 600_000;

/** Where a story is told: its clock, its labs and its phones. */
export class Stage {
  readonly scenes: Scene[] = [];
  readonly #request: StageRequest;
  readonly #labs: Lab[] = [];
  readonly #phones = new Map<LabPhone, { readonly name: string; readonly lab: Lab }>();
  #now: number;

  constructor(request: StageRequest) {
    this.#request = request;
    this.#now = request.start.getTime();
  }

  /** Starts a cluster with one node or two. */
  async startLab(nodes: 1 | 2 = 1, more: Pick<LabRequest, 'release'> = {}): Promise<Lab> {
    const { directory, keyBits = 2048, log } = this.#request;
    const lab = await Lab.start({
      directory: join(directory, `cluster-${String(this.#labs.length + 1)}`),
      nodes: nodes === 1 ? [publisher] : [publisher, subscriber],
      keyBits,
      clock: () => new Date(this.#now),
      ...more,
      ...(log === undefined ? {} : { log }),
    });
    this.#labs.push(lab);
    return lab;
  }

  /** A token, as a signer: its key is in memory. */
  makeToken(serial: string): Promise<Signer> {
    return createLabToken(serial, new Date(this.#now), this.#request.keyBits === 1024 ? 1024 : 2048);
  }

  /** A phone of a cluster. @param name what the story calls it. */
  async addPhone(
    lab: Lab,
    name: string,
    profile: Partial<Pick<PhoneProfile, 'securityByDefault' | 'encryptedConfiguration'>> = {},
    held: HeldFiles = {},
  ): Promise<LabPhone> {
    const mac = (0x00_00_5e_00_53_01 + this.#phones.size).toString(16).padStart(12, '0').toUpperCase();
    const full = { mac, model: 'CP-8861', securityByDefault: true, encryptedConfiguration: false, ...profile };
    const phone = await lab.addPhone(full, held);
    this.#phones.set(phone, { name, lab });
    return phone;
  }

  /** Takes a phone to another cluster. */
  async movePhone(phone: LabPhone, lab: Lab): Promise<void> {
    const name = this.#phones.get(phone)?.name ?? phone.deviceName;
    await lab.adopt(phone);
    this.#phones.set(phone, { name, lab });
  }

  /** Time passes, and all phones boot, each with sockets of its own. @param title what was done before. */
  async boot(title: string, from?: TftpAddress): Promise<Scene> {
    this.#now += pace;
    const phones: PhoneInScene[] = [];
    for (const [phone, { name, lab }] of this.#phones) {
      const server = from ?? lab.nodes.map(({ tftp }) => tftp).find((address) => address !== undefined);
      if (server === undefined) throw new Error('no TFTP server runs in this lab');
      const transport = socketTransport(server);
      try {
        phones.push({ phone: name, boot: await phone.boot(transport) });
      } finally {
        await transport.close();
      }
    }
    const scene = { title, phones };
    this.scenes.push(scene);
    this.#request.onScene?.(scene);
    return scene;
  }

  async close(): Promise<void> {
    await Promise.all(this.#labs.map((lab) => lab.close()));
  }
}

/** Tells a story from beginning to end. @returns its scenes. */
export async function tellStory(story: Story, request: StageRequest): Promise<readonly Scene[]> {
  const stage = new Stage(request);
  try {
    await story.tell(stage);
    return stage.scenes;
  } finally {
    await stage.close();
  }
}
