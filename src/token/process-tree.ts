import { readdirSync, readFileSync } from 'node:fs';

/**
 * Ends a process with SIGKILL, and what it started: the command behind a module that passes on what is elsewhere, such
 * as ssh, does not notice when it is stopped or its network is gone. Only Linux tells what a process started; elsewhere
 * the process alone is ended.
 */
export function killTree(processId: number): void {
  killAll([processId, ...descendantsOf(processId)]);
}

/** Ends this process with SIGKILL, and what it started. Exit handlers are skipped: those of vendors' libraries crash. */
export function killOwnTree(): void {
  killAll([...descendantsOf(process.pid), process.pid]);
}

function killAll(processIds: readonly number[]): void {
  for (const one of processIds) {
    try {
      process.kill(one, 'SIGKILL');
    } catch {
      // It has ended meanwhile.
    }
  }
}

function descendantsOf(processId: number): readonly number[] {
  return childrenOf(processId).flatMap((child) => [child, ...descendantsOf(child)]);
}

/** Each thread has children of its own (proc(5), /proc/PID/task/TID/children). */
function childrenOf(processId: number): readonly number[] {
  const tasks = `/proc/${processId}/task`;
  try {
    const lists = readdirSync(tasks).map((thread) => readFileSync(`${tasks}/${thread}/children`, 'latin1'));
    return lists.flatMap((list) =>
      list
        .split(' ')
        .filter((word) => word !== '')
        .map(Number),
    );
  } catch {
    return [];
  }
}
