import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { printable } from '../../bytes/index.js';
import { loadCluster } from '../../cluster/index.js';
import { InputError } from '../../errors.js';
import { offerList, tvsIsSilent, tvsOfCluster, tvsServersOf, type TvsAnswers } from '../../migration/index.js';
import { setTvsServers, type Decision, type PhoneState } from '../../phone/index.js';
import type { TrustList } from '../../trust-list/index.js';
import { exitCode } from '../exit-code.js';
import type { Output } from '../output.js';
import { describeDecision, describedPhone, formatDecision } from '../virtual-phone.js';
import type { ClustersOptions } from './phone.js';
import { loadHeldList } from './trust-list.js';

interface Verdict {
  readonly name: string;
  readonly takes: boolean;
  readonly decisions: readonly { readonly file: string; readonly decision: Decision }[];
}

/** `phone clusters`: the lists of which cluster a phone would take. Exit code 1 when it takes those of none. */
export async function askForClusters(
  texts: readonly string[],
  options: ClustersOptions,
  output: Output,
): Promise<number> {
  const described = await describedPhone(options);
  const { cluster: path } = options;
  const cluster = path === undefined ? undefined : await loadCluster(path);
  const phone =
    cluster === undefined || described.tvsServers.length > 0
      ? described
      : setTvsServers(described, tvsServersOf(cluster));
  const answers = cluster === undefined ? tvsIsSilent : tvsOfCluster(cluster, phone.ctl);
  const now = Math.floor(Date.now() / 1000);
  const verdicts: Verdict[] = [];
  for (const text of texts) verdicts.push(judge(phone, await loadLists(text), answers, now));
  output.result(verdicts.map(formatVerdict).join(''), {
    clusters: verdicts.map(({ name, takes, decisions }) => ({
      name,
      takes,
      decisions: decisions.map(({ file, decision }) => describeDecision(file, decision)),
    })),
  });
  if (cluster === undefined) {
    output.note('no TVS was asked: --cluster FILE, of the cluster that the phone leaves, lets its TVS answer');
  }
  return verdicts.some(({ takes }) => takes) ? exitCode.done : exitCode.no;
}

interface NamedLists {
  readonly name: string;
  readonly lists: readonly { readonly kind: 'ctl' | 'itl'; readonly list: TrustList }[];
}

/** `NAME=FOLDER`: a folder with CTLFile.tlv and ITLFile.tlv, or one of them. */
async function loadLists(text: string): Promise<NamedLists> {
  const [, name, folder] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  if (name === undefined || folder === undefined) {
    throw new InputError('usage', `${printable(text)} names no cluster`, {
      hint: 'write NAME=FOLDER, with a folder that holds CTLFile.tlv and ITLFile.tlv of that cluster',
    });
  }
  const lists: { readonly kind: 'ctl' | 'itl'; readonly list: TrustList }[] = [];
  for (const kind of ['ctl', 'itl'] as const) {
    const upper = kind === 'ctl' ? 'CTL' : 'ITL';
    const path = join(folder, `${upper}File.tlv`);
    if (existsSync(path)) lists.push({ kind, list: await loadHeldList(path, upper) });
  }
  if (lists.length > 0) return { name, lists };
  throw new InputError('file-missing', `${printable(folder)} holds neither CTLFile.tlv nor ITLFile.tlv`, {
    hint: `fetch them from a TFTP server of ${printable(name)}: etoken-bridge tftp get SERVER ITLFile.tlv`,
  });
}

/** In the order of a boot: what the CTL taught the phone counts for the ITL. A device without an ITL is offered none. */
function judge(phone: PhoneState, { name, lists }: NamedLists, answers: TvsAnswers, now: number): Verdict {
  let state = phone;
  const decisions = lists
    .filter(({ kind }) => kind === 'ctl' || phone.profile.securityByDefault)
    .map(({ kind, list }) => {
      const outcome = offerList(state, kind, list, answers, now);
      ({ state } = outcome);
      return { file: `${kind.toUpperCase()}File.tlv`, decision: outcome.decision };
    });
  return { name, takes: decisions.length > 0 && decisions.every(({ decision }) => decision.accepted), decisions };
}

function formatVerdict({ name, takes, decisions }: Verdict): string {
  const lines = decisions.map(({ file, decision }) => `  ${formatDecision(file, decision)}`);
  return `${printable(name)}: ${takes ? 'the phone takes its lists' : 'the phone does not take its lists'}\n${lines.join('')}`;
}
