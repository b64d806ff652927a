import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { printable } from '../bytes/index.js';
import { InputError } from '../errors.js';
import { commonName, type Certificate } from '../x509/index.js';
import { readCertificate } from './certificates.js';
import { explainRead } from './files.js';

/** Finds the certificate of the phone that a file is for. */
export interface PhoneCertificates {
  /** The files that were or will be read. */
  readonly inputs: readonly string[];
  /** @throws InputError `missing-option` for a file without one; what is wrong with the certificate */
  readonly of: (path: string) => Promise<Certificate>;
}

/** @throws InputError `missing-option`, `usage` unless one of the two is given; what is wrong with it */
export async function loadPhoneCertificates(
  file: string | undefined,
  folder: string | undefined,
): Promise<PhoneCertificates> {
  if (file !== undefined && folder !== undefined) {
    throw new InputError('usage', '--phone-certificate and --phone-certificates are two answers to one question', {
      hint: 'give one of them',
    });
  }
  if (file !== undefined) {
    const certificate = await readPhoneCertificate(file);
    return { inputs: [file], of: () => Promise.resolve(certificate) };
  }
  if (folder !== undefined) return certificatesOfFolder(folder);
  throw new InputError('missing-option', 'the certificate of the phone is wanted', {
    hint: 'give --phone-certificate FILE, or --phone-certificates FOLDER with one for each phone',
  });
}

function certificatesOfFolder(folder: string): PhoneCertificates {
  const paths = new Map<string, string[]>();
  for (const name of namesIn(folder)) {
    const device = /^(.+)\.(cer|pem|der|crt)$/i.exec(name)?.[1]?.toLowerCase();
    if (device !== undefined) paths.set(device, [...(paths.get(device) ?? []), join(folder, name)]);
  }
  return {
    inputs: [...paths.values()].flat(),
    of: async (path) => {
      const device = basename(path).replace(/\..*$/s, '');
      const [first, second] = paths.get(device.toLowerCase()) ?? [];
      if (first !== undefined && second === undefined) return readPhoneCertificate(first);
      if (first === undefined || second === undefined) {
        throw new InputError('missing-option', `${printable(folder)} has no certificate of ${printable(device)}`, {
          hint: `put it there as ${printable(device)}.cer or .pem`,
        });
      }
      const both = `${printable(basename(first))} and ${printable(basename(second))}`;
      throw new InputError('usage', `${printable(folder)} has two certificates of ${printable(device)}: ${both}`, {
        hint: 'leave the one that the phone has now',
      });
    },
  };
}

/** @throws InputError `file-unreadable` for one that nothing can be encrypted for */
async function readPhoneCertificate(path: string): Promise<Certificate> {
  const certificate = await readCertificate(path);
  if (certificate.keyType === 'rsa') return certificate;
  throw new InputError('file-unreadable', `${printable(path)} is a certificate without an RSA key`, {
    hint: 'configurations are encrypted with RSA: give the phone a certificate with an RSA key',
  });
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    throw explainRead(error, folder, 'folder of certificates');
  }
}

/** A certificate that names another phone than the file: the phone could not read it. */
export function phoneWarnings(path: string, { subject }: Certificate): readonly string[] {
  const pattern = /SEP[0-9A-F]{12}/i;
  const [wanted] = pattern.exec(basename(path)) ?? [];
  const [named] = pattern.exec(commonName(subject) ?? '') ?? [];
  if (wanted === undefined || named === undefined || wanted.toUpperCase() === named.toUpperCase()) return [];
  return [`it is encrypted for ${named}, by the name in the certificate: ${wanted} cannot read it`];
}
