import { printable } from '../bytes/index.js';
import { InputError } from '../errors.js';
import { createPhone, type Decision, type PhoneState, type Used } from '../phone/index.js';
import { tvsPort } from '../tvs/index.js';
import { formatEndpoint, parseEndpoint } from './endpoint.js';
import { loadHeldList } from './commands/trust-list.js';
import type { PhoneOptions } from './commands/phone.js';

/** The phone that the options describe. @throws InputError `usage` for a MAC address that is none; unreadable lists */
export async function describedPhone(options: PhoneOptions): Promise<PhoneState> {
  const mac = options.mac.replaceAll(/[:.-]/g, '').toUpperCase();
  if (!/^[0-9A-F]{12}$/.test(mac)) {
    throw new InputError('usage', `${printable(options.mac)} is no MAC address`, { hint: 'write 12 hex digits' });
  }
  const ctl = options.ctl === undefined ? undefined : await loadHeldList(options.ctl, 'CTL');
  const itl = options.itl === undefined ? undefined : await loadHeldList(options.itl, 'ITL');
  return createPhone(
    {
      mac,
      model: options.model,
      securityByDefault: options.securityByDefault,
      encryptedConfiguration: options.encryptedConfiguration === true,
    },
    { ctl, itl, tvsServers: tvsServersOf(options) },
  );
}

/** @throws InputError `usage` */
function tvsServersOf({ tvs = [] }: PhoneOptions): readonly string[] {
  if (tvs.length > 3) {
    throw new InputError('usage', `a phone has three TVS servers at most, and ${String(tvs.length)} are given`, {
      hint: 'leave --tvs out for some',
    });
  }
  return tvs.map((text) => formatEndpoint(parseEndpoint(text, tvsPort)));
}

/** A decision as a line: the file, yes or no, the rule, and why. */
export function formatDecision(file: string, { accepted, rule, reason, used }: Decision): string {
  const found = used === undefined ? '' : ` [${formatUsed(used)}]`;
  return `${printable(file)}: ${accepted ? 'accepted' : 'rejected'} by ${rule}: ${printable(reason)}${found}\n`;
}

/** A decision with stable keys. */
export function describeDecision(file: string, { accepted, rule, reason, used }: Decision): object {
  return { file, accepted, rule, reason, used: used ?? null };
}

function formatUsed(used: Used): string {
  switch (used.kind) {
    case 'own':
      return `its own record ${String(used.record)}`;
    case 'ctl':
    case 'itl':
      return `${used.kind.toUpperCase()} record ${String(used.record)}`;
    case 'tvs-cache':
      return 'TVS cache';
    case 'tvs':
      return `TVS ${printable(used.server)}`;
    case 'any':
      return 'no proof is asked for';
  }
}
