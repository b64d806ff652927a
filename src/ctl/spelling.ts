import { equalBytes, formatHex } from '../bytes/index.js';
import type { ClusterNode } from '../cluster/index.js';
import { InputError } from '../errors.js';
import { clusterIdentity } from '../signed-file/index.js';
import { encodeText } from '../tlv/index.js';
import { commonName, formatClusterName, formatTokenName, type Certificate } from '../x509/index.js';
import { describeCertificate } from './checks.js';
import type { CertificateSpelling } from './present.js';

/** Whose tokens the CTL client knows: their serials are written reversed (trust-list-format.md, Serial numbers). */
const manufacturingAuthority = 'Cisco Manufacturing CA';

/**
 * How a certificate that is new to a list is spelled: as clusters spell that of a node, as the CTL client spells a
 * token.
 *
 * @throws InputError `cluster-file` (a node's), `usage` (a token's) for names by which phones could not find it.
 */
export function freshSpelling(certificate: Certificate, node: ClusterNode | undefined): CertificateSpelling {
  requireNames(certificate, node);
  return node === undefined ? tokenSpelling(certificate) : clusterSpelling(certificate);
}

/** How the CTL client spells a token that is new to a list. */
function tokenSpelling(certificate: Certificate): CertificateSpelling {
  const isVendors = commonName(certificate.issuer) === manufacturingAuthority;
  return {
    subjectName: encodeText(formatTokenName(certificate.subject)),
    issuerName: encodeText(formatTokenName(certificate.issuer)),
    serialNumber: isVendors ? certificate.serialNumber.slice().reverse() : certificate.serialNumber,
  };
}

/** How a cluster spells a certificate in its ITL, and how TVS knows it. */
export function clusterSpelling(certificate: Certificate): CertificateSpelling {
  const { signerName: subjectName, issuerName, serialNumber } = clusterIdentity(certificate);
  return { subjectName, issuerName, serialNumber };
}

/** What a node calls one of its certificates. */
export function certificateName(certificate: Certificate, node: ClusterNode): string {
  const named = Object.entries(node.certificates).find(([, { der }]) => equalBytes(der, certificate.der));
  return named?.[0] ?? describeCertificate(certificate);
}

/** Names are texts that end with a NUL: none may be empty, or have a NUL or another control character inside. */
function requireNames(certificate: Certificate, node: ClusterNode | undefined): void {
  for (const part of ['subject', 'issuer'] as const) {
    const isEmpty = formatClusterName(certificate[part]) === '';
    if (!isEmpty && !certificate[part].some(({ value }) => /\p{Cc}/u.test(value))) continue;
    const wrong = isEmpty ? `has no CN, OU, O, L, ST or C in its ${part}` : `has a control character in its ${part}`;
    const hint = 'phones find a certificate by its names: issue it again with names that can be written';
    if (node === undefined) throw new InputError('usage', `${describeCertificate(certificate)} ${wrong}`, { hint });
    const serial = formatHex(certificate.serialNumber, ':').toUpperCase();
    throw new InputError(
      'cluster-file',
      `the ${certificateName(certificate, node)} certificate of node ${node.name} (serial ${serial}) ${wrong}`,
      { hint },
    );
  }
}
