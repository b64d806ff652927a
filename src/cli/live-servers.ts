import { equalBytes, printable } from '../bytes/index.js';
import { nodesWith, type Cluster, type ClusterNode } from '../cluster/index.js';
import { InputError, NetworkError } from '../errors.js';
import type { Plan } from '../migration/index.js';
import { fetchFile, tftpPort } from '../tftp/index.js';
import { openTvsClient, tvsPort, type TvsClient } from '../tvs/index.js';
import { formatEndpoint, parseEndpoint, type Endpoint } from './endpoint.js';
import { sha1Of } from './migration-work.js';

/** Where the servers of a cluster are, when not at the addresses of the cluster file. */
export interface AddressOptions {
  /** `NODE=HOST[:PORT]` each. */
  readonly tftp?: readonly string[];
  readonly tvs?: readonly string[];
}

/** The longest list that is fetched, in bytes: phones load no more than 65,535. */
const longestList = 1024 * 1024;

/** The TFTP and TVS servers of a cluster as they are now. */
export class LiveServers {
  readonly #cluster: () => Cluster;
  readonly #names: NodeNames;
  readonly #tftp: ReadonlyMap<string, Endpoint>;
  readonly #tvs: ReadonlyMap<string, Endpoint>;

  /**
   * @param cluster the cluster as its file describes it at the moment.
   * @param names under which a node is known before and after it is renamed.
   * @throws InputError `usage` for an address that is none
   */
  constructor(cluster: () => Cluster, options: AddressOptions, names: NodeNames) {
    this.#cluster = cluster;
    this.#names = names;
    this.#tftp = readByNode('--tftp', options.tftp ?? [], (text) => parseEndpoint(text, tftpPort), undefined, names);
    this.#tvs = readByNode('--tvs', options.tvs ?? [], (text) => parseEndpoint(text, tvsPort), undefined, names);
    for (const node of this.#tftp.keys()) requireNode(cluster(), '--tftp', node, names);
    for (const node of this.#tvs.keys()) requireNode(cluster(), '--tvs', node, names);
  }

  /** Where the TFTP server of a node is, as it is shown. */
  tftpName(node: string): string {
    return `the TFTP server of ${printable(node)} (${formatEndpoint(this.#tftpAddress(node))})`;
  }

  /** Where the TVS server of a node is, as it is shown. */
  tvsName(node: string): string {
    return `the TVS server of ${printable(node)} (${formatEndpoint(this.#tvsAddress(node))})`;
  }

  /**
   * A file as the TFTP server of a node serves it; `undefined` when it says that it has none.
   *
   * @throws NetworkError `unreachable`, `timeout`, and the other failures of TFTP, naming the node
   */
  async fetch(node: string, file: string): Promise<Uint8Array | undefined> {
    try {
      return await fetchFile({ ...this.#tftpAddress(node), name: file, maxLength: longestList });
    } catch (error) {
      if (!(error instanceof NetworkError)) throw error;
      if (error.code === 'file-not-found') return undefined;
      throw new NetworkError(error.code, `${this.tftpName(node)} could not be asked for ${file}: ${error.message}`, {
        hint: `check that TFTP runs there, or say where it is with --tftp ${node}=HOST[:PORT]`,
        cause: error,
      });
    }
  }

  /**
   * Asks the TVS server of a node, which must show the certificate that the cluster file has for it.
   *
   * @throws NetworkError `not-as-expected` when it shows another; `unreachable`, `timeout`, `malformed`
   */
  async ask<Answer>(node: string, question: (client: TvsClient) => Promise<Answer>): Promise<Answer> {
    const expected = this.#node(node)?.certificates.TVS;
    let shown: Uint8Array = new Uint8Array();
    let client: TvsClient | undefined;
    try {
      client = await openTvsClient({
        ...this.#tvsAddress(node),
        device: 'etoken-bridge',
        acceptServer: (certificate) => {
          shown = certificate;
          return expected === undefined || equalBytes(certificate, expected.der);
        },
      });
      return await question(client);
    } catch (error) {
      if (!(error instanceof NetworkError)) throw error;
      if (error.code === 'not-accepted' && expected !== undefined) {
        throw new NetworkError(
          'not-as-expected',
          `${this.tvsName(node)} shows a certificate with SHA-1 ${sha1Of(shown)}; the cluster file has ${sha1Of(expected.der)} for its TVS`,
          { hint: 'check the address, and the TVS certificate of the node in the cluster file', cause: error },
        );
      }
      throw new NetworkError(error.code, `${this.tvsName(node)} could not be asked: ${error.message}`, {
        hint: `check that TVS runs there, or say where it is with --tvs ${node}=HOST[:PORT]`,
        cause: error,
      });
    } finally {
      await client?.close();
    }
  }

  #node(name: string): ClusterNode | undefined {
    const { nodes } = this.#cluster();
    const first = this.#names.first(name);
    return nodes.find((node) => node.name === name) ?? nodes.find((node) => this.#names.first(node.name) === first);
  }

  #tftpAddress(node: string): Endpoint {
    return this.#tftp.get(this.#names.first(node)) ?? { host: this.#addressOf(node), port: tftpPort };
  }

  #tvsAddress(node: string): Endpoint {
    return this.#tvs.get(this.#names.first(node)) ?? { host: this.#addressOf(node), port: tvsPort };
  }

  #addressOf(name: string): string {
    const node = this.#node(name);
    if (node !== undefined) return node.address;
    throw new InputError('usage', `the cluster file has no node ${printable(name)}, which the plan speaks of`, {
      hint: 'give the cluster file that the plan was made for',
    });
  }
}

/** The names of nodes that a plan renames: a server keeps its address, and options may name it by either. */
export class NodeNames {
  readonly #former: ReadonlyMap<string, string>;

  constructor(plan: Pick<Plan, 'steps'>) {
    const renamings = plan.steps.flatMap(({ action }) => (action.kind === 'rename' ? [action] : []));
    this.#former = new Map(renamings.map(({ node, name }) => [name, node]));
  }

  /** The name that a node has at the beginning of the plan. */
  first(name: string): string {
    const seen = new Set<string>();
    let first = name;
    for (let former = this.#former.get(first); former !== undefined && !seen.has(former);) {
      seen.add(former);
      first = former;
      former = this.#former.get(first);
    }
    return first;
  }
}

/** The names of the nodes whose TFTP servers phones ask. */
export function tftpNodeNames(cluster: Cluster): readonly string[] {
  return nodesWith(cluster, 'TFTP').map(({ name }) => name);
}

/**
 * Reads `NODE=VALUE` as often as it is given.
 *
 * @returns by the first name of each node.
 * @throws InputError `usage`
 */
export function readByNode<Value>(
  option: string,
  texts: readonly string[],
  read: (text: string) => Value,
  form: string = option === '--tftp-folder' ? 'FOLDER' : 'HOST[:PORT]',
  names: NodeNames = new NodeNames({ steps: [] }),
): ReadonlyMap<string, Value> {
  const values = new Map<string, Value>();
  for (const text of texts) {
    const [, node, value] = /^([^=]+)=(.+)$/.exec(text) ?? [];
    if (node === undefined || value === undefined) {
      throw new InputError('usage', `${option} ${printable(text)} does not name a node`, {
        hint: `write ${option} NODE=${form}, with the name of the node in the cluster file`,
      });
    }
    if (values.has(names.first(node))) {
      throw new InputError('usage', `${option} names ${printable(node)} twice`, { hint: 'give each node once' });
    }
    values.set(names.first(node), read(value));
  }
  return values;
}

/** @throws InputError `usage` for a node that the cluster file does not have */
export function requireNode(
  cluster: Cluster,
  option: string,
  node: string,
  nodeNames: NodeNames = new NodeNames({ steps: [] }),
): void {
  if (cluster.nodes.some(({ name }) => nodeNames.first(name) === nodeNames.first(node))) return;
  const names = cluster.nodes.map(({ name }) => printable(name)).join(', ');
  throw new InputError('usage', `${option} names ${printable(node)}, which is no node of the cluster file`, {
    hint: `its nodes are ${names}`,
  });
}
