// A wire (a bridge of the kind modbus or line) as the form holds it and as the settings hold it.
import type { Bridge, Link } from "../types";
import { Checks, setOrDrop, show, type OwnFault } from "./check";
import type { Kind } from "./device";
import { durationOf, secondsOf } from "./duration";
import { escaped, unescaped } from "./escape";

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
  delimiter: string; // with escapes: \r\n
}

export const bauds = ["1200", "2400", "4800", "9600", "19200", "38400", "57600", "115200"];
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
    delimiter: "\\r\\n",
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
    delimiter: bridge.framing?.delimiter === undefined ? fresh.delimiter : escaped(bridge.framing.delimiter),
  };
}

/** toBridge gives the settings without their devices' changes, and every fault. */
export function toBridge(draft: WireDraft): { bridge: Bridge; faults: OwnFault[] } {
  const c = new Checks();
  const bridge: Bridge = { ...draft.keep, id: c.name("/id", draft.id), kind: draft.kind, link: link(draft, c) };
  delete bridge.status;
  const ms = c.optional("/timeout", draft.timeout, [10, 60_000]);
  setOrDrop(bridge, "timeout", ms === undefined ? undefined : durationOf(ms / 1000));
  if (draft.kind === "line") {
    const delimiter = unescaped(draft.delimiter);
    if (delimiter === "") c.add("/framing/delimiter", "required");
    bridge.framing = { ...bridge.framing, delimiter };
  } else {
    delete bridge.framing;
  }
  return { bridge, faults: c.faults };
}

function link(draft: WireDraft, c: Checks): Link {
  const rest = { ...draft.keep.link };
  const serial = rest.serial;
  for (const medium of ["serial", "tcp", "rtu_over_tcp"] as const) Reflect.deleteProperty(rest, medium);
  if (draft.medium === "serial") {
    const port = c.text("/link/serial/port", draft.port);
    const baud = c.whole("/link/serial/baud", draft.baud, [50, 4_000_000]);
    return { ...rest, serial: { ...serial, port, baud, format: draft.format } };
  }
  const at = `/link/${draft.medium}/address`;
  const host = c.text(at, draft.host);
  const address = joinAddress(host, c.whole(at + "/port", draft.tcpPort, [1, 65_535]));
  return draft.medium === "tcp" ? { ...rest, tcp: { address } } : { ...rest, rtu_over_tcp: { address } };
}

/** splitAddress cuts "host:port", "[::1]:502" or a bare host. */
export function splitAddress(address: string): [host: string, port: string] {
  const v6 = /^\[(.*)\](?::(\d+))?$/.exec(address);
  if (v6) return [v6[1] ?? "", v6[2] ?? ""];
  const at = address.lastIndexOf(":");
  if (at < 0 || address.indexOf(":") !== at) return [address, ""];
  return [address.slice(0, at), address.slice(at + 1)];
}

export function joinAddress(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
