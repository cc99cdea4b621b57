// How numbers, times, values and faults read to a person.
import { ApiError } from "./api";
import type { Messages } from "./i18n";
import type { OwnFault } from "./model/check";
import type { Scalar, State } from "./types";

/** age writes a duration in one unit; ms may be negative when clocks differ a little. */
export function age(ms: number, t: Messages): string {
  const s = Math.floor(ms / 1000);
  if (s < 1) return t.age.now;
  if (s < 100) return t.age.seconds(s);
  if (s < 100 * 60) return t.age.minutes(Math.round(s / 60));
  if (s < 48 * 3600) return t.age.hours(Math.round(s / 3600));
  return t.age.days(Math.round(s / 86_400));
}

/** scalar writes a value: numbers as short as they are exact enough for the eye, switches in words. */
export function scalar(v: Scalar, t: Messages): string {
  if (v === null) return "–";
  if (typeof v === "boolean") return v ? t.on : t.off;
  if (typeof v === "string") return v;
  if (Number.isInteger(v)) return Number.isSafeInteger(v) ? String(v) : `≈ ${v}`; // no more digits than a browser knows
  return String(Number(v.toPrecision(7)));
}

export function bytes(count: number): string {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let n = count;
  let unit = 0;
  while (n >= 1000 && unit < units.length - 1) {
    n /= 1000;
    unit++;
  }
  return `${unit === 0 ? n : n.toFixed(n < 10 ? 1 : 0)} ${units[unit]}`;
}

export function stateWord(state: State | undefined, t: Messages): string {
  return state ? t.state[state] : t.state.unknown;
}

/** codeWord explains a code of the gateway; a code without words is shown as it is. */
export function codeWord(code: string, t: Messages): string {
  return wordOf(t.codes, code) ?? code.replaceAll("_", " ");
}

/** wordOf looks a key up that may not be in the table. */
export function wordOf(table: Record<string, string>, key: string): string | undefined {
  return Object.hasOwn(table, key) ? table[key] : undefined;
}

/** faultText words a fault of a field. The gateway's own words are English, so another language puts its word for the code first. */
export function faultText(f: OwnFault, t: Messages, english: boolean): string {
  if (f.detail !== "") return english ? sentence(f.detail) : `${codeWord(f.code, t)} (${f.detail})`;
  if (f.code === "out_of_range") {
    return f.range ? t.own.out_of_range(...f.range) : codeWord(f.code, t);
  }
  return f.code in t.own ? t.own[f.code as Exclude<keyof Messages["own"], "out_of_range">] : codeWord(f.code, t);
}

function sentence(text: string): string {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?。]$/.test(first) ? first : first + ".";
}

/** callText words why a call failed. */
export function callText(error: unknown, t: Messages, english: boolean): string {
  if (!(error instanceof ApiError)) return t.call.other(error instanceof Error ? error.message : "?");
  const known =
    error.code in t.call && error.code !== "other"
      ? t.call[error.code as Exclude<keyof Messages["call"], "other">]
      : undefined;
  if (error.detail === "") return known ?? t.call.other(error.code);
  if (error.code === "login") return error.detail; // our own words already
  if (english) return sentence(error.detail);
  return `${known ?? t.call.other(error.code)} (${error.detail})`;
}
