import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { InputError } from 'etoken-bridge';
import { findSoftHsm, missingSoftHsm } from './find.js';

/** A SoftHSM2 with a configuration and tokens of its own, apart from those of the machine. */
export interface SoftHsm {
  /** The absolute path of the PKCS#11 library. */
  readonly module: string;
  /** The folder that holds everything, mode 0700. */
  readonly directory: string;
  /** The path of `softhsm2.conf`. */
  readonly configuration: string;
  /** What a process that loads the library must have in its environment from its start. */
  readonly environment: { readonly SOFTHSM2_CONF: string };
}

/** The file's name in the folder; SoftHSM2's own name for it. */
const configurationName = 'softhsm2.conf';

/**
 * Makes a private SoftHSM2 configuration: the folder (mode 0700), `softhsm2.conf` and a `tokens` folder in it. A
 * folder that this function made before is used as it is, with its tokens. Installs nothing and loads nothing.
 *
 * @param directory where it shall be; made when it is not there.
 * @throws DeviceError `module-missing` when SoftHSM2 is not on this machine; InputError `file-exists` for a folder with
 *   another configuration or with files that others can read, `file-unwritable`, `usage` for a path that SoftHSM2
 *   cannot read from its configuration.
 */
export async function createSoftHsm(directory: string): Promise<SoftHsm> {
  const installation = findSoftHsm();
  if (installation === undefined) throw missingSoftHsm();
  const folder = resolve(directory);
  const configuration = join(folder, configurationName);
  const tokens = join(folder, 'tokens');
  checkPath(tokens);
  await makePrivateFolder(folder);
  await writeConfiguration(configuration, configurationText(tokens));
  await makePrivateFolder(tokens);
  return {
    module: installation.module,
    directory: folder,
    configuration,
    environment: { SOFTHSM2_CONF: configuration },
  };
}

/** SoftHSM2 cuts a line at `#`, at its end, and at 1,024 bytes (SimpleConfigLoader.cpp), without a word. */
function checkPath(tokens: string): void {
  if (/[#\r\n=]/.test(tokens)) {
    throw new InputError(
      'usage',
      `SoftHSM2 cannot use ${tokens}: its configuration has no way to write #, = or a line break`,
      {
        hint: 'choose a folder without them in its path',
      },
    );
  }
  if (Buffer.byteLength(tokens) > 900) {
    throw new InputError('usage', `the path ${tokens} is too long for SoftHSM2's configuration`, {
      hint: 'choose a folder with a shorter path',
    });
  }
}

function configurationText(tokens: string): string {
  return [
    '# A private SoftHSM2, made by softhsm-config.',
    `directories.tokendir = ${tokens}`,
    'objectstore.backend = file',
    'log.level = ERROR',
    'slots.removable = false',
    '',
  ].join('\n');
}

async function makePrivateFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    // Windows has no such modes: there the folder has those of the user's profile.
    const others = process.platform === 'win32' ? 0 : (await stat(folder)).mode & 0o077;
    if (others === 0) return;
    if ((await readdir(folder)).length === 0) {
      await chmod(folder, 0o700);
      return;
    }
  } catch (error) {
    throw new InputError('file-unwritable', `cannot make the folder ${folder}: ${messageOf(error)}`, {
      cause: error,
      hint: 'choose a folder below one that you can write to',
    });
  }
  throw new InputError('file-exists', `${folder} has files in it and is open to other users`, {
    hint: `choose a new folder, or make it private: chmod 700 ${folder}`,
  });
}

async function writeConfiguration(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text, { flag: 'wx', mode: 0o600 });
  } catch (error) {
    const present = await readFile(path, 'utf8').catch(() => undefined);
    if (present === text) return;
    if (present === undefined) {
      throw new InputError('file-unwritable', `cannot write ${path}: ${messageOf(error)}`, { cause: error });
    }
    throw new InputError('file-exists', `${path} is the configuration of another SoftHSM2`, {
      hint: 'choose a new folder',
    });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
