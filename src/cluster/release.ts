import { InputError } from '../errors.js';

/** A release of the cluster's software, comparable however it was written. */
export interface Release {
  readonly major: number;
  readonly minor: number;
  readonly maintenance: number;
  /** The build as the whole version number has it: 10000 for a first release, 13900 for its third service update. */
  readonly build: number;
  /** The number after the dash in `14.0.1.13900-155`; 0 when it is not written. */
  readonly revision: number;
  /** The release as it was written. */
  readonly text: string;
}

/** How a release may be written, for hints. */
export const releaseForms = '10.5.1, 12.0, 12.5(1)SU2, 14SU3 or 14.0.1.13900-155';

const wholeVersion = /^([1-9]\d?)\.(\d\d?)\.([1-9]\d?)\.([1-9]\d{4})(?:[-.](\d{1,5})|\((\d{1,5})\))?$/;
const namedVersion =
  /^([1-9]\d?)(?:\.(\d\d?)(?:\(([1-9]\d?)([a-z])?\)|\.([1-9]\d?)([a-z])?)?)?(?: ?SU ?([1-9]\d?)([a-z])?)?$/i;

/**
 * Reads a release in any of the spellings that clusters and their release notes use: `10.5.1`, `12.0`, `12.5(1)SU2`,
 * `14SU3`, or the whole version number `14.0.1.13900-155`. What is left out is the first: `14` is 14.0(1).
 *
 * @throws InputError `usage` when it is none of them.
 */
export function parseRelease(text: string): Release {
  const release = readRelease(text);
  if (release === undefined) {
    throw new InputError('usage', `${JSON.stringify(text.slice(0, 40))} is not a release of a cluster`, {
      hint: `write it as ${releaseForms}`,
    });
  }
  return release;
}

/** A release, or `undefined` when the text is none. See {@link parseRelease}. */
export function readRelease(text: string): Release | undefined {
  const trimmed = text.trim();
  const whole = wholeVersion.exec(trimmed);
  if (whole !== null) {
    const [major = 0, minor = 0, maintenance = 0, build = 0] = whole.slice(1, 5).map(Number);
    return { major, minor, maintenance, build, revision: Number(whole[5] ?? whole[6] ?? 0), text: trimmed };
  }
  const named = namedVersion.exec(trimmed);
  if (named === null) return undefined;
  const train = {
    major: Number(named[1]),
    minor: Number(named[2] ?? 0),
    maintenance: Number(named[3] ?? named[5] ?? 1),
  };
  const reissue = letterNumber(named[4] ?? named[6]);
  const update = Number(named[7] ?? 0);
  const patch = letterNumber(named[8]);
  return { ...train, build: buildOf(train, { reissue, update, patch }), revision: 0, text: trimmed };
}

/** `a` is 1, `b` is 2; no letter is 0. */
function letterNumber(letter: string | undefined): number {
  return letter === undefined ? 0 : letter.toLowerCase().charCodeAt(0) - 96;
}

type Train = Pick<Release, 'major' | 'minor' | 'maintenance'>;

/**
 * The build number of a release that was given by name, as the version numbers of published releases show it. A first
 * release is 10000, its reissue (1a) 20000; service update n is n x 1000 + 900 above that, a patch of it such as SU2a one
 * more. The ninth update goes on at 21900; the first of 12.0(1) begins there.
 */
function buildOf(train: Train, name: { reissue: number; update: number; patch: number }): number {
  const base = 10_000 * (1 + name.reissue);
  if (name.update === 0) return base;
  const from = name.reissue === 0 && updatesBeganAt20000(train) ? 20_000 : base;
  const gap = name.reissue === 0 && from === base && name.update > 8 ? 2000 : 0;
  return from + gap + name.update * 1000 + 900 + name.patch;
}

function updatesBeganAt20000(train: Train): boolean {
  return train.major === 12 && train.minor === 0 && train.maintenance === 1;
}

/**
 * A release in its usual spelling: `10.5(2)`, `12.5(1)SU8`, from 14 on `14SU3`; where the build has no sure name, the
 * whole version number. {@link parseRelease} reads it back to an equal release.
 */
export function formatRelease(release: Release): string {
  const { major, minor, maintenance, build, revision } = release;
  const train = major >= 14 && minor === 0 && maintenance === 1 ? String(major) : `${major}.${minor}(${maintenance})`;
  if (revision === 0 && build === 10_000) return train;
  const named = revision === 0 ? findUpdate(release) : undefined;
  if (named !== undefined) return `${train}SU${named}`;
  return `${major}.${minor}.${maintenance}.${build}${revision === 0 ? '' : `-${revision}`}`;
}

/** The service update of a build with its letter, e.g. `2a`; `undefined` where a build has no sure name. */
function findUpdate(release: Release): string | undefined {
  const patch = (release.build % 1000) - 900;
  if (patch < 0 || patch > 26) return undefined;
  // Up to 11.0 a build from 20000 on may be that of a reissue such as 8.6(2a).
  const last = release.major > 11 || (release.major === 11 && release.minor >= 5) ? 87 : 8;
  for (let update = 1; update <= last; update += 1) {
    if (buildOf(release, { reissue: 0, update, patch }) === release.build) {
      return `${update}${patch === 0 ? '' : String.fromCharCode(96 + patch)}`;
    }
  }
  return undefined;
}

/** Negative when the left release is older, positive when it is newer, 0 when they are the same however written. */
export function compareReleases(left: Release, right: Release): number {
  return (
    left.major - right.major ||
    left.minor - right.minor ||
    left.maintenance - right.maintenance ||
    left.build - right.build ||
    left.revision - right.revision
  );
}

/**
 * Whether a release is a given one or newer.
 *
 * @param least e.g. `12.0`.
 * @throws InputError `usage` when `least` is no release.
 */
export function isAtLeast(release: Release, least: string): boolean {
  return compareReleases(release, parseRelease(least)) >= 0;
}

/** Whether the cluster no longer knows hardware tokens: from 14SU3 on (phone-rules.md, A14). */
export function tokensEnd(release: Release): boolean {
  return isAtLeast(release, '14SU3');
}
