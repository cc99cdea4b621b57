// Settings that a form offers below "more", described once: where each stands, and how it is written and read.
// An entry that nobody touched leaves its setting exactly as it was, in whatever notation.
import { setOrDrop, type Checks } from "./check";
import { durationOf, secondsOf } from "./duration";

/**
 * text and bytes (control characters as \r or \x02) are texts; list is texts between commas; labels is 0=off, 1=on;
 * values is numbers and texts between commas; seconds and millis are durations; yes is on or off.
 */
export type Notation =
  | "text"
  | "bytes"
  | "number"
  | "whole"
  | "seconds"
  | "millis"
  | "yes"
  | "choice"
  | "list"
  | "labels"
  | "factors"
  | "values";

export interface Setting {
  name: string; // of its words
  path: string; // JSON pointer within the object
  as: Notation;
  range?: [min: number, max: number];
  options?: readonly string[]; // of a choice; the first stands for the key left out
  usual?: boolean; // of yes: what holds when the key is left out
  also?: string; // a word that may stand in the place of a number
  placeholder?: string;
}

/** Entries are what the fields show, by path. */
export type Entries = Readonly<Record<string, string>>;

type Tree = Record<string, unknown>;

function isTree(v: unknown): v is Tree {
  return typeof v === "object" && v !== null && !Array.isArray(v);
}

/** inside gives what a value holds: a bare text, as a name may be, is the English one. */
function inside(v: unknown): Tree {
  return isTree(v) ? v : typeof v === "string" ? { en: v } : {};
}

function valueAt(object: object, path: string): unknown {
  return path
    .slice(1)
    .split("/")
    .reduce<unknown>((at, key) => inside(at)[key], object);
}

/** withValue gives the object with the value at the path; without it for undefined. Objects on the way are copied, and go when they become empty. */
function withValue(object: Tree, keys: string[], value: unknown): Tree {
  const [key = "", ...rest] = keys;
  const out = { ...object };
  if (rest.length === 0) {
    setOrDrop(out, key, value);
    return out;
  }
  const had = out[key];
  const inner = withValue(inside(had), rest, value);
  if (Object.keys(inner).length > 0 || isTree(had)) out[key] = inner;
  return out;
}

/** entriesOf shows the settings of an object. */
export function entriesOf(object: object, settings: readonly Setting[]): Entries {
  return Object.fromEntries(settings.map((s) => [s.path, shown(s, valueAt(object, s.path))]));
}

const control: Record<string, string> = { "\r": "\\r", "\n": "\\n", "\t": "\\t" };

/** visible shows control characters by their escapes; escapes that stand in the text stay as they are. */
export function visible(text: string): string {
  return text.replace(/\p{Cc}/gu, (ch) => control[ch] ?? "\\x" + ch.charCodeAt(0).toString(16).padStart(2, "0"));
}

function plain(v: unknown): string {
  return typeof v === "string" ? v : v === undefined || v === null ? "" : JSON.stringify(v);
}

function pairs(v: unknown): string {
  if (!isTree(v)) return plain(v);
  return Object.entries(v)
    .map(([key, label]) => `${key}=${plain(label)}`)
    .join(", ");
}

function shown(s: Setting, v: unknown): string {
  switch (s.as) {
    case "yes":
      return String(v === undefined ? (s.usual ?? false) : v === true);
    case "bytes":
      return visible(plain(v));
    case "seconds":
    case "millis": {
      const seconds = typeof v === "string" ? secondsOf(v) : undefined;
      if (seconds === undefined) return plain(v);
      return String(s.as === "millis" ? Math.round(seconds * 1e6) / 1e3 : seconds);
    }
    case "list":
      return Array.isArray(v) ? v.map((x) => visible(plain(x))).join(", ") : plain(v);
    case "values":
      return Array.isArray(v) ? v.map(plain).join(", ") : plain(v);
    case "labels":
    case "factors":
      return pairs(v);
    case "choice":
      return plain(v) || (s.options?.[0] ?? "");
    default:
      return plain(v);
  }
}

/** withEntries gives the object with the entries that differ from what it holds; faults go to c below at. */
export function withEntries<T extends object>(
  object: T,
  settings: readonly Setting[],
  entries: Entries,
  c: Checks,
  at: string,
): T {
  let out = object as Tree;
  for (const s of settings) {
    const text = entries[s.path];
    if (text === undefined || text === shown(s, valueAt(object, s.path))) continue;
    out = withValue(out, s.path.slice(1).split("/"), read(s, text, c, at + s.path));
  }
  return out as T;
}

function read(s: Setting, text: string, c: Checks, at: string): unknown {
  const trimmed = text.trim();
  switch (s.as) {
    case "number":
      return c.optional(at, text, s.range);
    case "whole":
      return trimmed === "" ? undefined : c.whole(at, text, s.range ?? [0, 65_535]);
    case "seconds":
    case "millis":
      return duration(s, trimmed, c, at);
    case "yes":
      return text === String(s.usual ?? false) ? undefined : text === "true";
    case "choice":
      return text === s.options?.[0] ? undefined : /^\d+$/.test(text) ? Number(text) : text;
    case "list":
      return parts(text);
    case "values":
      return parts(text)?.map(scalarOf);
    case "labels":
      return table(text, c, at, (label) => label);
    case "factors":
      return table(text, c, at, (label) => c.number(at, label));
    case "bytes":
      return text;
    default:
      return trimmed;
  }
}

function duration(s: Setting, text: string, c: Checks, at: string): string | undefined {
  if (text === "" || text === s.also) return text === "" ? undefined : text;
  if (secondsOf(text) !== undefined) return text; // "1m" is understood too
  const n = c.optional(at, text, s.range);
  return n === undefined ? undefined : durationOf(s.as === "millis" ? n / 1000 : n);
}

function parts(text: string): string[] | undefined {
  const found = text
    .split(",")
    .map((p) => p.trim())
    .filter((p) => p !== "");
  return found.length > 0 ? found : undefined;
}

function scalarOf(text: string): number | string {
  const n = Number(text);
  return Number.isFinite(n) && !/^0x/i.test(text) ? n : text;
}

function table<V>(text: string, c: Checks, at: string, value: (label: string) => V): Record<string, V> | undefined {
  const rows = parts(text);
  if (!rows) return undefined;
  const out: Record<string, V> = {};
  for (const row of rows) {
    const cut = row.indexOf("=");
    if (cut < 1) {
      c.add(at, "bad_pairs");
      return undefined;
    }
    out[row.slice(0, cut).trim()] = value(row.slice(cut + 1).trim());
  }
  return out;
}

/** visibleHint gives the words for how a notation is typed; "" where there is nothing to say. */
export function visibleHint(
  s: Setting,
  words: Record<"bytes" | "seconds" | "millis" | "list" | "labels" | "factors" | "values", string>,
): string {
  return s.as in words ? words[s.as as keyof typeof words] : "";
}
