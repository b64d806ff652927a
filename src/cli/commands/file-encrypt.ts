import { basename } from 'node:path';
import { printable } from '../../bytes/index.js';
import type { Signer } from '../../signer/index.js';
import { formatName, type Certificate } from '../../x509/index.js';
import { findWork, runWork, type BulkCommand } from '../bulk-command.js';
import type { FinishedWork } from '../bulk-files.js';
import { encryptOneFile, isConfigurationName, type EncryptedOutput } from '../encrypt-file.js';
import { signingInputs, withFileSigner } from '../file-signers.js';
import type { Output } from '../output.js';
import { loadPhoneCertificates, phoneWarnings, type PhoneCertificates } from '../phone-certificates.js';
import { whyPassedOver } from '../watched-names.js';
import { jobsOf, type EncryptOptions } from './file-options.js';
import { formatPut, passOverOthers, signingOf } from './file-sign.js';

/** `file encrypt`. */
export async function encryptFiles(paths: readonly string[], options: EncryptOptions, output: Output): Promise<number> {
  const jobs = jobsOf(options, options.key === undefined);
  const phones = await loadPhoneCertificates(options.phoneCertificate, options.phoneCertificates);
  const onlyConfigurations = options.phoneCertificates !== undefined;
  const found = findWork(paths, {
    whyPassedOver: (name) =>
      whyPassedOver(name) ??
      (onlyConfigurations && !isConfigurationName(name) ? 'no configuration of a phone' : undefined),
    outputNames: ({ path }) => outputNames(basename(path)),
    out: options.out,
    guarded: [...phones.inputs, ...(await signingInputs(options))],
  });
  return withFileSigner(options, output, (signer) =>
    runWork(
      found,
      {
        jobs,
        words: { command: 'file encrypt', done: 'encrypted' },
        doing: 'encrypting',
        work: encryptionWork(options, phones, signer),
      },
      options,
      output,
    ),
  );
}

function outputNames(name: string): readonly string[] {
  return isConfigurationName(name) ? [`${name}.enc.sgn`, `${name}.sgn`] : [`${name}.enc.sgn`];
}

function encryptionWork(options: EncryptOptions, phones: PhoneCertificates, signer: Signer): BulkCommand['work'] {
  const signing = signingOf(options);
  return async (file, folders, onRead) => {
    const [place = '', companion] = file.outputs;
    const phone = await phones.of(file.path);
    const request = { input: file.path, output: place, companion, phone, signer };
    try {
      const encrypted = await encryptOneFile({ ...request, signing: { ...signing, folders, onRead } });
      return describeEncrypted(encrypted, file.path, phone);
    } catch (error) {
      return passOverOthers(error, file);
    }
  };
}

function describeEncrypted({ alreadyDone, put }: EncryptedOutput, path: string, phone: Certificate): FinishedWork {
  const backups = put.map(({ backup }) => backup ?? null);
  const details = { phone: formatName(phone.subject), backups };
  const warnings = phoneWarnings(path, phone);
  if (alreadyDone) return { state: 'already-done', text: 'already done', details, warnings };
  const places = put.map(formatPut).join(' and ');
  const text = `encrypted for ${printable(formatName(phone.subject))}, ${places}`;
  return { state: 'done', text, details, warnings };
}
