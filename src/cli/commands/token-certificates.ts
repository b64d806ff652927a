import { createHash } from 'node:crypto';
import { formatHex, printable } from '../../bytes/index.js';
import { listSastCertificates, nameToken, type SastCertificate, type TokenInfo } from '../../token/index.js';
import { formatName } from '../../x509/index.js';
import { exitCode } from '../exit-code.js';
import type { Output } from '../output.js';
import { requireToken, tokenChoice } from '../token-choice.js';
import { describeTokenCertificate, describeTokenReference } from '../token-document.js';
import { certificateSearch, wantsLogin } from './token-login.js';
import type { TokenCommandOptions } from './token.js';

/** `token certificates`. Exit code 1 when the tokens have none. */
export async function showCertificates(options: TokenCommandOptions, output: Output): Promise<number> {
  const choice = tokenChoice(options);
  const certificates = await listSastCertificates(await certificateSearch(options, choice, output));
  if (certificates.length === 0) await requireToken(choice, output);
  output.result(certificates.map(formatCertificate).join('\n'), {
    certificates: certificates.map(describeCertificate),
  });
  if (certificates.length > 0) return exitCode.done;
  const hint = wantsLogin(options) ? '' : '; --login also shows what is hidden without the PIN';
  output.note(`the tokens hold no SAST certificate${hint}`);
  return exitCode.no;
}

const keyWords = { true: 'on the token', false: 'not on the token', unknown: 'not visible without the PIN (--login)' };

function formatCertificate({ token, certificate, label, hasPrivateKey }: SastCertificate): string {
  const rows = [
    ['subject', formatName(certificate.subject)],
    ['issuer', formatName(certificate.issuer)],
    ['serial', formatHex(certificate.serialNumber, ':').toUpperCase()],
    ['valid', `${certificate.notBefore.toISOString()} to ${certificate.notAfter.toISOString()}`],
    ['SHA1', sha1(certificate.der)],
    [
      'key',
      `${certificate.keyType.toUpperCase()} ${String(certificate.keyBits)}, private key ${keyWords[`${hasPrivateKey}`]}`,
    ],
    ['token', `${placeOf(token)}${label === '' ? '' : `, object "${label}"`}`],
  ];
  return rows.map(([name = '', value = '']) => `${name.padEnd(8)} ${printable(value)}\n`).join('');
}

/** A token without a label or serial number is named by its slot. */
function placeOf(token: TokenInfo): string {
  const { label, serialNumber } = token;
  return label === '' || serialNumber === '' ? nameToken(token) : `${label} (serial ${serialNumber})`;
}

function describeCertificate(found: SastCertificate): object {
  const { token, hasPrivateKey } = found;
  return { ...describeTokenCertificate(found), hasPrivateKey, token: describeTokenReference(token) };
}

function sha1(bytes: Uint8Array): string {
  return createHash('sha1').update(bytes).digest('hex');
}
