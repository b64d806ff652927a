import { basename } from 'node:path';
import { DeviceError, type DeviceErrorCode } from '../errors.js';
import type { HostFailure } from './host-protocol.js';
import { meaningOf, pinHints, returnValueName } from './return-values.js';
import { pinStateOf } from './token-info.js';

/** What a failure is about: the module, and words for the token or module that messages begin with. */
export interface FailureSubject {
  readonly modulePath: string;
  readonly subject: string;
  /** What the library wrote to its standard error. */
  readonly wrote?: string;
}

const argumentsBad = 0x7;
const wantsParameters =
  'a module that answers like this wants to be told something when it starts, such as where its database is: in ' +
  "ETOKEN_BRIDGE_MODULE_PARAMETERS, or as x-init-reserved in p11-kit's module file for it";

/** How much of that a message repeats, in characters: what was written last. */
const mostWritten = 300;

const bindingHint =
  'install pkcs11js and graphene-pk11 beside etoken-bridge (npm install pkcs11js graphene-pk11; this needs Python 3, ' +
  'make and a C++ compiler); where npm does not run install scripts, allow them for pkcs11js and run npm rebuild pkcs11js';

/** A failure of the host as the error that users see. */
export function deviceError(failure: HostFailure, about: FailureSubject): DeviceError {
  switch (failure.kind) {
    case 'binding':
      return new DeviceError(
        'binding-missing',
        `tokens cannot be used, because a package cannot be loaded: ${failure.message}`,
        {},
        { hint: bindingHint },
      );
    case 'library':
      return loadError(failure, about);
    case 'refused':
      return new DeviceError(
        'pin-incorrect',
        `${about.subject}: ${failure.message}, and no other is tried`,
        {},
        { hint: pinHints.ask(failure.pin ?? 'user') },
      );
    case 'internal':
      return new DeviceError('function-failed', `${about.subject}: ${failure.message}`, placeOf(failure));
    case 'function':
      return functionError(failure, about);
  }
}

function functionError(failure: HostFailure, about: FailureSubject): DeviceError {
  const meaning = meaningOf(failure.functionName, failure.returnValue ?? 0, failure.pin);
  let code: DeviceErrorCode = meaning.code;
  let { words, hint } = meaning;
  const initialising = failure.functionName === 'C_Initialize' || failure.functionName === 'C_GetFunctionList';
  // No token was spoken to yet: what is gone is what the module itself needs.
  if (initialising && (code === 'function-failed' || code === 'token-removed')) {
    const reason = code === 'token-removed' ? 'what it needs does not answer' : words;
    code = 'module-failed';
    words = `the module cannot start: ${reason}${wroteLast(about)}`;
    hint =
      failure.returnValue === argumentsBad
        ? wantsParameters
        : `check what ${basename(about.modulePath)} needs: its service, its configuration, its environment variables`;
  }
  const state = failure.tokenFlags === undefined ? undefined : pinStateOf(failure.tokenFlags);
  if (state?.state === 'locked') return pinError('pin-locked', `${words}, and the PIN is locked now`, failure, about);
  // Read again after the failure: some tokens tell how many tries are left, none tells the number.
  if (state !== undefined && state.state !== 'ok') words = `${words}; ${state.words}`;
  return new DeviceError(code, `${about.subject}: ${words}`, placeOf(failure), hint === undefined ? {} : { hint });
}

/** The last lines that the library wrote: those of a module behind ssh are often ssh's own, and say what is wrong. */
function wroteLast({ wrote = '' }: FailureSubject): string {
  const said = wrote.trim().replaceAll(/\s+/g, ' ');
  if (said === '') return '';
  return `; it wrote: ${said.length > mostWritten ? `…${said.slice(-mostWritten)}` : said}`;
}

function pinError(code: DeviceErrorCode, words: string, failure: HostFailure, about: FailureSubject): DeviceError {
  return new DeviceError(code, `${about.subject}: ${words}`, placeOf(failure), { hint: pinHints.unlock });
}

function placeOf(failure: HostFailure): { functionName?: string; returnValue?: string } {
  return {
    ...(failure.functionName === undefined ? {} : { functionName: failure.functionName }),
    ...(failure.returnValue === undefined ? {} : { returnValue: returnValueName(failure.returnValue) }),
  };
}

/** What the dynamic linker says, by pattern; it says it in its own words on every system. */
const loadFailures: readonly {
  readonly pattern: RegExp;
  readonly code: DeviceErrorCode;
  readonly words: string;
  readonly hint: string;
}[] = [
  {
    pattern: /wrong ELF class|incompatible architecture|not a valid Win32|%1 is not a valid/i,
    code: 'module-wrong-architecture',
    words: 'is built for another processor',
    hint: "install the vendor's package for this processor",
  },
  {
    pattern: /C_GetFunctionList|undefined symbol|symbol not found|procedure could not be found|dlsym/i,
    code: 'module-not-a-library',
    words: 'is a library, and no PKCS#11 module',
    hint: "give the vendor's PKCS#11 library",
  },
];

function loadError(failure: HostFailure, about: FailureSubject): DeviceError {
  const known = loadFailures.find(({ pattern }) => pattern.test(failure.message));
  const missing = /(\S+\.so[.\d]*): cannot open shared object file/.exec(failure.message)?.[1];
  const words = known?.words ?? 'cannot be loaded';
  const hint =
    known?.hint ??
    (missing === undefined
      ? 'it may need other libraries of its vendor, or another C library (glibc, musl) than this system has'
      : `it needs ${missing}: install the package that holds it`);
  const message = `the PKCS#11 module ${about.modulePath} ${words}: ${failure.message}`;
  return new DeviceError(known?.code ?? 'module-failed', message, {}, { hint });
}
