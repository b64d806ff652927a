import { createHash } from 'node:crypto';
import { printable } from '../bytes/index.js';
import { FormatError } from '../errors.js';
import type { Certificate } from '../x509/index.js';
import { parseXml, type XmlElement } from './xml.js';

/** What the companion takes over from the full configuration, in the order of the format page. */
const takenOver: readonly string[] = ['ipAddressMode', 'loadInformation', 'capfAuthMode', 'capfList'];

/**
 * The small plain configuration that a phone reads before its encrypted one: what it needs to get its certificate, and
 * for which certificate the full one is encrypted (trust-list-format.md, Encrypted signed files). Sign it with
 * `signFile` under the name of the plain configuration.
 *
 * @param configuration the full configuration. What is taken over from it is kept byte for byte.
 * @param phone the certificate of the phone.
 * @throws FormatError `bad-text` for what is no XML in UTF-8, `bad-value` for another root than `device`,
 *   `duplicate-element` for an element that could be taken over twice.
 */
export function formatCompanion(configuration: Uint8Array, phone: Certificate): Uint8Array {
  const device = parseXml(configuration);
  if (device.name !== 'device') {
    const what = `the root is ${printable(device.name)}, not device: this is no configuration of a phone`;
    const hint = 'give other files a name without .cnf.xml: they are encrypted without a companion';
    throw new FormatError('bad-value', what, { offset: 0 }, { hint });
  }
  // A fingerprint that phones compare, not a proof: the proof is the signature.
  const certificateHash = createHash('md5').update(phone.der).digest('hex');
  const lines = [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<device>',
    '<fullConfig>false</fullConfig>',
    ...takenOver.flatMap((name) => only(device, name)?.source ?? []),
    `<certHash>${certificateHash}</certHash>`,
    '<encrConfig>true</encrConfig>',
    '</device>',
  ];
  return new TextEncoder().encode(`${lines.join('\n')}\n`);
}

/** @throws FormatError `duplicate-element` */
function only({ children }: XmlElement, name: string): XmlElement | undefined {
  const [found, other] = children.filter((child) => child.name === name);
  if (other === undefined) return found;
  throw new FormatError(
    'duplicate-element',
    'the configuration has it twice',
    { offset: 0, element: name },
    {
      hint: 'remove one of the two',
    },
  );
}

/**
 * Whether a plain file is the companion of an encrypted configuration: it sends phones to the encrypted one. A full
 * configuration, which may have `encrConfig` too, says so with `fullConfig`.
 *
 * @param content the content of a signed file.
 */
export function isCompanion(content: Uint8Array): boolean {
  // Most files are none, and need not be understood for that.
  if (!new TextDecoder('latin1').decode(content).includes('encrConfig')) return false;
  try {
    const device = parseXml(content);
    const says = (name: string, value: string): boolean =>
      device.children.some((child) => child.name === name && child.text.trim().toLowerCase() === value);
    return device.name === 'device' && says('encrConfig', 'true') && !says('fullConfig', 'true');
  } catch (error) {
    if (error instanceof FormatError) return false;
    throw error;
  }
}
