// Durations as the settings write them ("500ms", "1m30s") and as people enter them (seconds).

const inSeconds: Record<string, number> = { ns: 1e-9, us: 1e-6, µs: 1e-6, ms: 1e-3, s: 1, m: 60, h: 3600 };

/** secondsOf reads "1m30s" as 90; undefined when the text is no duration. */
export function secondsOf(text: string): number | undefined {
  if (!/^(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$/.test(text)) return undefined;
  let sum = 0;
  for (const [, number, unit = ""] of text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)) {
    sum += Number(number) * (inSeconds[unit] ?? 0);
  }
  return Math.round(sum * 1e6) / 1e6;
}

/** durationOf writes seconds in the shortest whole unit: 0.5 is "500ms", 90 is "90s". */
export function durationOf(seconds: number): string {
  const ms = Math.round(seconds * 1000);
  return ms % 1000 === 0 ? `${ms / 1000}s` : `${ms}ms`;
}
