// A wire (a bridge of the kind modbus or line) as the form holds it and as the settings hold it.
import type { Template } from "../tool-types";
import type { Bridge, Link } from "../types";
import { Checks, setOrDrop, show, type OwnFault } from "./check";
import type { Kind } from "./device";
import { durationOf, secondsOf } from "./duration";
import { unescaped } from "./escape";
import {
  checksum,
  checksumType,
  framing,
  framings,
  lineSerial,
  lineWire,
  modbusSerial,
  modbusTCP,
  modbusWire,
  type Framing,
} from "./field-settings";
import { entriesOf, visible, withEntries, type Entries } from "./setting";

export type Medium = "serial" | "tcp" | "rtu_over_tcp";

export interface WireDraft {
  keep: Bridge;
  id: string;
  kind: Kind;
  medium: Medium;
  port: string;
  baud: string;
  format: string;
  host: string;
  tcpPort: string;
  timeout: string; // milliseconds
  framing: Framing;
  delimiter: string; // with escapes: \r\n
  more: Entries;
}

function settingsOf(kind: Kind) {
  return kind === "modbus"
    ? [...modbusSerial, ...modbusTCP, ...modbusWire]
    : [...lineSerial, ...lineWire, checksumType, ...checksum, ...Object.values(framing).flat()];
}

export const bauds = ["300", "600", "1200", "2400", "4800", "9600", "19200", "38400", "57600", "115200", "230400"];
export const formats = ["8N1", "8E1", "8O1", "8N2", "7E1", "7O1", "7N2", "7E2", "7O2"];
export const delimiters = ["\\r\\n", "\\n", "\\r"];

export function newWire(id: string): WireDraft {
  return {
    keep: { id: "", kind: "modbus" },
    id,
    kind: "modbus",
    medium: "serial",
    port: "",
    baud: "9600",
    format: "8N1",
    host: "",
    tcpPort: "502",
    timeout: "",
    framing: "delimiter",
    delimiter: "\\r\\n",
    more: {},
  };
}

/** withTemplate begins a new wire as a template's device is shipped. */
export function withTemplate(draft: WireDraft, template: Pick<Template, "kind" | "serial" | "bridge">): WireDraft {
  const kind: Kind = template.kind === "line" ? "line" : "modbus";
  const begun = fromBridge({ ...template.bridge, id: draft.id, kind });
  const { medium, port, host, tcpPort } = draft;
  return {
    ...begun,
    medium: kind === "line" && medium === "rtu_over_tcp" ? "tcp" : medium,
    port,
    host,
    tcpPort,
    ...(template.serial && { baud: String(template.serial.baud), format: template.serial.format }),
  };
}

/** freeName gives the first of wire-1, wire-2, ... that is not taken. */
export function freeName(taken: string[]): string {
  let n = 1;
  while (taken.includes(`wire-${n}`)) n++;
  return `wire-${n}`;
}

export function kindOf(bridge: Bridge | undefined): Kind {
  return bridge?.kind === "line" ? "line" : "modbus";
}

export function fromBridge(bridge: Bridge): WireDraft {
  const link = bridge.link ?? {};
  const fresh = newWire(bridge.id);
  const [host, tcpPort] = splitAddress((link.tcp ?? link.rtu_over_tcp)?.address ?? "");
  const timeout = bridge.timeout === undefined ? undefined : secondsOf(bridge.timeout);
  return {
    ...fresh,
    keep: bridge,
    kind: kindOf(bridge),
    medium: link.tcp ? "tcp" : link.rtu_over_tcp ? "rtu_over_tcp" : "serial",
    port: link.serial?.port ?? "",
    baud: show(link.serial?.baud) || fresh.baud,
    format: link.serial?.format ?? fresh.format,
    host,
    tcpPort: tcpPort || fresh.tcpPort,
    timeout: show(timeout === undefined ? undefined : Math.round(timeout * 1000)),
    framing: framingOf(bridge),
    delimiter: bridge.framing?.delimiter === undefined ? fresh.delimiter : visible(bridge.framing.delimiter),
    more: entriesOf(bridge, settingsOf(kindOf(bridge))),
  };
}

function framingOf(bridge: Bridge): Framing {
  const f = bridge.framing;
  if (f?.start && !f.length && !f.length_field) return "marks";
  return framings.find((form) => form !== "marks" && f?.[form] !== undefined) ?? "delimiter";
}

/** toBridge gives the settings without their devices' changes, and every fault. */
export function toBridge(draft: WireDraft): { bridge: Bridge; faults: OwnFault[] } {
  const c = new Checks();
  const bridge: Bridge = { ...draft.keep, id: c.name("/id", draft.id), kind: draft.kind, link: link(draft, c) };
  delete bridge.status;
  const line = draft.kind === "line";
  if (line) setOrDrop(bridge, "framing", frames(draft, c));
  else {
    const was = draft.keep.timeout === undefined ? undefined : secondsOf(draft.keep.timeout);
    if (draft.timeout !== show(was === undefined ? undefined : Math.round(was * 1000))) {
      const ms = c.optional("/timeout", draft.timeout, [10, 60_000]);
      setOrDrop(bridge, "timeout", ms === undefined ? undefined : durationOf(ms / 1000));
    }
    delete bridge.framing;
  }
  const serial = draft.medium === "serial";
  const settings = line
    ? [...(serial ? lineSerial : []), ...lineWire, checksumType, ...checksum, ...framing[draft.framing]]
    : [...(serial ? modbusSerial : []), ...(draft.medium === "tcp" ? modbusTCP : []), ...modbusWire];
  return { bridge: withEntries(bridge, settings, draft.more, c, ""), faults: c.faults };
}

/** frames gives the framing; of another form than before nothing but the limit is kept. */
function frames(draft: WireDraft, c: Checks): Bridge["framing"] {
  const had = draft.keep.framing;
  const same = draft.framing === framingOf(draft.keep);
  const kept = same ? { ...had } : had?.max_length === undefined ? {} : { max_length: had.max_length };
  if (draft.framing !== "delimiter") return Object.keys(kept).length > 0 ? kept : undefined;
  if (same && had?.delimiter !== undefined && draft.delimiter === visible(had.delimiter)) return kept;
  const delimiter = unescaped(draft.delimiter);
  if (delimiter === "") c.add("/framing/delimiter", "required");
  return { ...kept, delimiter };
}

function link(draft: WireDraft, c: Checks): Link {
  const rest = { ...draft.keep.link };
  const { serial, tcp, rtu_over_tcp } = rest;
  for (const medium of ["serial", "tcp", "rtu_over_tcp"] as const) Reflect.deleteProperty(rest, medium);
  if (draft.medium === "serial") {
    const port = c.text("/link/serial/port", draft.port);
    const baud = c.whole("/link/serial/baud", draft.baud, [50, 4_000_000]);
    const said = { ...serial, port };
    if (serial?.baud !== undefined || draft.baud !== "9600" || !serial) said.baud = baud;
    if (serial?.format !== undefined || draft.format !== "8N1" || !serial) said.format = draft.format;
    return { ...rest, serial: said };
  }
  const at = `/link/${draft.medium}/address`;
  const host = c.text(at, draft.host);
  const address = joinAddress(host, c.whole(at + "/port", draft.tcpPort, [1, 65_535]));
  return draft.medium === "tcp"
    ? { ...rest, tcp: { ...tcp, address } }
    : { ...rest, rtu_over_tcp: { ...rtu_over_tcp, address } };
}

/** splitAddress cuts "host:port", "[::1]:502" or a bare host. */
export function splitAddress(address: string): [host: string, port: string] {
  const v6 = /^\[(.*)\](?::(\d+))?$/.exec(address);
  if (v6) return [v6[1] ?? "", v6[2] ?? ""];
  const at = address.lastIndexOf(":");
  if (at < 0 || address.indexOf(":") !== at) return [address, ""];
  return [address.slice(0, at), address.slice(at + 1)];
}

/** joinAddress joins them; a host that was pasted with its port keeps that. */
export function joinAddress(host: string, port: number): string {
  if (/^[^:]+:\d+$/.test(host)) return host;
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
