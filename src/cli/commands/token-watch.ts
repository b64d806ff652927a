import { InputError } from '../../errors.js';
import { nameToken, watchTokens, wantedUri, type TokenEvent } from '../../token/index.js';
import { exitCode } from '../exit-code.js';
import type { Output } from '../output.js';
import { describeFailure, describeToken, formatFailure } from '../token-document.js';
import { moduleOf, tokenChoice } from '../token-choice.js';
import { untilStopped } from '../until-stopped.js';
import type { TokenCommandOptions } from './token.js';

const words = {
  present: 'present',
  'plugged-in': 'plugged in',
  'pulled-out': 'pulled out',
  changed: 'changed',
} as const;

/** `token watch`. Ends with exit code 0 when it is told to end. */
export async function showWatch(options: TokenCommandOptions, output: Output): Promise<number> {
  const interval = parseInterval(options.interval ?? '');
  const choice = tokenChoice(options);
  const stop = new AbortController();
  const stopped = untilStopped().then((signal) => {
    stop.abort();
    return signal;
  });
  const { modulePath } = moduleOf(choice);
  const events = watchTokens({
    ...(modulePath === undefined ? {} : { modulePath }),
    uri: wantedUri(choice),
    interval,
    signal: stop.signal,
  });
  output.note(`looking for tokens every ${String(interval / 1000)} s; Ctrl-C ends it`);
  for await (const event of events) report(event, output);
  output.note(`ended by ${await stopped}`);
  return exitCode.done;
}

/** Seconds to milliseconds. */
function parseInterval(text: string): number {
  const seconds = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && seconds >= 0.1 && seconds <= 3600) return seconds * 1000;
  throw new InputError('usage', '--interval is not a number of seconds from 0.1 to 3600');
}

function report(event: TokenEvent, output: Output): void {
  output.event(formatEvent(event), describeEvent(event));
}

function formatEvent(event: TokenEvent): string {
  const time = event.time.toISOString();
  switch (event.kind) {
    case 'module-failed': {
      const hint = event.error.hint === undefined ? '' : `; ${event.error.hint}`;
      return `${time} failed: ${formatFailure(event.modulePath, event.error)}${hint}`;
    }
    case 'no-tokens':
      return `${time} no token: ${event.modulePath}: ${event.reason}`;
    case 'module-works':
      return `${time} works again: ${event.modulePath}`;
    default: {
      const { token } = event;
      const pin = event.kind === 'pulled-out' ? '' : `, PIN ${token.pin.words}`;
      return `${time} ${words[event.kind]}: ${nameToken(token)}${pin}, ${token.uri}`;
    }
  }
}

function describeEvent(event: TokenEvent): object {
  const time = event.time.toISOString();
  switch (event.kind) {
    case 'module-failed':
      return { time, event: event.kind, module: event.modulePath, error: describeFailure(event.error) };
    case 'module-works':
      return { time, event: event.kind, module: event.modulePath };
    case 'no-tokens':
      return { time, event: event.kind, module: event.modulePath, reason: event.reason };
    default:
      return { time, event: event.kind, token: describeToken(event.token) };
  }
}
