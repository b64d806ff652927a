import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { printable } from '../../bytes/index.js';
import { InputError } from '../../errors.js';
import {
  createLabToken,
  Lab,
  socketTransport,
  stories,
  tellStory,
  type PhoneInScene,
  type Scene,
  type Story,
} from '../../lab/index.js';
import { formatEndpoint, parseWhole } from '../endpoint.js';
import { exitCode, Interrupted } from '../exit-code.js';
import { formatTable, type Output } from '../output.js';
import { untilStopped } from '../until-stopped.js';
import { describeDecision, formatDecision } from '../virtual-phone.js';
import type { LabOptions } from './lab.js';

/** `lab`: lists the stories, tells one, or starts a cluster. */
export async function runLab(options: LabOptions, output: Output): Promise<number> {
  if (options.stories === true) {
    output.result(
      formatTable(
        ['STORY', 'WHAT IT SHOWS'],
        stories.map(({ name, summary }) => [name, summary]),
      ),
      stories.map(({ name, summary }) => ({ name, summary })),
    );
    return exitCode.done;
  }
  const story = options.story === undefined ? undefined : findStory(options.story);
  // From here on, a signal ends the lab step by step: a folder for this run holds private keys, and must not stay.
  const stop = new AbortController();
  void untilStopped().then(() => stop.abort(new Interrupted('interrupted')));
  const directory = options.dir ?? (await mkdtemp(join(tmpdir(), 'etoken-bridge-lab-')));
  try {
    if (story === undefined) await serveLab(directory, options, output, stop.signal);
    else await showStory(story, directory, options, output, stop.signal);
  } finally {
    if (options.dir === undefined) await rm(directory, { recursive: true, force: true });
  }
  return exitCode.done;
}

function findStory(name: string): Story {
  const story = stories.find((one) => one.name === name);
  if (story !== undefined) return story;
  throw new InputError('usage', `there is no story ${printable(name)}`, { hint: '"lab --stories" lists them' });
}

async function showStory(
  story: Story,
  directory: string,
  options: LabOptions,
  output: Output,
  stop: AbortSignal,
): Promise<void> {
  const scenes = await tellStory(story, {
    directory,
    start: new Date(),
    keyBits: Number(options.keyBits) as 1024 | 2048 | 4096,
    onScene: () => stop.throwIfAborted(),
    ...(options.log === true ? { log: (line: string): void => output.note(line) } : {}),
  });
  const text = scenes.map((scene, index) => `${String(index + 1)}. ${formatScene(scene)}`);
  output.result(`${story.summary}\n\n${text.join('\n')}`, {
    story: story.name,
    summary: story.summary,
    scenes: scenes.map(({ title, phones }) => ({ title, phones: phones.map(describePhone) })),
  });
}

function formatScene({ title, phones }: Scene): string {
  return `${title}\n${phones.map(formatPhone).join('')}`;
}

function formatPhone({ phone, boot }: PhoneInScene): string {
  const lines = boot.decisions.map(({ file, decision }) => `     ${formatDecision(file, decision)}`);
  return `   ${phone}: ${boot.registered ? 'registers' : 'IS STUCK'}\n${lines.join('')}`;
}

function describePhone({ phone, boot }: PhoneInScene): object {
  const decisions = boot.decisions.map(({ file, decision }) => describeDecision(file, decision));
  return { phone, registered: boot.registered, decisions };
}

async function serveLab(directory: string, options: LabOptions, output: Output, stop: AbortSignal): Promise<void> {
  const phones = parseWhole(options.phones, '--phones', 0, 10_000);
  const lab = await startLab(directory, options, output);
  try {
    const booted: PhoneInScene[] = [];
    for (let index = 0; index < phones; index += 1) {
      stop.throwIfAborted();
      booted.push(await bootOne(lab, index, options, output));
      output.progress(booted.length, phones, 'phones');
    }
    const servers = lab.nodes.map(({ name, folder, tftp, tvs }) => ({ node: name, folder, tftp, tvs }));
    const lines = servers.map(
      ({ node, folder, tftp, tvs }) =>
        `${node}: TFTP ${tftp === undefined ? 'off' : formatEndpoint(tftp)}, TVS ${tvs === undefined ? 'off' : formatEndpoint(tvs)}, serves ${printable(folder)}\n`,
    );
    output.result([...lines, ...booted.map(formatPhone)].join(''), { servers, phones: booted.map(describePhone) });
    if (options.once === true) return;
    output.note('the servers run until they are interrupted (Ctrl-C)');
    if (!stop.aborted) await once(stop, 'abort');
  } finally {
    await lab.close();
  }
}

async function startLab(directory: string, options: LabOptions, output: Output): Promise<Lab> {
  const nodes = Array.from({ length: parseWhole(options.nodes, '--nodes', 1, 20) }, (_, index) => ({
    name: index === 0 ? 'cucm-pub' : `cucm-sub${String(index)}`,
    // Of documents (RFC 5737): what listens on this machine is not at the address of any real node.
    address: `192.0.2.${String(10 + index)}`,
    services:
      index === 0 ? (['CallManager', 'TFTP', 'CAPF', 'TVS'] as const) : (['CallManager', 'TFTP', 'TVS'] as const),
  }));
  const lab = await Lab.start({
    directory,
    release: options.release,
    nodes,
    keyBits: Number(options.keyBits) as 1024 | 2048 | 4096,
    clock: () => new Date(),
    host: options.host,
    tftpPort: parseWhole(options.tftpPort, '--tftp-port', 0, 65_535),
    tvsPort: parseWhole(options.tvsPort, '--tvs-port', 0, 65_535),
    log: (line) => output.note(line),
  });
  const serials = options.clusterMode === 'token' ? ['0054f509', '008580ef'] : [];
  const tokens = await Promise.all(
    serials.map((serial) => createLabToken(serial, new Date(), options.keyBits === '1024' ? 1024 : 2048)),
  );
  if (options.clusterMode !== 'non-secure') await lab.toMixedMode(tokens);
  return lab;
}

async function bootOne(lab: Lab, index: number, options: LabOptions, output: Output): Promise<PhoneInScene> {
  const mac = (0x00_00_5e_00_53_01 + index).toString(16).padStart(12, '0').toUpperCase();
  const profile = { mac, model: 'CP-8861', securityByDefault: true, encryptedConfiguration: false };
  const write = (line: string): void => output.note(`SEP${mac} ${line}`);
  const phone = await lab.addPhone(profile, {}, options.log === true ? write : undefined);
  const tftp = lab.nodes[index % lab.nodes.length]?.tftp;
  if (tftp === undefined) throw new InputError('usage', 'no TFTP server runs');
  const transport = socketTransport(tftp);
  try {
    return { phone: phone.deviceName, boot: await phone.boot(transport) };
  } finally {
    await transport.close();
  }
}
