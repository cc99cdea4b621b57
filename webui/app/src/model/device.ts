// A device as the form holds it (all texts) and as the settings hold it. What the
// form does not know is kept as it was.
import type { Device, Point } from "../types";
import { isTable, readings, type Table } from "./address";
import { Checks, setOrDrop, show, type OwnFault } from "./check";
import { durationOf, secondsOf } from "./duration";
import { unescaped } from "./escape";

export type Kind = "modbus" | "line";

export interface PointDraft {
  key: number; // for the list on the screen only
  keep: Point;
  id: string;
  table: Table;
  address: string;
  manual: boolean; // the address is meant in the numbering of manuals, where both are possible
  type: string;
  order: string;
  bit: string;
  scale: string;
  offset: string;
  unit: string;
  writable: boolean;
  min: string;
  max: string;
}

export interface DeviceDraft {
  keep: Device;
  id: string;
  unit: string;
  interval: string; // seconds
  enabled: boolean;
  regex: string;
  points: PointDraft[];
}

export const modbusTypes = ["int16", "uint16", "int32", "uint32", "float32", "int64", "uint64", "float64", "bool"];
export const lineTypes = ["float64", "int64", "string", "bool"];
export const orders = ["ABCD", "CDAB", "BADC", "DCBA"];

/** wide tells whether the type takes more than one register, so that an order of words matters. */
export function wide(type: string): boolean {
  return /(32|64)$/.test(type);
}

/** bits tells whether the table holds single bits, which have no type. */
export function bits(table: Table): boolean {
  return table === "coil" || table === "discrete_input";
}

export function canWrite(table: Table): boolean {
  return table === "coil" || table === "holding";
}

let keys = 0;

export function newPoint(kind: Kind): PointDraft {
  return {
    key: keys++,
    keep: { id: "" },
    id: "",
    table: "holding",
    address: "",
    manual: true,
    type: kind === "line" ? "float64" : "int16",
    order: "ABCD",
    bit: "",
    scale: "",
    offset: "",
    unit: "",
    writable: false,
    min: "",
    max: "",
  };
}

export function copyPoint(p: PointDraft): PointDraft {
  return { ...p, key: keys++, keep: structuredClone(p.keep), id: p.id === "" ? "" : `${p.id}-2` };
}

export function newDevice(kind: Kind): DeviceDraft {
  return {
    keep: { id: "" },
    id: "",
    unit: "1",
    interval: "1",
    enabled: true,
    regex: "",
    points: [newPoint(kind)],
  };
}

export function fromDevice(device: Device, kind: Kind): DeviceDraft {
  return {
    keep: device,
    id: device.id,
    unit: show(device.unit),
    interval: show(device.interval === undefined ? undefined : secondsOf(device.interval)),
    enabled: device.enabled !== false,
    regex: device.parse?.regex ?? "",
    points: (device.points ?? []).map((p) => fromPoint(p, kind)),
  };
}

function fromPoint(p: Point, kind: Kind): PointDraft {
  const fresh = newPoint(kind);
  return {
    ...fresh,
    keep: p,
    id: p.id,
    table: isTable(p.table) ? p.table : fresh.table,
    address: show(p.address ?? (kind === "modbus" ? 0 : undefined)),
    manual: false,
    type: p.type ?? fresh.type,
    order: p.order ?? fresh.order,
    bit: show(p.bit),
    scale: show(p.scale),
    offset: show(p.offset),
    unit: p.unit ?? "",
    writable: Boolean(p.write),
    min: show(p.write?.min),
    max: show(p.write?.max),
  };
}

/** toDevice gives the settings and every fault; pointers are those of the settings, "/points/0/address". */
export function toDevice(draft: DeviceDraft, kind: Kind): { device: Device; faults: OwnFault[] } {
  const c = new Checks();
  const device: Device = { ...draft.keep, id: c.name("/id", draft.id) };
  delete device.status;
  setOrDrop(device, "enabled", draft.enabled ? undefined : false);
  if (kind === "modbus") {
    device.unit = c.whole("/unit", draft.unit, [0, 255]);
    const seconds = c.optional("/interval", draft.interval, [0.01, 86_400]);
    setOrDrop(device, "interval", seconds === undefined ? undefined : durationOf(seconds));
  } else {
    device.parse = { ...device.parse, regex: c.text("/parse/regex", draft.regex) };
  }
  device.points = draft.points.map((p, i) => toPoint(p, kind, c, `/points/${i}`));
  twins(draft.points, c);
  return { device, faults: c.faults };
}

function twins(points: PointDraft[], c: Checks): void {
  points.forEach((p, i) => {
    const first = points.findIndex((other) => other.id.trim() === p.id.trim());
    if (p.id.trim() !== "" && first < i) c.add(`/points/${i}/id`, "taken");
  });
}

function toPoint(p: PointDraft, kind: Kind, c: Checks, at: string): Point {
  const point: Point = { ...p.keep, id: c.name(at + "/id", p.id) };
  setOrDrop(point, "unit", p.unit.trim());
  if (kind === "line") {
    point.type = p.type;
    return point;
  }
  point.table = p.table;
  point.address = address(p, c, at + "/address");
  const single = bits(p.table);
  const bit = single ? undefined : c.optional(at + "/bit", p.bit, [0, 15]);
  const number = !single && p.type !== "bool" && bit === undefined;
  setOrDrop(point, "bit", bit);
  setOrDrop(point, "type", single || bit !== undefined ? undefined : p.type);
  setOrDrop(point, "order", number && wide(p.type) ? p.order : undefined);
  setOrDrop(point, "scale", number ? c.optional(at + "/scale", p.scale) : undefined);
  setOrDrop(point, "offset", number ? c.optional(at + "/offset", p.offset) : undefined);
  setOrDrop(point, "write", p.writable && canWrite(p.table) ? write(p, number, c, at + "/write") : undefined);
  return point;
}

function address(p: PointDraft, c: Checks, at: string): number {
  if (p.address.trim() === "") {
    c.add(at, "required");
    return 0;
  }
  const meaning = chosen(p);
  if (meaning) return meaning.wire;
  c.add(at, readings(p.address, p.table).length > 0 ? "other_table" : "bad_address");
  return 0;
}

/** chosen gives the reading of the point's address that is in force; undefined when it has none for its table. */
export function chosen(p: PointDraft): { wire: number; manual: boolean } | undefined {
  const possible = readings(p.address, p.table).filter((r) => r.table === p.table);
  return possible.find((r) => r.manual === p.manual) ?? possible[0];
}

function write(p: PointDraft, number: boolean, c: Checks, at: string): NonNullable<Point["write"]> {
  const w = { ...p.keep.write };
  setOrDrop(w, "min", number ? c.optional(at + "/min", p.min) : undefined);
  setOrDrop(w, "max", number ? c.optional(at + "/max", p.max) : undefined);
  if (w.min !== undefined && w.max !== undefined && w.min > w.max) c.add(at + "/max", "below_min");
  return w;
}

/** expression makes a RegExp of an expression in the gateway's notation, (?P<name>...); the error is in the browser's words. */
export function expression(regex: string): RegExp | Error {
  try {
    return new RegExp(regex.replaceAll("(?P<", "(?<"), "s");
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/** groupNames lists the named groups of an expression, each one a possible point. */
export function groupNames(regex: string): string[] {
  return [...regex.matchAll(/\(\?P?<([A-Za-z_]\w*)>/g)].map(([, name = ""]) => name);
}

/** lastLine finds, in the words of a failed test, the line that came but did not match (it is quoted as Go quotes). */
export function lastLine(error: string): string | undefined {
  const quoted = /the last (?:was|were) "((?:[^"\\]|\\.)*)"/.exec(error)?.[1];
  return quoted === undefined ? undefined : unescaped(quoted);
}
