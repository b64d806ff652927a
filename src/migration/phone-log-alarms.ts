import type { PhoneLogEvent } from './phone-log.js';

const alarmStart = /<Alarm\s+Name\s*=\s*["']DeviceTLInfo["'][^>]{0,200}>/gi;
const alarmEnd = '</Alarm>';

/** An alarm has a dozen short parameters; what is longer is none. */
const longestAlarm = 16_384;

/**
 * The DeviceTLInfo alarms in a log, one for each time that a phone told which lists it holds. Inventories are read
 * strictly, as XML; of a log only what is whole counts, and anything may stand around it.
 */
export function readAlarms(text: string): readonly PhoneLogEvent[] {
  const events: PhoneLogEvent[] = [];
  let line = 1;
  let counted = 0;
  let end = -1;
  for (const match of text.matchAll(alarmStart)) {
    const start = match.index + match[0].length;
    // Looked for once, however many alarms begin before it.
    if (end < start) end = text.indexOf(alarmEnd, start);
    if (end === -1) break;
    if (end - start > longestAlarm) continue;
    line += countBreaks(text.slice(counted, match.index));
    counted = match.index;
    events.push(describeAlarm(text.slice(start, end), line));
  }
  return events;
}

function describeAlarm(body: string, line: number): PhoneLogEvent {
  const values = new Map<string, string>();
  for (const [, name = '', value = ''] of body.matchAll(/<String\s+name\s*=\s*["']([^"'<>]*)["']\s*>([^<]*)</gi)) {
    values.set(name.toLowerCase(), value.trim());
  }
  const device = values.get('devicename');
  return {
    kind: 'alarm',
    line,
    device: device === '' ? undefined : device,
    ctl: digestOf(values.get('ctl_signature')),
    itl: digestOf(values.get('itl_signature')),
  };
}

/** `undefined` for what is no checksum of a list. */
function digestOf(value: string | undefined): string | undefined {
  if (value === undefined) return undefined;
  if (/^not installed$/i.test(value)) return 'none';
  const hex = value.replaceAll(/[\s:]/g, '').toLowerCase();
  return /^(?:[0-9a-f]{32}|[0-9a-f]{40})$/.test(hex) ? hex : undefined;
}

function countBreaks(text: string): number {
  return text.split('\n').length - 1;
}
