// A payload as text, JSON or hex.
import type { Payload } from "../admin-types";

export type View = "text" | "json" | "hex";

/** bytesOf gives the bytes that were shown; at most 4 KiB of a payload are. */
export function bytesOf(p: Payload): Uint8Array {
  if (p.payload !== null) return new TextEncoder().encode(p.payload);
  const text = atob(p.payload_base64 ?? "");
  return Uint8Array.from(text, (c) => c.charCodeAt(0));
}

/** jsonOf gives the payload as indented JSON; undefined when it is no object or list in whole. */
export function jsonOf(p: Payload): string | undefined {
  if (p.payload === null || p.truncated || !/^\s*[[{]/.test(p.payload)) return undefined;
  try {
    return JSON.stringify(JSON.parse(p.payload), null, 2);
  } catch {
    return undefined;
  }
}

/** hexOf writes 16 bytes to a line: where they are, the bytes, and what is printable of them. */
export function hexOf(p: Payload): string {
  const bytes = bytesOf(p);
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = [...bytes.slice(at, at + 16)];
    const hex = row.map((b) => b.toString(16).padStart(2, "0")).join(" ");
    const text = row.map((b) => (b >= 0x20 && b < 0x7f ? String.fromCharCode(b) : ".")).join("");
    lines.push(`${at.toString(16).padStart(4, "0")}  ${hex.padEnd(47)}  ${text}`);
  }
  return lines.join("\n");
}

/** viewsOf gives the ways in which a payload can be shown, the best first. */
export function viewsOf(p: Payload): View[] {
  if (p.payload === null) return ["hex"];
  return jsonOf(p) === undefined ? ["text", "hex"] : ["json", "text", "hex"];
}
