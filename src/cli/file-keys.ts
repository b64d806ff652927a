import type { KeyObject } from 'node:crypto';
import { equalBytes, formatHex, printable } from '../bytes/index.js';
import { FormatError, InputError } from '../errors.js';
import { findFileSigner, p6Applies, createPhone, type HeldLists } from '../phone/index.js';
import type { FileVerdict, SignedHeader } from '../signed-file/index.js';
import { verifyTrustList, type TrustList } from '../trust-list/index.js';
import { formatName, importPublicKey, type Certificate } from '../x509/index.js';
import { readCertificate } from './certificates.js';
import { loadHeldList } from './commands/trust-list.js';
import type { Output } from './output.js';

/** Where the keys that verify files come from. */
export interface VerifyingOptions {
  readonly ctl?: string;
  readonly itl?: string;
  readonly certificate?: string;
}

/** Whether a file is signed by one who may, and who that is. */
export interface SignerAnswer {
  readonly verified: boolean;
  /** A sentence, e.g. `verified by P12, signed by CN=cucm-pub (serial 4A01), record 2 of the CTL`. */
  readonly text: string;
  readonly details: Readonly<Record<string, unknown>>;
}

/** Judges a file that was read to its end. */
export type JudgeSigner = (verdict: FileVerdict) => SignerAnswer;

/** The files that the options name. */
export function verifyingInputs({ ctl, itl, certificate }: VerifyingOptions): readonly string[] {
  return [ctl, itl, certificate].filter((path) => path !== undefined && path !== '-') as string[];
}

/**
 * Reads the lists or the certificate that the options name; `undefined` when they name none.
 *
 * @throws InputError `usage` for lists and a certificate; what is wrong with the files
 */
export async function loadJudge(options: VerifyingOptions, output: Output): Promise<JudgeSigner | undefined> {
  if (options.certificate !== undefined) {
    if (options.ctl !== undefined || options.itl !== undefined) {
      throw new InputError('usage', 'keys come from lists or from a certificate, not from both', {
        hint: 'give --ctl and --itl to judge as a phone does (P12), or --certificate',
      });
    }
    return judgeByCertificate(await readCertificate(options.certificate));
  }
  if (options.ctl === undefined && options.itl === undefined) return undefined;
  const ctl = options.ctl === undefined ? undefined : await loadList(options.ctl, 'CTL', output);
  const itl = options.itl === undefined ? undefined : await loadList(options.itl, 'ITL', output);
  warnOfEmptyItl({ ctl, itl }, output);
  return judgeByLists({ ctl, itl });
}

async function loadList(path: string, kind: 'CTL' | 'ITL', output: Output): Promise<TrustList> {
  const list = await loadHeldList(path, kind);
  const own = verifyTrustList(list);
  if (!own.verified) {
    output.warning(`the ${kind} ${printable(path)} does not verify itself, and no phone would hold it: ${own.reason}`);
  }
  return list;
}

function warnOfEmptyItl(lists: HeldLists, output: Output): void {
  const profile = { mac: '000000000000', model: '', securityByDefault: true, encryptedConfiguration: true };
  if (!p6Applies(createPhone(profile, lists))) return;
  output.warning('P6: a phone with this empty ITL and no CTL takes any file; here it proves none');
}

/** Rule P12 without TVS: the record by issuer and serial, with function 2 or 3, in the CTL, then in the ITL. */
function judgeByLists(lists: HeldLists): JudgeSigner {
  return (verdict) => {
    const { header } = verdict;
    const lookup = findFileSigner(lists, header);
    const common = { ...describeSigner(header), rule: 'P12' };
    if (!lookup.found) {
      const where = [lists.ctl && 'the CTL', lists.itl && 'the ITL'].filter(Boolean).join(' or ');
      return no(`the signer ${nameSigner(header)} is not in ${where} with function 2 or 3`, { ...common, used: null });
    }
    const { place, used } = lookup;
    if (verifiesWith(verdict, lookup.publicKey)) {
      const text = `verified by P12, signed by ${nameSigner(header)}, ${place}`;
      return { verified: true, text, details: { ...common, used, reason: null } };
    }
    const what = 'the signature was not made with its key over these bytes';
    return no(`the signer ${nameSigner(header)} is ${place}, and ${what}`, { ...common, used });
  };
}

function judgeByCertificate(certificate: Certificate): JudgeSigner {
  const name = printable(formatName(certificate.subject));
  return (verdict) => {
    const { header } = verdict;
    const common = { ...describeSigner(header), rule: null, used: null };
    const verified = verdict.isSignedBy(certificate);
    if (verified) {
      const reversed = Uint8Array.from(certificate.serialNumber).reverse();
      const isNamed =
        equalBytes(header.serialNumber, certificate.serialNumber) || equalBytes(header.serialNumber, reversed);
      const other = isNamed ? '' : `; but its header names ${nameSigner(header)}, whom phones look up`;
      return { verified, text: `verified, signed by ${name}${other}`, details: { ...common, reason: null } };
    }
    return no(`it was not signed with the key of ${name}; its header names ${nameSigner(header)}`, common);
  };
}

function no(reason: string, details: { readonly rule: string | null; readonly used: unknown }): SignerAnswer {
  const rule = details.rule === null ? '' : ` by ${details.rule}`;
  return { verified: false, text: `not verified${rule}: ${reason}`, details: { ...details, reason } };
}

function verifiesWith(verdict: FileVerdict, publicKey: Uint8Array): boolean {
  let key: KeyObject;
  try {
    key = importPublicKey(publicKey);
  } catch (error) {
    if (error instanceof FormatError) return false;
    throw error;
  }
  return verdict.isSignedWith(key);
}

function nameSigner(header: SignedHeader): string {
  return `${printable(header.signerName)} (serial ${formatHex(header.serialNumber)})`;
}

function describeSigner(header: SignedHeader): Readonly<Record<string, unknown>> {
  const { signerName, issuerName, serialNumber } = header;
  return { signer: { name: signerName, issuer: issuerName, serialNumber: formatHex(serialNumber) } };
}
