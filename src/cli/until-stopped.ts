/**
 * Waits until a server is told to end, and says by which signal. Takes the place of what ends other commands at once:
 * what runs is ended first.
 */
export function untilStopped(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.removeAllListeners(signal);
      process.on(signal, resolve);
    }
  });
}
