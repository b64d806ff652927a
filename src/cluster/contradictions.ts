import { certificateNames, certificateOfService, services, type CertificateName, type Service } from './cluster.js';
import { canonicalAddress } from './entries.js';
import type { ClusterProblem, ClusterProblemCode, Place } from './problem.js';
import { quoted } from './quoted.js';
import { readNodes, type ReadNode } from './readable-entries.js';
import type { YamlText } from './yaml-text.js';

/**
 * What is wrong between entries that are each right: names and addresses given twice, a service without its
 * certificate, a key without its certificate, a cluster without CallManager. Works on whatever could be read, so that one
 * run tells of everything.
 *
 * @param misspelt key paths that are missing only because they are misspelt.
 */
export function findContradictions(yaml: YamlText, misspelt: ReadonlySet<string>): readonly ClusterProblem[] {
  const nodes = readNodes(yaml.value);
  const report: Report = (code, keyPath, message, hint, place) => ({
    code,
    ...(place ?? yaml.placeOf(keyPath) ?? { line: 1, column: 1 }),
    keyPath,
    message,
    hint,
  });
  return [
    ...findTwice(nodes, 'name', (name) => name.toLowerCase(), report),
    ...findTwice(nodes, 'address', (address) => canonicalAddress(address) ?? address, report),
    ...nodes.flatMap((node) => findRepeatedServices(node, report)),
    ...nodes.flatMap((node) => findMissingCertificates(node, yaml, misspelt, report)),
    ...nodes.flatMap((node) => findKeysWithoutCertificate(node, yaml, misspelt, report)),
    ...findMissingCallManager(nodes, yaml, report),
  ];
}

type Report = (
  code: ClusterProblemCode,
  keyPath: string,
  message: string,
  hint: string,
  place?: Place,
) => ClusterProblem;

function findTwice(
  nodes: readonly ReadNode[],
  key: 'name' | 'address',
  canonical: (text: string) => string,
  report: Report,
): ClusterProblem[] {
  const firsts = new Map<string, string>();
  return nodes.flatMap((node) => {
    const text = node[key];
    if (text === undefined) return [];
    const first = firsts.get(canonical(text));
    if (first === undefined) {
      firsts.set(canonical(text), node.keyPath);
      return [];
    }
    const message = `${quoted(text)} is already the ${key} of ${first}`;
    return [report('duplicate', `${node.keyPath}.${key}`, message, `give each node its own ${key}`)];
  });
}

function findRepeatedServices(node: ReadNode, report: Report): ClusterProblem[] {
  const names = node.services ?? [];
  return names.flatMap((name, index) => {
    if (names.indexOf(name) === index) return [];
    const message = `${quoted(name)} stands in this list twice`;
    return [report('duplicate', `${node.keyPath}.services[${index}]`, message, 'name each service once')];
  });
}

function findMissingCertificates(
  node: ReadNode,
  yaml: YamlText,
  misspelt: ReadonlySet<string>,
  report: Report,
): ClusterProblem[] {
  const { keyPath, certificates } = node;
  const missed = `${keyPath}.certificates`;
  if (certificates === undefined || misspelt.has(missed)) return [];
  const needs = (node.services ?? [])
    .filter(isService)
    .map((service) => [service, certificateOfService[service]] as const);
  const missing = needs.filter(([, name]) => !(name in certificates) && !misspelt.has(`${missed}.${name}`));
  if (missing.length === 0) return [];
  const words = missing.map(([service, name]) => (service === name ? service : `${service} (the one of ${name})`));
  const message = `the node runs services without a certificate for them: ${words.join(', ')}`;
  const names = [...new Set(missing.map(([, name]) => name))];
  const hint = `add ${names.map((name) => `${name}: <certificate file>`).join(' and ')}, or take the services out`;
  const place = yaml.placeOfKey(missed) ?? yaml.placeOf(keyPath);
  return [report('missing-certificate', missed, message, hint, place)];
}

function findKeysWithoutCertificate(
  node: ReadNode,
  yaml: YamlText,
  misspelt: ReadonlySet<string>,
  report: Report,
): ClusterProblem[] {
  const { keyPath, certificates, keys } = node;
  if (certificates === undefined || keys === undefined || misspelt.has(`${keyPath}.certificates`)) return [];
  return Object.keys(keys).flatMap((name) => {
    const known = (certificateNames as readonly string[]).includes(name);
    if (!known || name in certificates || misspelt.has(`${keyPath}.certificates.${name}`)) return [];
    const message = `there is a key for ${name}, but no certificate that it belongs to`;
    const hint = `add ${name}: <certificate file> below certificates, or take the key out`;
    const place = yaml.placeOfKey(`${keyPath}.keys.${name}`);
    return [report('key-without-certificate', `${keyPath}.keys.${name}`, message, hint, place)];
  });
}

function findMissingCallManager(nodes: readonly ReadNode[], yaml: YamlText, report: Report): ClusterProblem[] {
  // Not while some service could not be read: that one may be the CallManager.
  const certain = nodes.every((node) => node.services?.every(isService) === true);
  if (nodes.length === 0 || !certain) return [];
  if (nodes.some((node) => node.services?.includes('CallManager'))) return [];
  const message = 'no node runs the service CallManager, so there is no cluster for phones to register with';
  const hint = 'add CallManager to the services of the nodes that run it';
  return [report('no-callmanager', 'nodes', message, hint, yaml.placeOfKey('nodes'))];
}

function isService(name: string): name is Service {
  return (services as readonly string[]).includes(name);
}

/** The certificates that a node with these services needs, each once. */
export function certificatesFor(nodeServices: readonly Service[]): readonly CertificateName[] {
  const needed = new Set(nodeServices.map((service) => certificateOfService[service]));
  return certificateNames.filter((name) => needed.has(name));
}
