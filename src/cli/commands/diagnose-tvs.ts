import { printable } from '../../bytes/index.js';
import { InputError, NetworkError } from '../../errors.js';
import type { TvsEvidence, TvsSignerReply } from '../../migration/index.js';
import { openTvsClient, tvsPort, type SignerNames, type TvsClient } from '../../tvs/index.js';
import { formatEndpoint, parseEndpoint, type Endpoint } from '../endpoint.js';
import type { Output } from '../output.js';
import type { DiagnoseOptions } from './diagnose.js';

/** Who asks, as TVS is told: a phone that no cluster has. */
const device = 'CP-8861-SEP000000000000';

/** @throws InputError `usage` for an address that is none, more than three, or a time that is none */
export function tvsEndpoints({ tvs = [], timeout }: DiagnoseOptions): readonly Endpoint[] {
  secondsOf(timeout);
  if (tvs.length > 3) {
    throw new InputError('usage', `a phone has three TVS servers at most, and ${String(tvs.length)} are given`, {
      hint: 'leave --tvs out for some',
    });
  }
  return tvs.map((text) => parseEndpoint(text, tvsPort));
}

/** Asks each server for each signer. A server that cannot be reached is part of the answer. */
export async function askTvsServers(
  servers: readonly Endpoint[],
  signers: readonly SignerNames[],
  options: DiagnoseOptions,
  output: Output,
): Promise<readonly TvsEvidence[]> {
  const found: TvsEvidence[] = [];
  for (const server of servers) {
    output.progress(found.length, servers.length, 'asking TVS');
    found.push(await askServer(server, signers, options));
  }
  output.progress(servers.length, servers.length, 'asking TVS');
  return found;
}

async function askServer(
  { host, port }: Endpoint,
  signers: readonly SignerNames[],
  { timeout, legacyTls }: DiagnoseOptions,
): Promise<TvsEvidence> {
  const server = formatEndpoint({ host, port });
  let certificate: Uint8Array = new Uint8Array();
  let client: TvsClient;
  try {
    client = await openTvsClient({
      host,
      port,
      device,
      timeout: Math.ceil(secondsOf(timeout) * 1000),
      legacyTls: legacyTls === true,
      acceptServer: (shown) => {
        certificate = Uint8Array.from(shown);
        // Whether a phone would accept it is what the diagnosis says.
        return true;
      },
    });
  } catch (error) {
    if (error instanceof NetworkError) return { kind: 'unreachable', server, reason: error.message };
    throw error;
  }
  try {
    const replies: TvsSignerReply[] = [];
    for (const names of signers) replies.push(await askFor(client, names));
    return { kind: 'answered', server, certificate, replies };
  } finally {
    await client.close();
  }
}

async function askFor(client: TvsClient, names: SignerNames): Promise<TvsSignerReply> {
  const { issuerName, serialNumber } = names;
  try {
    return { issuerName, serialNumber, reply: await client.query(names) };
  } catch (error) {
    if (!(error instanceof NetworkError)) throw error;
    return { issuerName, serialNumber, reply: { status: 'unreachable', reason: error.message } };
  }
}

/** @throws InputError `usage` */
function secondsOf(timeout: string): number {
  const seconds = /^\d+(\.\d+)?$/.test(timeout) ? Number(timeout) : 0;
  if (seconds > 0 && seconds <= 3600) return seconds;
  throw new InputError('usage', `${printable(timeout)} is no time to wait`, {
    hint: 'give --timeout in seconds, e.g. 5',
  });
}
