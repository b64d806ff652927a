import { FormatError } from '../errors.js';
import { encryptFile, formatCompanion, parseXml, signFile, type XmlElement } from '../signed-file/index.js';
import type { Signer } from '../signer/index.js';
import type { Certificate } from '../x509/index.js';

/**
 * The configuration of a lab's phones: as much of a real one as a phone's trust depends on, in the elements that
 * clusters use. Reading it takes just these elements out of any configuration.
 */

/** Where a TVS server is reached. */
export interface TvsAddress {
  readonly host: string;
  readonly port: number;
}

/** Phones hold no more TVS servers than this (phone-rules.md). */
const mostServers = 3;

/** @param secure whether the phone encrypts its signalling. */
export function formatConfiguration(deviceName: string, tvs: readonly TvsAddress[], secure: boolean): Uint8Array {
  const members = tvs
    .slice(0, mostServers)
    .map(
      ({ host, port }, index) =>
        `<member priority="${String(index)}"><port>${String(port)}</port><address>${host}</address></member>`,
    );
  const lines = [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<device>',
    '<fullConfig>true</fullConfig>',
    `<deviceName>${deviceName}</deviceName>`,
    `<deviceSecurityMode>${secure ? '3' : '1'}</deviceSecurityMode>`,
    '<ipAddressMode>0</ipAddressMode>',
    '<capfAuthMode>0</capfAuthMode>',
    `<tvs><members>${members.join('')}</members></tvs>`,
    '</device>',
  ];
  return new TextEncoder().encode(`${lines.join('\n')}\n`);
}

/** The TVS servers that a configuration names, `host:port`, at most three; none when it names none, or is no XML. */
export function parseTvsServers(configuration: Uint8Array): readonly string[] {
  const members = elementsNamed('tvs', rootOf(configuration))
    .slice(0, 1)
    .flatMap((tvs) => elementsNamed('member', tvs));
  return members.flatMap((member) => serverOf(member) ?? []).slice(0, mostServers);
}

function rootOf(configuration: Uint8Array): XmlElement | undefined {
  try {
    return parseXml(configuration);
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

/** The elements of a name, at any depth, in their order. None is looked for inside another. */
function elementsNamed(name: string, root: XmlElement | undefined): readonly XmlElement[] {
  const found: XmlElement[] = [];
  const waiting = root === undefined ? [] : [root];
  for (let element = waiting.pop(); element !== undefined; element = waiting.pop()) {
    if (element.name === name) found.push(element);
    else waiting.push(...element.children.toReversed());
  }
  return found;
}

function serverOf(member: XmlElement): string | undefined {
  const textOf = (name: string): string | undefined =>
    member.children.find((child) => child.name === name)?.text.trim();
  const host = textOf('address');
  const port = textOf('port') ?? '2445';
  if (host === undefined || !/^[^\s]+$/.test(host) || !/^\d+$/.test(port)) return undefined;
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** A configuration that is to be served. */
export interface ServedConfiguration {
  readonly deviceName: string;
  readonly content: Uint8Array;
  readonly signer: Signer;
  /** Seconds since 1970-01-01 UTC. */
  readonly timestamp: number;
  /** What it is encrypted for: the certificate of the phone. Signed only unless given. */
  readonly encryptedFor: Certificate | undefined;
}

/**
 * The files of a phone's configuration by name: plain and signed; or encrypted, with its companion, and then nothing
 * that anybody could read.
 */
export async function configurationFiles(request: ServedConfiguration): Promise<ReadonlyMap<string, Uint8Array>> {
  const { content, signer, timestamp, encryptedFor } = request;
  const name = `${request.deviceName}.cnf.xml`;
  const options = { name, timestamp };
  if (encryptedFor === undefined) {
    return new Map([
      [name, content],
      [`${name}.sgn`, await signFile(content, options, signer)],
    ]);
  }
  return new Map([
    [`${name}.enc.sgn`, await encryptFile(content, options, encryptedFor, signer)],
    [`${name}.sgn`, await signFile(formatCompanion(content, encryptedFor), options, signer)],
  ]);
}
