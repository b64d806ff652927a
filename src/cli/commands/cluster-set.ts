import { existsSync } from 'node:fs';
import { printable } from '../../bytes/index.js';
import { loadCluster, withSecurityMode, type SecurityMode } from '../../cluster/index.js';
import { ctlMode } from '../../ctl/index.js';
import { describeTrustList, type TrustList } from '../../trust-list/index.js';
import { exitCode } from '../exit-code.js';
import { readInput, type WriteRequest, type WrittenFile } from '../files.js';
import { inputFiles } from '../inputs.js';
import type { Output } from '../output.js';
import { ctlOptions, runFlow, warnOf } from './ctl-build.js';
import type { FlowName } from './ctl-flows.js';
import { checkWritable, refuseChanged, whileLocked, writeTogether } from './cluster-files.js';
import { ctlPath, type OperationOptions } from './cluster-options.js';
import { askQuestion, checkQuestion } from './cluster-question.js';
import { loadTrustList } from './trust-list.js';

/** An operation of the cluster's command line on its CTL. */
export type CtlOperation = 'mixed-mode' | 'non-secure-mode' | 'update-ctl';

interface Words {
  readonly question: string;
  /** What the cluster prints when it is done. */
  readonly done: readonly string[];
}

const restart =
  'Please Restart the TFTP and Cisco CallManager services on all nodes in the cluster that run these services';

/** What clusters print: `utils ctl set-cluster`, `utils ctl update CTLFile`. */
const words: Readonly<Record<CtlOperation, Words>> = {
  'mixed-mode': {
    question: 'This operation sets the cluster to Mixed mode. Do you want to continue? (y/n):',
    done: ['Moving Cluster to Mixed Mode', 'Cluster set to Mixed Mode', restart],
  },
  'non-secure-mode': {
    question: 'This operation will set the cluster to non secure mode. Do you want to continue? (y/n):',
    done: ['Moving Cluster to Non Secure Mode', 'Cluster set to Non Secure Mode', restart],
  },
  'update-ctl': {
    question: 'This operation updates the CTLFile. Do you want to continue? (y/n):',
    done: ['Updating CTL file', 'CTL file Updated', restart],
  },
};

const modes: Readonly<Record<CtlOperation, SecurityMode | undefined>> = {
  'mixed-mode': 'mixed',
  'non-secure-mode': 'non-secure',
  'update-ctl': undefined,
};

/**
 * `cluster set` and `cluster update-ctl`. The CTL is written before the cluster file: when the process is killed between
 * the two, running the command again ends where it would have ended.
 */
export async function operateOnCtl(
  operation: CtlOperation,
  options: OperationOptions,
  output: Output,
): Promise<number> {
  const question = { text: words[operation].question, yes: options.yes };
  checkQuestion(question);
  const ctl = ctlOptions(options);
  const path = ctlPath(options);
  // Only a first CTL need not be there.
  const presentPath = operation === 'mixed-mode' && !existsSync(path) ? undefined : path;
  const present = presentPath === undefined ? undefined : await loadTrustList(presentPath);
  const cluster = await loadCluster(options.cluster);
  const securityMode = modes[operation] ?? cluster.securityMode;
  const clusterBytes = await readInput(options.cluster, 'cluster file');
  const clusterFile = editMode(options.cluster, clusterBytes, modes[operation]);
  const place = {
    path,
    inputs: await inputFiles(presentPath, options),
    ...(presentPath === undefined ? {} : { updates: presentPath }),
  };
  for (const one of [place, clusterFile]) await checkWritable(one);
  if (!(await askQuestion(question))) {
    output.note('Nothing was changed.');
    return exitCode.no;
  }
  const refuseAnyChange = async (): Promise<void> => {
    await refuseChanged(options.cluster, clusterBytes);
    if (present !== undefined) await refuseChanged(path, present.bytes);
  };
  const work = { options: { ...options, mode: 'tokenless' as const }, ctl, present };
  const change = async (): Promise<number> => {
    await refuseAnyChange();
    const changed = { ...work, cluster: { ...cluster, securityMode } };
    return runFlow(flowOf(operation, present), changed, output, async ({ list, notices }) => {
      // Whoever edits a file by hand takes no lock.
      await refuseAnyChange();
      const [listFile, file] = await writeTogether([{ ...place, bytes: list.bytes }, clusterFile]);
      warnOf(notices, output);
      const written = { list, notices, ctl: listFile, clusterFile: file };
      report(operation, { ...written, securityMode }, output);
      return exitCode.done;
    });
  };
  return whileLocked(options.cluster, change);
}

/** Which flow a cluster's own operation is, on the list that is there. */
function flowOf(operation: CtlOperation, present: TrustList | undefined): FlowName {
  if (operation === 'update-ctl') return 'update';
  if (operation === 'non-secure-mode') return 'toNonSecure';
  if (present === undefined) return 'create';
  // An emptied list gets its servers back, and a whole one is brought up to date.
  return ctlMode(present) === 'token' ? 'toTokenless' : 'update';
}

function editMode(path: string, bytes: Uint8Array, mode: SecurityMode | undefined): WriteRequest {
  const request = { path, updates: path };
  if (mode === undefined) return { ...request, bytes };
  const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
  return { ...request, bytes: new TextEncoder().encode(withSecurityMode(text, mode, path)) };
}

interface Done {
  readonly list: TrustList;
  readonly notices: Parameters<typeof warnOf>[0];
  readonly securityMode: SecurityMode;
  readonly ctl: WrittenFile | undefined;
  readonly clusterFile: WrittenFile | undefined;
}

function report(operation: CtlOperation, done: Done, output: Output): void {
  const { list, notices, securityMode, ctl, clusterFile } = done;
  const view = describeTrustList(list);
  output.result(`${words[operation].done.join('\n')}\n`, {
    operation,
    securityMode,
    clusterFile: { path: clusterFile?.path, backup: clusterFile?.backup ?? null },
    ctl: { path: ctl?.path, backup: ctl?.backup ?? null, mode: ctlMode(list) },
    notices,
    list: view,
  });
  const kept = ctl?.backup === undefined ? '' : `, the old one is ${printable(ctl.backup)}`;
  output.note(
    `${printable(ctl?.path ?? '')}: ${String(view.length)} bytes, ${ctlMode(list)}, SHA1 ${view.sha1}${kept}`,
  );
}
