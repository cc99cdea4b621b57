// Where in a YAML text a JSON pointer leads, for block style at the top and below lists; as near as that tells.

/** lineOf gives the line, from 1, on which what the pointer names begins; that of the nearest parent when it is not there. */
export function lineOf(yaml: string, pointer: string): number {
  const lines = yaml.split("\n");
  let from = 0;
  let indent = -1; // of the parent; what it holds stands deeper
  for (const part of pointer.split("/").slice(1)) {
    const next = child(lines, from, indent, part);
    if (next === undefined) break;
    [from, indent] = next;
  }
  return from + 1;
}

/** child finds a key or, for a number, an item of a list below the line; it gives its line and its indent. */
function child(lines: string[], from: number, parent: number, part: string): [number, number] | undefined {
  const item = /^\d+$/.test(part);
  const key = new RegExp(`^(\\s*)(?:- *)?["']?${part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}["']?\\s*:`);
  if (parent >= 0 && !item && (lines[from] ?? "").includes(`${part}:`)) return [from, parent]; // {in: flow style}
  let seen = 0;
  let deep: number | undefined; // the indent of the items
  for (let i = parent < 0 ? 0 : item ? from + 1 : from; i < lines.length; i++) {
    const line = lines[i] ?? "";
    if (/^\s*(#|$)/.test(line)) continue;
    const indent = line.search(/\S/);
    const inList = /^\s*- /.test(line);
    if (i > from && parent >= 0 && (item && inList ? indent < parent : indent <= parent)) return undefined;
    if (item) {
      deep ??= inList ? indent : undefined;
      if (inList && indent === deep && seen++ === Number(part)) return [i, indent];
    } else if (key.test(line)) {
      return [i, indent];
    }
  }
  return undefined;
}
