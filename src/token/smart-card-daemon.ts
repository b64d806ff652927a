import type { Environment, ModuleCandidate } from './modules.js';

/** Families of modules that reach their tokens through the PC/SC daemon of Linux. */
const pcscFamilies: readonly string[] = ['SafeNet', 'OpenSC', 'YubiKey'];
const socketPath = '/run/pcscd/pcscd.comm';
/** As libpcsclite reads it: where the daemon listens. */
const socketVariable = 'PCSCLITE_CSOCK_NAME';
const answerTimeout = 2_000;

/**
 * Why modules for smart cards may show no token: whether pcscd runs, and lets this user in. Nothing is told where it
 * does, where no such module was asked, and on systems without pcscd.
 */
export async function explainSmartCardDaemon(
  modules: readonly ModuleCandidate[],
  environment: Environment = process.env,
  platform: string = process.platform,
): Promise<string | undefined> {
  if (platform !== 'linux' || !modules.some(({ family }) => pcscFamilies.includes(family))) return undefined;
  const path = environment[socketVariable] ?? socketPath;
  switch (await probe(path)) {
    case 'answers':
      return undefined;
    case 'absent':
      return `the smart card daemon pcscd does not run (nothing listens at ${path}): install and start it, for instance with "systemctl enable --now pcscd.socket"`;
    case 'refuses':
      return `the smart card daemon pcscd does not let this user in (${path}): over ssh and in services polkit refuses, until a rule allows org.debian.pcsc-lite.access_pcsc and org.debian.pcsc-lite.access_card`;
    case 'silent':
      return `the smart card daemon pcscd does not answer (${path}): restart it`;
  }
}

type Finding = 'answers' | 'absent' | 'refuses' | 'silent';

/**
 * Asks for the version of the protocol, as every client does first (pcsc-lite, winscard_msg.h: length and number of the
 * command, CMD_VERSION is 0x11, then major, minor, result). The daemon hangs up on those whom polkit refuses.
 */
async function probe(path: string): Promise<Finding> {
  const { connect } = await import('node:net');
  const question = new Uint8Array(new Int32Array([12, 0x11, 4, 4, 0]).buffer);
  return new Promise((resolve) => {
    const socket = connect(path);
    const end = (finding: Finding): void => {
      resolve(finding);
      socket.destroy();
    };
    socket.setTimeout(answerTimeout, () => end('silent'));
    socket.once('connect', () => socket.write(question));
    socket.once('data', () => end('answers'));
    socket.once('end', () => end('refuses'));
    socket.once('error', (error: NodeJS.ErrnoException) => {
      const isAbsent = error.code === 'ENOENT' || error.code === 'ECONNREFUSED';
      end(isAbsent ? 'absent' : 'refuses');
    });
  });
}
