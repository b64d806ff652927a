import { nodesWith } from '../cluster/index.js';
import {
  bootPhone,
  createPhone,
  type Boot,
  type BootQuestion,
  type BootReply,
  type FileDecision,
  type PhoneState,
  type TvsQuestion,
  type TvsReply,
} from '../phone/index.js';
import type { PhoneGroup } from './situation.js';
import type { StandIns } from './stand-ins.js';
import { answerOfTvs } from './tvs-answer.js';
import { findNode, trialDevice, type ServedCluster, type World } from './world.js';

/** A phone of a trial, which stands for all phones of its group. */
export interface TrialPhone {
  readonly state: PhoneState;
  /** The address of the TFTP server that it asks first; the cluster's first one unless it is known. */
  readonly tftpServer: string | undefined;
  /** The addresses of the TVS servers that its configuration names. */
  readonly tvsServers: readonly string[];
}

/** A phone as it boots, with the lists that stand in for those that it holds. `undefined`: nobody knows its lists. */
export function startPhone(standIns: StandIns, { cluster }: ServedCluster, group: PhoneGroup): TrialPhone | undefined {
  const { ctl, itl, securityByDefault } = group;
  // Addresses outlive the names of nodes.
  const addressOf = (server: string): string => findNode(cluster, server)?.address ?? server;
  const all = nodesWith(cluster, 'TVS').map(({ address }) => address);
  const tvsServers = group.tvsServers.length === 0 ? all : group.tvsServers.map(addressOf);
  const tftpServer = group.tftpServer === undefined ? undefined : addressOf(group.tftpServer);
  if (ctl.kind === 'unknown' || (itl.kind === 'unknown' && securityByDefault)) return undefined;
  const profile = { mac: trialDevice.mac, model: '', securityByDefault, encryptedConfiguration: false };
  const held = {
    ctl: ctl.kind === 'known' ? standIns.heldList(ctl.list) : undefined,
    itl: itl.kind === 'known' ? standIns.heldList(itl.list) : undefined,
    tvsServers,
  };
  return { state: createPhone(profile, held), tftpServer, tvsServers };
}

/** Whether a phone that booted works as it should: it took every list that it was offered, and registers. */
export function works({ decisions, registered }: Boot): boolean {
  return registered && !decisions.some(isRejectedList);
}

/** Whether a phone rejected a list. P2 is one that is not there: nothing was offered. */
export function isRejectedList({ file, decision }: FileDecision): boolean {
  return file.endsWith('.tlv') && !decision.accepted && decision.rule !== 'P2';
}

/** A phone boots from the servers of a trial, by the same steps as any other phone. */
export function bootInWorld(world: World, phone: TrialPhone): Boot & { readonly phone: TrialPhone } {
  const serving = world.hasMoved && world.destination !== undefined ? world.destination : world.source;
  const steps = bootPhone(phone.state, {
    now: world.now,
    readTvsServers: () => tvsServersFor(world, serving, phone),
  });
  let step = steps.next();
  while (step.done !== true) step = steps.next(answer(world, serving, phone, step.value));
  const { decisions, registered, state } = step.value;
  return { decisions, registered, phone: { ...phone, state } };
}

/** Addresses, for names of nodes may be the same in two clusters. */
function tvsServersFor(world: World, serving: ServedCluster, phone: TrialPhone): readonly string[] {
  const all = nodesWith(serving.cluster, 'TVS');
  if (world.hasMoved) return all.map(({ address }) => address);
  const added = all.filter(({ name }) => world.addedTvs.includes(name)).map(({ address }) => address);
  return [...new Set([...phone.tvsServers, ...added])];
}

function answer(world: World, serving: ServedCluster, phone: TrialPhone, asked: BootQuestion): BootReply {
  if (asked.kind === 'file') return { kind: 'file', file: fileOf(serving, phone, asked.name) };
  return { kind: 'tvs', reply: askTvs(world, asked.question, asked.state) };
}

function fileOf(
  serving: ServedCluster,
  { tftpServer }: TrialPhone,
  name: string,
): Extract<BootReply, { kind: 'file' }>['file'] {
  const nodes = nodesWith(serving.cluster, 'TFTP');
  const named = tftpServer === undefined ? undefined : findNode(serving.cluster, tftpServer)?.name;
  const node = nodes.some((one) => one.name === named) ? named : nodes[0]?.name;
  if (node === undefined) return undefined;
  if (name === 'CTLFile.tlv') return serving.ctl;
  if (name === 'ITLFile.tlv') return serving.itls[node];
  if (name === `${trialDevice.name}.cnf.xml.sgn`) return serving.configurations[node];
  return name === `${trialDevice.name}.cnf.xml` ? new Uint8Array() : undefined;
}

/** Phones still ask the TVS servers of their old configuration when they first come to another cluster. */
function askTvs({ source, destination }: World, question: TvsQuestion, state: PhoneState): TvsReply {
  const isOfSource = findNode(source.cluster, question.server) !== undefined;
  return answerOfTvs(isOfSource || destination === undefined ? source : destination, question, state);
}
