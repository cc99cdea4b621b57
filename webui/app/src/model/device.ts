// A device as the form holds it (all texts) and as the settings hold it. What the
// form does not know is kept as it was.
import type { Device, Point } from "../types";
import { ambiguous, hex, isTable, manualNumber, readings, type Table } from "./address";
import { Checks, setOrDrop, show, type OwnFault } from "./check";
import { durationOf, secondsOf } from "./duration";
import { unescaped } from "./escape";
import {
  allLinePoint,
  allModbusPoint,
  lineAsk,
  lineDevice,
  modbusDevice,
  modbusWrite,
  parseMore,
  parseOf,
  parses,
  writeStep,
  type Parse,
} from "./field-settings";
import { entriesOf, withEntries, type Entries } from "./setting";

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
  over: boolean; // laid over the template's point of that id: what is left out comes from there
  more: Entries;
}

export interface DeviceDraft {
  keep: Device;
  id: string;
  unit: string;
  interval: string; // seconds
  enabled: boolean;
  template: string; // id; empty for none
  off: readonly string[]; // points of the template that are not read
  parse: Parse | ""; // of a line device; empty is as the template says
  regex: string;
  more: Entries;
  points: PointDraft[];
}

export const modbusTypes = [
  "int16",
  "uint16",
  "int32",
  "uint32",
  "float32",
  "bool",
  "int64",
  "uint64",
  "float64",
  "int8",
  "uint8",
  "float16",
  "bcd16",
  "bcd32",
  "string",
  "bits",
  "raw",
];
export const lineTypes = ["float64", "int64", "string", "bool"];
export const binaryTypes = [
  "uint8",
  "int8",
  "uint16",
  "int16",
  "uint32",
  "int32",
  "uint64",
  "int64",
  "float32",
  "float64",
  "bcd8",
  "bcd16",
  "bcd32",
  "string",
  "raw",
  "bool",
];
export const orders = ["ABCD", "CDAB", "BADC", "DCBA"];

/** ordered tells whether an order of bytes matters for the type: it takes more than one register, or a part of one. */
export function ordered(type: string): boolean {
  return /(32|64)$/.test(type) || /^u?int8$/.test(type) || type === "string";
}

/** sized tells whether the type wants its number of registers. */
export function sized(type: string): boolean {
  return type === "string" || type === "raw" || type === "bits";
}

/** numeric tells whether a point is a number, which can be scaled. */
export function numeric(p: Pick<PointDraft, "table" | "type" | "bit">): boolean {
  return !bits(p.table) && p.type !== "bool" && !sized(p.type) && p.bit.trim() === "";
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
    over: false,
    more: entriesOf({}, pointSettings(kind)),
  };
}

function pointSettings(kind: Kind) {
  return kind === "modbus" ? allModbusPoint : allLinePoint;
}

function deviceSettings(kind: Kind) {
  return kind === "modbus" ? modbusDevice : [...lineAsk, ...lineDevice, ...parseMore, ...Object.values(parseOf).flat()];
}

export function copyPoint(p: PointDraft): PointDraft {
  return { ...p, key: keys++, keep: structuredClone(p.keep), id: p.id === "" ? "" : `${p.id}-2` };
}

/** overPoint changes a point of the template; what it does not say stays as the template has it. */
export function overPoint(id: string, kind: Kind): PointDraft {
  return fromPoint({ id }, kind, undefined, true);
}

export function newDevice(kind: Kind): DeviceDraft {
  return {
    keep: { id: "" },
    id: "",
    unit: "1",
    interval: "1",
    enabled: true,
    template: "",
    off: [],
    parse: "regex",
    regex: "",
    more: entriesOf({}, deviceSettings(kind)),
    points: [newPoint(kind)],
  };
}

export function fromDevice(device: Device, kind: Kind): DeviceDraft {
  const templated = device.template !== undefined;
  const off = templated ? (device.points ?? []).filter(isOff).map((p) => p.id) : [];
  return {
    keep: device,
    id: device.id,
    unit: show(device.unit),
    interval: show(device.interval === undefined ? undefined : secondsOf(device.interval)),
    enabled: device.enabled !== false,
    template: device.template ?? "",
    off,
    parse: parses.find((form) => Boolean(device.parse?.[form])) ?? (templated ? "" : "regex"),
    regex: device.parse?.regex ?? "",
    more: entriesOf(device, deviceSettings(kind)),
    points: (device.points ?? [])
      .filter((p) => !(templated && isOff(p)))
      .map((p) => fromPoint(p, kind, device.addresses, templated && isOver(p))),
  };
}

/** isOff: the point says only that the template's point of that id is not read. */
function isOff(p: Point): boolean {
  return p.enabled === false && Object.keys(p).length === 2;
}

/** isOver: the point does not say where it is, so it can only be a change of the template's. */
function isOver(p: Point): boolean {
  return !["table", "address", "sunspec", "field", "group", "at"].some((key) => key in p);
}

function fromPoint(p: Point, kind: Kind, addresses?: string, over = false): PointDraft {
  const fresh = newPoint(kind);
  const table = isTable(p.table) ? p.table : fresh.table;
  const none = kind === "line" || over || p.sunspec !== undefined;
  const counted = addresses === "manual" && typeof p.address === "number" && p.address >= 1 && p.address < 10_000;
  return {
    ...fresh,
    keep: p,
    id: p.id,
    table,
    address: none
      ? ""
      : counted && typeof p.address === "number"
        ? manualNumber(table, p.address - 1)
        : String(p.address ?? 0),
    manual: addresses === "manual",
    type: p.type ?? fresh.type,
    order: p.order ?? fresh.order,
    bit: show(p.bit),
    scale: show(p.scale),
    offset: show(p.offset),
    unit: p.unit ?? "",
    writable: Boolean(p.write),
    min: show(p.write?.min),
    max: show(p.write?.max),
    over,
    more: entriesOf(p, pointSettings(kind)),
  };
}

/** toDevice gives the settings and every fault; pointers are those of the settings, "/points/0/address". */
export function toDevice(draft: DeviceDraft, kind: Kind): { device: Device; faults: OwnFault[] } {
  const c = new Checks();
  let device: Device = { ...draft.keep, id: c.name("/id", draft.id) };
  delete device.status;
  setOrDrop(device, "enabled", draft.enabled ? undefined : false);
  setOrDrop(device, "template", draft.template);
  const addresses = draft.more["/addresses"];
  if (kind === "modbus") {
    if (draft.unit.trim() !== "" || draft.template === "") {
      if (draft.unit !== show(draft.keep.unit) || draft.keep.unit === undefined)
        device.unit = c.whole("/unit", draft.unit, [0, 255]);
    } else delete device.unit;
    const was = draft.keep.interval === undefined ? "" : show(secondsOf(draft.keep.interval));
    if (draft.interval !== was) {
      const seconds = c.optional("/interval", draft.interval, [0.01, 86_400]);
      setOrDrop(device, "interval", seconds === undefined ? undefined : durationOf(seconds));
    }
    device = withEntries(device, modbusDevice, draft.more, c, "");
  } else {
    setOrDrop(device, "parse", parseSettings(draft, c));
    const form = draft.parse === "" ? [] : parseOf[draft.parse];
    device = withEntries(device, [...lineAsk, ...lineDevice, ...parseMore, ...form], draft.more, c, "");
  }
  const points = draft.points.map((p, i) => toPoint(p, kind, c, `/points/${i}`, addresses));
  twins(draft.points, c);
  const off = draft.off.map((id) => ({ id, enabled: false }));
  if (points.length + off.length > 0 || draft.keep.points || draft.template === "") device.points = [...points, ...off];
  return { device, faults: c.faults };
}

/** parseSettings gives the form of a line device's frames; of another form than before nothing is kept. */
function parseSettings(draft: DeviceDraft, c: Checks): Device["parse"] {
  const form = draft.parse;
  const parse: NonNullable<Device["parse"]> = { ...draft.keep.parse };
  for (const other of parses) if (other !== form) Reflect.deleteProperty(parse, other);
  if (form === "regex") parse.regex = c.text("/parse/regex", draft.regex);
  else if (form === "csv" || form === "key_value") parse[form] ??= {};
  else if (form !== "") parse[form] = true;
  return Object.keys(parse).length > 0 ? parse : undefined;
}

function twins(points: PointDraft[], c: Checks): void {
  points.forEach((p, i) => {
    const first = points.findIndex((other) => other.id.trim() === p.id.trim());
    if (p.id.trim() !== "" && first < i) c.add(`/points/${i}/id`, "taken");
  });
}

function toPoint(p: PointDraft, kind: Kind, c: Checks, at: string, addresses = ""): Point {
  const point: Point = { ...p.keep, id: c.name(at + "/id", p.id) };
  setOrDrop(point, "unit", p.unit.trim());
  if (kind === "line") return toLinePoint(p, point, c, at);
  const was = p.keep.id === "" && !p.over ? undefined : fromPoint(p.keep, kind, addresses, p.over);
  const settings = allModbusPoint.filter((s) => !s.path.startsWith("/write/"));
  if (p.over) return withEntries(point, settings, p.more, c, at);
  const moved = was?.table !== p.table || was.type !== p.type || was.bit !== p.bit;
  if (was?.table !== p.table) point.table = p.table;
  if (was?.address !== p.address || was.manual !== p.manual || was.table !== p.table) {
    if (p.keep.sunspec === undefined) point.address = address(p, c, at + "/address", addresses);
  }
  const single = bits(p.table);
  const bit = single ? undefined : c.optional(at + "/bit", p.bit, [0, 15]);
  const number = numeric(p);
  if (moved) {
    setOrDrop(point, "bit", bit);
    setOrDrop(point, "type", single || bit !== undefined ? undefined : p.type);
  }
  if (moved || was.order !== p.order)
    setOrDrop(point, "order", !single && bit === undefined && ordered(p.type) ? p.order : undefined);
  const scaled = (text: string, key: "scale" | "offset"): void => {
    if (moved || was[key] !== text) setOrDrop(point, key, number ? c.optional(`${at}/${key}`, text) : undefined);
  };
  scaled(p.scale, "scale");
  scaled(p.offset, "offset");
  const writable = p.writable && canWrite(p.table);
  setOrDrop(point, "write", writable ? write(p, number, c, at + "/write") : undefined);
  const ofWrite = writable ? [...modbusWrite, ...(number ? [writeStep] : [])] : [];
  return withEntries(point, [...settings, ...ofWrite], p.more, c, at);
}

function toLinePoint(p: PointDraft, point: Point, c: Checks, at: string): Point {
  if (!p.over && (p.keep.id === "" || p.type !== (p.keep.type ?? "float64"))) point.type = p.type;
  const settings = allLinePoint.filter((s) => p.writable || !s.path.startsWith("/write/"));
  if (!p.writable) delete point.write;
  return withEntries(point, settings, p.more, c, at);
}

function address(p: PointDraft, c: Checks, at: string, addresses: string): number | string {
  if (p.address.trim() === "") {
    c.add(at, "required");
    return 0;
  }
  const meaning = chosen(p);
  if (!meaning) {
    c.add(at, readings(p.address, p.table).length > 0 ? "other_table" : "bad_address");
    return 0;
  }
  // Hexadecimal is the one notation that is never taken for a number of a manual.
  const doubtful = addresses === "manual" || (addresses !== "wire" && ambiguous(meaning.wire));
  return doubtful ? hex(meaning.wire) : meaning.wire;
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
  if (!number) delete w.step;
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
