import { createHash } from 'node:crypto';
import { equalBytes, formatHex, printable } from '../../bytes/index.js';
import { InputError } from '../../errors.js';
import { formatFunction } from '../../trust-list/index.js';
import {
  openTvsClient,
  tvsPort,
  type SignerNames,
  type TvsClient,
  type TvsGrant,
  type TvsRefusal,
} from '../../tvs/index.js';
import { decodeCertificate, formatClusterName, formatName, type Certificate } from '../../x509/index.js';
import { readCertificate } from '../certificates.js';
import { exitCode } from '../exit-code.js';
import type { Output } from '../output.js';
import { formatEndpoint, parseEndpoint } from '../endpoint.js';
import type { TvsAskOptions } from './tvs.js';
import { loadTrustList } from './trust-list.js';

/** `tvs query`. */
export async function queryTvs(server: string, options: TvsAskOptions, output: Output): Promise<number> {
  const names = await wantedSigner(options);
  const { answer, shown } = await ask(server, options, output, (client) => client.query(names));
  const certificate = answer.status === 'success' ? describeCertificate(answer.certificate) : undefined;
  const asked = `${printable(names.subjectName)}, serial ${formatHex(names.serialNumber, ':').toUpperCase()}`;
  const lines = [
    `${asked}: ${formatAnswer(answer)}`,
    ...(certificate === undefined
      ? []
      : [
          `  subject  ${printable(certificate.subject)}`,
          `  issuer   ${printable(certificate.issuer)}`,
          `  serial   ${certificate.serialNumber}`,
          `  SHA-1    ${certificate.sha1}`,
        ]),
  ];
  output.result(`${lines.join('\n')}\n`, {
    server: shown,
    subjectName: names.subjectName,
    issuerName: names.issuerName,
    serialNumber: formatHex(names.serialNumber),
    ...describeAnswer(answer),
    certificate: certificate ?? null,
  });
  return answer.status === 'success' ? exitCode.done : exitCode.no;
}

/** `tvs verify`. */
export async function verifyByTvs(
  server: string,
  path: string,
  options: TvsAskOptions,
  output: Output,
): Promise<number> {
  const { der } = await readCertificate(path);
  const { answer, shown } = await ask(server, options, output, (client) => client.verify(der));
  const document = { server: shown, path, ...describeAnswer(answer) };
  output.result(`${printable(path)}: ${formatAnswer(answer)}\n`, document);
  return answer.status === 'success' ? exitCode.done : exitCode.no;
}

/** @throws InputError `usage` unless one of --certificate and --list is given */
async function wantedSigner({ certificate, list }: TvsAskOptions): Promise<SignerNames> {
  if (list !== undefined && certificate === undefined) {
    const { header } = await loadTrustList(list);
    return { subjectName: header.signerName, issuerName: header.issuerName, serialNumber: header.serialNumber };
  }
  if (certificate !== undefined && list === undefined) {
    const { subject, issuer, serialNumber } = await readCertificate(certificate);
    return { subjectName: formatClusterName(subject), issuerName: formatClusterName(issuer), serialNumber };
  }
  throw new InputError('usage', 'the signer to ask for is wanted', {
    hint: 'give one of --certificate FILE and --list FILE',
  });
}

/** Asks one question. Without --server-certificate whoever answers is believed, and it is said so. */
async function ask<Answer>(
  server: string,
  options: TvsAskOptions,
  output: Output,
  question: (client: TvsClient) => Promise<Answer>,
): Promise<{ answer: Answer; shown: object }> {
  const { host, port } = parseEndpoint(server, tvsPort);
  const seconds = /^\d+(\.\d+)?$/.test(options.timeout) ? Number(options.timeout) : 0;
  if (seconds <= 0 || seconds > 3600) {
    throw new InputError('usage', `${printable(options.timeout)} is no time to wait`, {
      hint: 'give --timeout in seconds, e.g. 5',
    });
  }
  const expected =
    options.serverCertificate === undefined ? undefined : await readCertificate(options.serverCertificate);
  let shown: Uint8Array = new Uint8Array();
  const client = await openTvsClient({
    host,
    port,
    device: options.device,
    timeout: Math.ceil(seconds * 1000),
    legacyTls: options.legacyTls === true,
    acceptServer: (certificate) => {
      shown = certificate;
      return expected === undefined || equalBytes(certificate, expected.der);
    },
  });
  try {
    const sha1 = digestOf(shown);
    if (expected === undefined) {
      output.note(
        `the server was not checked; its certificate has SHA-1 ${sha1} (--server-certificate FILE checks it)`,
      );
    }
    const document = {
      address: formatEndpoint({ host, port }),
      certificateSha1: sha1,
      checked: expected !== undefined,
    };
    return { answer: await question(client), shown: document };
  } finally {
    await client.close();
  }
}

function formatAnswer(answer: TvsGrant | TvsRefusal): string {
  if (answer.status === 'not-trusted') return 'not trusted';
  const roles = answer.roles.map((role) => `${formatFunction(role)} (${role})`).join(', ');
  return `trusted for ${answer.timeToLive} seconds, roles: ${roles === '' ? 'none' : roles}`;
}

function describeAnswer(answer: TvsGrant | TvsRefusal): object {
  if (answer.status === 'not-trusted') return { trusted: false, roles: [], roleNames: [], timeToLive: null };
  const { roles, timeToLive } = answer;
  return { trusted: true, roles, roleNames: roles.map(formatFunction), timeToLive };
}

interface CertificateView {
  readonly subject: string;
  readonly issuer: string;
  readonly serialNumber: string;
  readonly sha1: string;
}

function describeCertificate(der: Uint8Array): CertificateView {
  const certificate: Certificate = decodeCertificate(der);
  return {
    subject: formatName(certificate.subject),
    issuer: formatName(certificate.issuer),
    serialNumber: formatHex(certificate.serialNumber, ':').toUpperCase(),
    sha1: digestOf(der),
  };
}

function digestOf(der: Uint8Array): string {
  return formatHex(createHash('sha1').update(der).digest(), ':').toUpperCase();
}
