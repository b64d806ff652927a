import { accessSync, constants, statSync } from 'node:fs';
import { printable } from '../bytes/index.js';
import { loadCluster, parseRelease, type Cluster } from '../cluster/index.js';
import { InputError } from '../errors.js';
import { parsePlanFile, type Plan, type Progress, type StepProgress } from '../migration/index.js';
import { readInput } from './files.js';
import { LiveServers, NodeNames, readByNode, requireNode, type AddressOptions } from './live-servers.js';
import { checkClusterState, checkServedCtl } from './migration-state.js';
import { firstList, MigrationWork, sha1Of } from './migration-work.js';
import { NotedCertificates, notesOf } from './noted-certificates.js';
import type { Output } from './output.js';
import { SignerSource } from './signers.js';
import type { CheckContext } from './live-outcome.js';
import type { BuildOptions } from './commands/ctl-options.js';

/** The options of the commands that walk a plan. */
export interface WalkOptions extends BuildOptions, AddressOptions {
  readonly cluster: string;
  readonly work?: string;
  readonly ctl?: string;
  readonly tftpFolder?: readonly string[];
  readonly yes?: boolean;
  /** Steps after whose lists all phones have restarted. */
  readonly phonesRestarted?: readonly string[];
  readonly dryRun?: boolean;
  /** `migrate undo`: the step behind which the way back ends. */
  readonly backTo?: string;
}

/**
 * A plan from its file. Of an edited one it is said that nobody tried it with the phones.
 *
 * @throws InputError `plan-file`, `file-missing`, `file-unreadable`
 */
export async function readPlan(path: string, output: Output): Promise<Plan> {
  const bytes = await readInput(path, 'plan');
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new InputError('plan-file', `${printable(path)} is no UTF-8 text`, {
      hint: 'give the plan that "migrate plan" wrote',
      cause,
    });
  }
  const { plan, isEdited } = parsePlanFile(text, printable(path));
  if (isEdited) {
    output.warning(
      `${printable(path)} is not as "migrate plan" wrote it: what it says of the phones was tried with another plan, and nobody knows what becomes of them with this one`,
    );
  }
  return plan;
}

/** A plan that is walked, with all that its steps need. */
export class MigrationRun {
  readonly planPath: string;
  readonly plan: Plan;
  readonly options: WalkOptions;
  readonly output: Output;
  readonly work: MigrationWork;
  readonly servers: LiveServers;
  readonly signers: SignerSource;
  readonly certificates: NotedCertificates;
  readonly #folders: ReadonlyMap<string, string>;
  readonly #names: NodeNames;
  #clusterFile: Cluster;
  #served: Uint8Array | undefined;

  private constructor(planPath: string, plan: Plan, cluster: Cluster, options: WalkOptions, output: Output) {
    this.planPath = planPath;
    this.plan = plan;
    this.options = options;
    this.output = output;
    this.#clusterFile = cluster;
    this.work = new MigrationWork(options.work ?? `${planPath}.work`, plan);
    this.#names = new NodeNames(plan);
    this.servers = new LiveServers(() => this.#clusterFile, options, this.#names);
    this.#folders = readByNode('--tftp-folder', options.tftpFolder ?? [], (text) => text, undefined, this.#names);
    for (const node of this.#folders.keys()) requireNode(cluster, '--tftp-folder', node, this.#names);
    for (const id of options.phonesRestarted ?? []) requireRestart(plan, id);
    this.signers = new SignerSource(options, output);
    this.certificates = new NotedCertificates(plan, {
      cluster: () => this.#clusterFile,
      files: () => [
        ...(options.tokenCertificate ?? []),
        ...(options.certificate === undefined ? [] : [options.certificate]),
        ...this.work.certificatePaths(),
      ],
      lists: () => this.#knownLists(),
      signers: this.signers,
    });
  }

  /** Reads the plan and the cluster file. @throws InputError `plan-file`, `cluster-file`, `usage` */
  static async open(planPath: string, options: WalkOptions, output: Output): Promise<MigrationRun> {
    if (planPath === '-' && options.work === undefined) {
      throw new InputError('missing-option', 'a plan from standard input has no folder beside it', {
        hint: 'give --work FOLDER, or the plan as a file',
      });
    }
    const plan = await readPlan(planPath, output);
    return new MigrationRun(planPath, plan, await loadCluster(options.cluster), options, output);
  }

  /** Lets go of tokens and of the folder. */
  async close(): Promise<void> {
    await this.signers.close();
    this.work.release();
  }

  /**
   * Refuses a state that is not the one of the plan, and keeps the list that is served before the first step.
   *
   * @param forward whether steps are going to be done: then the certificates that they need must be at hand.
   * @throws RefusalError `other-state`, `other-plan`; InputError `journal`, `missing-option`; NetworkError
   */
  async begin(forward: boolean): Promise<Progress> {
    this.work.lockIfThere();
    const progress = this.work.progress();
    checkClusterState(this.plan, progress, this.#clusterFile, !forward);
    for (const folder of this.folders) checkFolder(folder);
    const { ctl: path } = this.options;
    const given = path === undefined ? undefined : { path, bytes: await readInput(path, 'CTL') };
    const served = await checkServedCtl(this.plan, progress, this.#clusterFile, this.servers, given);
    this.#served = served;
    if (forward) await this.#findCertificates(progress);
    await this.work.begin();
    if (served !== undefined && sha1Of(served) === this.plan.from.ctl && this.work.readList(firstList) === undefined) {
      await this.work.keepList(firstList, served);
    }
    return progress;
  }

  /** What needs no server: for `--dry-run`. @throws RefusalError `other-state`, `other-plan`; InputError `journal` */
  look(forward: boolean): Progress {
    const progress = this.work.progress();
    checkClusterState(this.plan, progress, this.#clusterFile, !forward);
    return progress;
  }

  /** Reads the cluster file again: the administrator may have changed it. */
  async reload(): Promise<void> {
    this.#clusterFile = await loadCluster(this.options.cluster);
  }

  /** The folders of TFTP servers that this tool writes to. */
  get folders(): readonly string[] {
    return [...this.#folders.values()];
  }

  /** The folder that the TFTP server of a node serves, where it was named. */
  folderOf(node: string): string | undefined {
    return this.#folders.get(this.#names.first(node));
  }

  get clusterFile(): Cluster {
    return this.#clusterFile;
  }

  /**
   * The cluster as it is after the steps that are done, whether or not the cluster file says so already.
   *
   * @param building the step that builds a list: then with what was uploaded, and the security mode that the list is
   *   published with.
   */
  async clusterNow(progress: Progress, building?: StepProgress): Promise<Cluster> {
    let cluster = this.#clusterFile;
    for (const { step, state } of progress.steps) {
      if (state !== 'done') continue;
      const { action } = step;
      if (action.kind === 'change-release') cluster = { ...cluster, release: parseRelease(action.release) };
      if (action.kind === 'publish-ctl' || action.kind === 'cluster-ctl') {
        cluster = { ...cluster, securityMode: action.securityMode };
      }
      if (action.kind === 'upload' && building !== undefined) {
        const uploaded = await Promise.all(action.certificates.map(({ sha1 }) => this.certificates.find(sha1)));
        const present = cluster.trustStores[action.store] ?? [];
        const trustStores = { ...cluster.trustStores, [action.store]: [...present, ...uploaded] };
        cluster = { ...cluster, trustStores };
      }
    }
    const publishing = progress.steps.find(
      ({ step: { action } }) => action.kind === 'publish-ctl' && action.built === building?.step.id,
    )?.step.action;
    return publishing?.kind === 'publish-ctl' ? { ...cluster, securityMode: publishing.securityMode } : cluster;
  }

  /** What the checks of a step are looked at with. */
  async checkContext(progress: Progress, one: StepProgress): Promise<CheckContext> {
    return {
      servers: this.servers,
      cluster: await this.clusterNow(progress),
      action: one.step.action,
      certificatesBefore: this.plan.from.certificates ?? {},
      before: one.state === 'open' ? progress.ctl : one.before,
      builtBy: (id) => progress.steps.find(({ step }) => step.id === id)?.sha1,
      certificateOf: (sha1) => this.certificates.find(sha1),
    };
  }

  /** The list that is served now, from the folder of the plan. @throws InputError `file-missing` */
  listOf(sha1: string): { readonly path: string; readonly bytes: Uint8Array } {
    const found = this.work.findList(sha1);
    if (found !== undefined) return found;
    throw new InputError('file-missing', `the folder ${printable(this.work.path)} has no list with SHA-1 ${sha1}`, {
      hint: `put the list there as ${printable(this.work.listPath('NAME'))}`,
    });
  }

  /** What a later step needs is missed before the first one is done. */
  async #findCertificates(progress: Progress): Promise<void> {
    const open = progress.steps.flatMap(({ step, state }) => (state === 'done' ? [] : [step]));
    for (const { sha1 } of notesOf(open)) await this.certificates.find(sha1);
  }

  #knownLists(): readonly Uint8Array[] {
    const kept = [firstList, ...this.plan.steps.map(({ id }) => id)].flatMap((id) => this.work.readList(id) ?? []);
    return this.#served === undefined ? kept : [this.#served, ...kept];
  }
}

function requireRestart({ steps }: Plan, id: string): void {
  const restarts = steps.filter(({ action }) => action.kind === 'restart-phones').map((step) => step.id);
  if (restarts.includes(id)) return;
  throw new InputError(
    'usage',
    `--phones-restarted ${printable(id)}: the plan has no such step at which phones restart`,
    {
      hint: restarts.length === 0 ? 'leave the option out' : `the steps are ${restarts.join(', ')}`,
    },
  );
}

/** By trying nothing: a folder that is not there is noticed before a list is signed for it. */
function checkFolder(folder: string): void {
  let isFolder = false;
  try {
    isFolder = statSync(folder).isDirectory();
    if (isFolder) accessSync(folder, constants.W_OK);
  } catch (cause) {
    throw new InputError(
      'usage',
      `the folder ${printable(folder)} of --tftp-folder is not there, or cannot be written to`,
      {
        hint: 'name the folder that the TFTP server serves; nothing was done',
        cause,
      },
    );
  }
  if (isFolder) return;
  throw new InputError('usage', `${printable(folder)} of --tftp-folder is no folder`, {
    hint: 'name the folder that the TFTP server serves; nothing was done',
  });
}
