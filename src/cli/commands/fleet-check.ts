import { basename } from 'node:path';
import { loadCluster } from '../../cluster/index.js';
import { InputError } from '../../errors.js';
import {
  formatPhonesCsv,
  judgeFleet,
  tvsServersOf,
  type FleetVerdict,
  type Offer,
  type OfferedList,
} from '../../migration/index.js';
import { exitCode } from '../exit-code.js';
import { checkOutput, writeOutput, type OutputPlace } from '../files.js';
import { readPhones, type ReadPhones } from '../inventory.js';
import type { Output } from '../output.js';
import { loadHeldList } from './trust-list.js';
import { countFates, describeFleet, formatFleet, isOffered } from './fleet-text.js';
import type { FleetCheckOptions } from './fleet.js';

/** `fleet check`. */
export async function checkFleet(options: FleetCheckOptions, output: Output): Promise<number> {
  const place = options.lost === undefined ? undefined : lostPlace(options.lost, options);
  if (place !== undefined) await checkOutput(place);
  const offer = await loadOffer(options);
  const phones = await readPhones(options, output, atHandOf(offer));
  if (!isOffered(offer)) {
    output.note('nothing is offered to the phones: give --ctl and --itl to see what they would make of them');
  }
  const verdicts = judgeFleet(phones.groups, offer, Math.floor(Date.now() / 1000), (done) =>
    output.progress(done, phones.size, 'phones judged'),
  );
  const written = place === undefined ? undefined : await writeLost(place, phones, verdicts);
  const lost = written === undefined ? undefined : { path: written.path, backup: written.backup ?? null };
  output.result(formatFleet(phones, verdicts, offer), describeFleet(phones, verdicts, offer, lost));
  if (written !== undefined) {
    output.note(`${written.path}: the phones that are lost, or of which nobody can tell`);
    if (written.backup !== undefined) output.note(`the previous file is ${written.backup}`);
  }
  const { lost: lostCount, unknown } = countFates(verdicts);
  return lostCount + unknown + phones.unusable === 0 ? exitCode.done : exitCode.no;
}

function lostPlace(path: string, { phones, ctl, itl = [], cluster }: FleetCheckOptions): OutputPlace {
  if (path === '-') {
    throw new InputError('usage', '--lost is not written to standard output', {
      hint: 'give a file; --lost ./- is a file of this name',
    });
  }
  const inputs = [...phones, ctl, ...itl, cluster].filter((one) => one !== undefined && one !== '-') as string[];
  return { path, inputs, option: '--lost' };
}

/** The folder of lists was read meanwhile: none of its files is overwritten either. */
function writeLost(
  place: OutputPlace,
  { inventory, files }: ReadPhones,
  verdicts: readonly FleetVerdict[],
): ReturnType<typeof writeOutput> {
  const bytes = new TextEncoder().encode(formatPhonesCsv(inventory, verdicts));
  return writeOutput({ ...place, inputs: [...(place.inputs ?? []), ...files], bytes });
}

async function loadOffer({ ctl, itl = [], cluster }: FleetCheckOptions): Promise<Offer> {
  const itls: OfferedList[] = [];
  for (const path of itl) itls.push({ name: path, list: await loadHeldList(path, 'ITL') });
  return {
    ctl: ctl === undefined ? undefined : { name: ctl, list: await loadHeldList(ctl, 'CTL') },
    itls: nameApart(itls),
    cluster: cluster === undefined ? undefined : await loadCluster(cluster),
  };
}

/** By the names of their files, where these differ. */
function nameApart(lists: readonly OfferedList[]): readonly OfferedList[] {
  const names = new Set(lists.map(({ name }) => basename(name)));
  return names.size === lists.length ? lists.map(({ name, list }) => ({ name: basename(name), list })) : lists;
}

function atHandOf({ ctl, itls, cluster }: Offer): Parameters<typeof readPhones>[2] {
  const lists = [...(ctl === undefined ? [] : [ctl]), ...itls];
  return { lists, tvsServers: cluster === undefined ? ['any'] : tvsServersOf(cluster) };
}
