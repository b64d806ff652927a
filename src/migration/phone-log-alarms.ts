import { AlarmSearch } from './alarm.js';
import type { PhoneLogEvent } from './phone-log.js';

/**
 * The DeviceTLInfo alarms in a log, one for each time that a phone told which lists it holds. They are read as those of
 * an inventory are; of a log only what is whole counts, and anything may stand around it.
 */
export function readAlarms(lines: readonly string[]): readonly PhoneLogEvent[] {
  const events: PhoneLogEvent[] = [];
  const search = new AlarmSearch(
    (line, { device, ctl = 'none', itl = 'none' }) => events.push({ kind: 'alarm', line, device, ctl, itl }),
    () => undefined,
  );
  for (const [index, line] of lines.entries()) search.line(index + 1, line);
  search.end();
  return events;
}
