/** A moment in UTC to the second, as ISO 8601: `2026-01-31T12:00:00Z`. */
export function formatTime(time: Date): string {
  return time.toISOString().replace(/\.\d+Z$/, 'Z');
}
