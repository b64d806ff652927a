/** The commands that faults are tried on: one that logs in and signs, and one that reads without a PIN. */
export type FaultyCommand = 'ctl sign' | 'token export';

/** One way in which a token, its library or its cable misbehaves, and what must become of the command. */
export interface FaultCase {
  readonly command: FaultyCommand;
  readonly functionName: string;
  /** Which call of the function: each, the first, or the last of those that the command makes. */
  readonly which: 'each' | 'first' | 'last';
  readonly kind: 'error' | 'crash' | 'hang' | 'slow' | 'nothing';
  /** What the shim is to do, in the words of its rules. */
  readonly action: string;
  /** The fault in the words of the table. */
  readonly fault: string;
  readonly exitCode: 0 | 3;
  /** What the message must say besides. */
  readonly says: string;
}

/** How long a call may take in the cases that hang, in seconds. */
export const hangLimit = 2;
/** How long a call takes in the cases that are slow, in milliseconds; nothing is given up for that. */
const slowCall = 400;

type Code = readonly [value: number, name: string];

/** Codes that any function can return. */
const anywhere: readonly Code[] = [
  [0x32, 'CKR_DEVICE_REMOVED'],
  [0x05, 'CKR_GENERAL_ERROR'],
  [0x80000105, 'CKR_VENDOR_DEFINED 0x80000105'],
  [0x30, 'CKR_DEVICE_ERROR'],
  [0xe0, 'CKR_TOKEN_NOT_PRESENT'],
  [0x06, 'CKR_FUNCTION_FAILED'],
  [0x02, 'CKR_HOST_MEMORY'],
  [0xb3, 'CKR_SESSION_HANDLE_INVALID'],
];
/** As many of them as are tried where a command only reads: it reads as one that signs does. */
const codesOfReading = 3;
/** More of them, for the functions that a token is most busy in. */
const rarer: readonly Code[] = [
  [0x31, 'CKR_DEVICE_MEMORY'],
  [0xb0, 'CKR_SESSION_CLOSED'],
  [0xe1, 'CKR_TOKEN_NOT_RECOGNIZED'],
  [0x190, 'CKR_CRYPTOKI_NOT_INITIALIZED'],
  [0x3ff, '0x000003ff'],
];

/** Codes that only these functions return. */
const ofFunction: Readonly<Partial<Record<string, readonly Code[]>>> = {
  C_Initialize: [
    [0x09, 'CKR_NEED_TO_CREATE_THREADS'],
    [0x0a, 'CKR_CANT_LOCK'],
    [0x1b6, 'CKR_FIPS_SELF_TEST_FAILED'],
  ],
  C_OpenSession: [
    ...rarer,
    [0xb1, 'CKR_SESSION_COUNT'],
    [0xb4, 'CKR_SESSION_PARALLEL_NOT_SUPPORTED'],
    [0xb8, 'CKR_SESSION_READ_WRITE_SO_EXISTS'],
  ],
  C_Login: [
    ...rarer,
    [0xa0, 'CKR_PIN_INCORRECT'],
    [0xa1, 'CKR_PIN_INVALID'],
    [0xa2, 'CKR_PIN_LEN_RANGE'],
    [0xa3, 'CKR_PIN_EXPIRED'],
    [0xa4, 'CKR_PIN_LOCKED'],
    [0x102, 'CKR_USER_PIN_NOT_INITIALIZED'],
    [0x104, 'CKR_USER_ANOTHER_ALREADY_LOGGED_IN'],
    [0x50, 'CKR_FUNCTION_CANCELED'],
  ],
  C_SignInit: [
    ...rarer,
    [0x60, 'CKR_KEY_HANDLE_INVALID'],
    [0x62, 'CKR_KEY_SIZE_RANGE'],
    [0x63, 'CKR_KEY_TYPE_INCONSISTENT'],
    [0x68, 'CKR_KEY_FUNCTION_NOT_PERMITTED'],
    [0x70, 'CKR_MECHANISM_INVALID'],
    [0x71, 'CKR_MECHANISM_PARAM_INVALID'],
    [0x90, 'CKR_OPERATION_ACTIVE'],
    [0x101, 'CKR_USER_NOT_LOGGED_IN'],
  ],
  C_Sign: [
    ...rarer,
    [0x07, 'CKR_ARGUMENTS_BAD'],
    [0x20, 'CKR_DATA_INVALID'],
    [0x21, 'CKR_DATA_LEN_RANGE'],
    [0x50, 'CKR_FUNCTION_CANCELED'],
    [0x54, 'CKR_FUNCTION_NOT_SUPPORTED'],
    [0x91, 'CKR_OPERATION_NOT_INITIALIZED'],
    [0x101, 'CKR_USER_NOT_LOGGED_IN'],
    [0x150, 'CKR_BUFFER_TOO_SMALL'],
  ],
};

const looking: readonly string[] = [
  'C_GetFunctionList',
  'C_Initialize',
  'C_GetInfo',
  'C_GetSlotList',
  'C_GetTokenInfo',
  'C_GetSlotInfo',
  'C_OpenSession',
  'C_FindObjectsInit',
  'C_FindObjects',
  'C_FindObjectsFinal',
  'C_GetAttributeValue',
];

/** The functions that each command calls. */
export const functionsOf: Readonly<Record<FaultyCommand, readonly string[]>> = {
  'ctl sign': [...looking, 'C_Login', 'C_SignInit', 'C_Sign', 'C_CloseAllSessions', 'C_Finalize'],
  'token export': [...looking, 'C_GetSessionInfo', 'C_CloseSession', 'C_Finalize'],
};

/** After these nothing can be lost any more: what was signed or read is kept, whatever they do. */
const afterwards: readonly string[] = ['C_CloseAllSessions', 'C_Finalize'];
/** Their errors are no reason to fail: nothing needs a slot's description, and a session ends with the process. */
const forgiven: readonly string[] = [...afterwards, 'C_GetSlotInfo', 'C_CloseSession'];
/** Called more than once by a command: the token can be pulled out in between. */
const repeated: readonly string[] = [
  'C_GetTokenInfo',
  'C_FindObjectsInit',
  'C_FindObjects',
  'C_FindObjectsFinal',
  'C_GetAttributeValue',
];

function errorCases(command: FaultyCommand, functionName: string): readonly FaultCase[] {
  const isReading = command === 'token export';
  const codes = [...anywhere.slice(0, isReading ? codesOfReading : undefined)];
  if (!isReading) codes.push(...(ofFunction[functionName] ?? []));
  const exitCode = forgiven.includes(functionName) ? 0 : 3;
  const one = ([value, name]: Code, which: FaultCase['which']): FaultCase => ({
    command,
    functionName,
    which,
    kind: 'error',
    action: `rv=0x${value.toString(16)}`,
    fault: which === 'last' ? `${name} at its last call` : name,
    exitCode,
    says: `(${functionName}: ${name})`,
  });
  const late = repeated.includes(functionName) && !isReading ? [one([0x32, 'CKR_DEVICE_REMOVED'], 'last')] : [];
  return [...codes.map((code) => one(code, 'each')), ...late];
}

function wildCases(command: FaultyCommand, functionName: string): readonly FaultCase[] {
  const exitCode = afterwards.includes(functionName) ? 0 : 3;
  const common = { command, functionName, which: 'first' as const };
  return [
    {
      ...common,
      kind: 'crash',
      action: 'abort',
      fault: 'crash',
      exitCode,
      says: `it wrote: fault-shim: ${functionName} aborts (${functionName})`,
    },
    {
      ...common,
      kind: 'hang',
      action: 'hang',
      fault: 'hang',
      exitCode,
      says: `no answer within ${String(hangLimit)} s; the process that holds the token was ended (${functionName})`,
    },
    { ...common, kind: 'slow', action: `delay=${String(slowCall)}`, fault: 'slow', exitCode: 0, says: '' },
  ];
}

/** A token that is not there, or shows nothing, without any error. */
const nothing: readonly FaultCase[] = [
  ['ctl sign', 'C_GetSlotList', 'no token was found'],
  ['token export', 'C_GetSlotList', 'no token was found'],
  ['ctl sign', 'C_FindObjects', 'has no'],
].map(([command = '', functionName = '', says = '']) => ({
  command: command as FaultyCommand,
  functionName,
  which: 'each',
  kind: 'nothing',
  action: 'none',
  fault: 'nothing there',
  exitCode: 3,
  says,
}));

/** Every function with every fault. */
export const faultCases: readonly FaultCase[] = [
  ...(['ctl sign', 'token export'] as const).flatMap((command) =>
    functionsOf[command].flatMap((functionName) => [
      ...errorCases(command, functionName),
      ...wildCases(command, functionName),
    ]),
  ),
  ...nothing,
];

/** The exit code of each case that went as expected, and `'failed'` for one that did not. */
export type FaultResults = ReadonlyMap<FaultCase, number | 'failed'>;

/** What became of the cases that were tried on each function, a line for each, and how many of them went as expected. */
export function formatFaultTable(cases: readonly FaultCase[], results: FaultResults): string {
  const codesOf = (of: readonly FaultCase[]): readonly number[] =>
    of.map((one) => results.get(one)).filter((result) => typeof result === 'number');
  const ends = (of: readonly FaultCase[]): string => {
    const codes = codesOf(of);
    const count = codes.length === of.length ? String(of.length) : `${String(codes.length)}/${String(of.length)}`;
    return codes.length === 0 ? count : `${count} → ${[...new Set(codes)].join(', ')}`;
  };
  const rows = (['ctl sign', 'token export'] as const).flatMap((command) =>
    functionsOf[command].map((functionName) => {
      const of = cases.filter((one) => one.command === command && one.functionName === functionName);
      const byKind = (['error', 'crash', 'hang', 'slow', 'nothing'] as const).map((kind) => {
        const some = of.filter((one) => one.kind === kind);
        return (some.length === 0 ? '' : ends(some)).padEnd(8);
      });
      return [command.padEnd(12), functionName.padEnd(20), ...byKind].join(' ').trimEnd();
    }),
  );
  const title = [
    'COMMAND'.padEnd(12),
    'FUNCTION'.padEnd(20),
    'ERRORS',
    '  CRASH ',
    '  HANG  ',
    '  SLOW  ',
    '  NOTHING',
  ];
  const codes = codesOf(cases);
  const failed = cases.filter((one) => results.get(one) === 'failed').length;
  const total = [
    `${String(cases.length)} cases`,
    `${String(codes.length)} as expected`,
    `${String(failed)} failed`,
    `${String(cases.length - codes.length - failed)} not run`,
  ].join(', ');
  const survived = codes.filter((code) => code === 0).length;
  const ended = `of those as expected ${String(codes.length - survived)} ended with exit code 3 and ${String(survived)} were survived (0)`;
  return [title.join(' '), ...rows, total, ended].join('\n');
}
