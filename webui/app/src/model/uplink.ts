// An uplink as the form holds it and as the settings hold it.
import type { OutFilter, Preset, Uplink } from "../types";
import { wordOf } from "../words";
import { Checks, setOrDrop, show, type OwnFault } from "./check";
import { joinAddress, splitAddress } from "./wire";

export interface FilterDraft {
  key: number; // for the list on the screen only
  keep: OutFilter;
  filter: string;
  qos: string;
  local: string;
  remote: string;
}

export interface UplinkDraft {
  keep: Uplink;
  id: string;
  websocket: boolean;
  path: string; // of a WebSocket
  host: string;
  port: string;
  tls: boolean;
  clientID: string;
  username: string;
  password: string;
  passwordSet: boolean; // one is kept in the gateway
  dropPassword: boolean;
  version: string; // 4 (3.1.1) or 5
  keepAlive: string;
  caFile: string;
  certFile: string;
  keyFile: string;
  serverName: string;
  alpn: string;
  maxMessages: string;
  maxBytes: string;
  maxAge: string;
  full: string;
  out: FilterDraft[];
  in: FilterDraft[];
}

let keys = 0;

export function newFilter(f: OutFilter): FilterDraft {
  return {
    key: keys++,
    keep: f,
    filter: f.filter,
    qos: String(f.qos ?? 1),
    local: f.local_prefix ?? "",
    remote: f.remote_prefix ?? "",
  };
}

/** newUplink proposes what most people want: everything that is measured, under the name of the site. */
export function newUplink(site: string): UplinkDraft {
  return {
    keep: { id: "", url: "" },
    id: "cloud",
    websocket: false,
    path: "",
    host: "",
    port: "8883",
    tls: true,
    clientID: "",
    username: "",
    password: "",
    passwordSet: false,
    dropPassword: false,
    ...moreOf({ id: "", url: "" }),
    out: [newFilter({ filter: "fieldgate/#", qos: 1, local_prefix: "fieldgate/", remote_prefix: `${site}/` })],
    in: [],
  };
}

/**
 * fromPreset lays what is usual at a known cloud over the entries: its settings under the name of this site, and
 * the scheme and port of its example. Host, login and name stay what they are.
 */
export function fromPreset(preset: Preset, site: string, d: UplinkDraft): UplinkDraft {
  const settings = JSON.parse(JSON.stringify(preset.settings).replaceAll("site-7", site)) as Partial<Uplink>;
  const url = settings.url ?? preset.fill?.find((f) => f.pointer === "/url")?.example ?? "mqtts://x:8883";
  const next = fromUplink({ id: d.id, ...settings, url });
  return {
    ...next,
    keep: { ...settings, id: "", url: "" },
    host: settings.url === undefined ? d.host : next.host,
    clientID: next.clientID || d.clientID,
    username: next.username || d.username,
    password: d.password,
  };
}

/** newCommands proposes how commands come down from the cloud. */
export function newCommands(site: string): FilterDraft {
  return newFilter({ filter: `${site}/cmd/#`, qos: 1, remote_prefix: `${site}/cmd/`, local_prefix: "fieldgate/" });
}

const ports = { mqtt: "1883", mqtts: "8883", ws: "80", wss: "443" };

export function usualPort(websocket: boolean, tls: boolean): string {
  return ports[scheme(websocket, tls)];
}

function scheme(websocket: boolean, tls: boolean): keyof typeof ports {
  if (websocket) return tls ? "wss" : "ws";
  return tls ? "mqtts" : "mqtt";
}

export function fromUplink(u: Uplink): UplinkDraft {
  const [, protocol = "mqtt", place = "", path = ""] = /^(\w+):\/\/([^/]*)(\/.*)?$/.exec(u.url) ?? [];
  const [host, port] = splitAddress(place);
  return {
    keep: u,
    id: u.id,
    websocket: protocol.startsWith("ws"),
    path,
    host,
    port: port || (wordOf(ports, protocol) ?? ""),
    tls: protocol.endsWith("s") && protocol !== "ws",
    clientID: u.client_id ?? "",
    username: u.username ?? "",
    password: "",
    passwordSet: u.password_set === true,
    dropPassword: false,
    ...moreOf(u),
    out: (u.out ?? []).map(newFilter),
    in: (u.in ?? []).map(newFilter),
  };
}

/** withHost takes what was typed for the host; of a whole URL that was pasted each part goes to its field. */
export function withHost(d: UplinkDraft, text: string): Partial<UplinkDraft> {
  const host = text.trim();
  const pasted = host.length > d.host.length + 3 && /^(mqtts?|wss?):\/\/[^\s/]+(\/\S*)?$/.test(host);
  if (!pasted) return { host };
  const u = fromUplink({ id: d.id, url: host });
  return { host: u.host, port: u.port, tls: u.tls, websocket: u.websocket, path: u.path };
}

function moreOf(u: Uplink) {
  const { tls = {}, queue = {} } = u;
  return {
    version: String(u.version ?? 4),
    keepAlive: u.keep_alive ?? "",
    caFile: tls.ca_file ?? "",
    certFile: tls.cert_file ?? "",
    keyFile: tls.key_file ?? "",
    serverName: tls.server_name ?? "",
    alpn: (tls.alpn ?? []).join(", "),
    maxMessages: show(queue.max_messages),
    maxBytes: String(queue.max_bytes ?? ""),
    maxAge: queue.max_age ?? "",
    full: queue.full ?? "drop_oldest",
  };
}

/** setMore puts protocol, encryption and queue into the settings; what is as usual is left out. */
function setMore(d: UplinkDraft, uplink: Uplink, c: Checks): void {
  setOrDrop(uplink, "version", d.version === "4" && d.keep.version === undefined ? undefined : Number(d.version));
  setOrDrop(uplink, "keep_alive", d.keepAlive.trim());
  const tls = { ...d.keep.tls };
  setOrDrop(tls, "ca_file", d.caFile.trim());
  setOrDrop(tls, "cert_file", d.certFile.trim());
  setOrDrop(tls, "key_file", d.keyFile.trim());
  setOrDrop(tls, "server_name", d.serverName.trim());
  const alpn = d.alpn.split(/[\s,]+/).filter(Boolean);
  setOrDrop(tls, "alpn", alpn.length > 0 ? alpn : undefined);
  setOrDrop(uplink, "tls", Object.keys(tls).length > 0 ? tls : undefined);
  const queue = { ...d.keep.queue };
  setOrDrop(queue, "max_messages", c.optional("/queue/max_messages", d.maxMessages, [1, Number.MAX_SAFE_INTEGER]));
  setOrDrop(queue, "max_bytes", d.maxBytes.trim());
  setOrDrop(queue, "max_age", d.maxAge.trim());
  setOrDrop(queue, "full", d.full === "drop_oldest" && d.keep.queue?.full === undefined ? undefined : d.full);
  setOrDrop(uplink, "queue", Object.keys(queue).length > 0 ? queue : undefined);
}

/** toUplink gives the settings (with a password only when one was typed; password_set keeps the one in the gateway) and every fault. */
export function toUplink(d: UplinkDraft): { uplink: Uplink; faults: OwnFault[] } {
  const c = new Checks();
  const id = c.name("/id", d.id);
  const host = c.text("/url", d.host);
  const port = c.whole("/url/port", d.port, [1, 65_535]);
  const uplink: Uplink = {
    ...d.keep,
    id,
    url: `${scheme(d.websocket, d.tls)}://${joinAddress(host, port)}${d.path}`,
  };
  delete uplink.status;
  setOrDrop(uplink, "client_id", d.clientID.trim());
  setOrDrop(uplink, "username", d.username.trim());
  setOrDrop(uplink, "password", d.password);
  setOrDrop(uplink, "password_set", (d.passwordSet && !d.dropPassword && d.password === "") || undefined);
  setMore(d, uplink, c);
  uplink.out = d.out.map((f, i) => toFilter(f, c, `/out/${i}`));
  uplink.in = d.in.map((f, i) => toFilter(f, c, `/in/${i}`));
  if (d.out.length + d.in.length === 0) c.add("/out", "nothing_sent");
  return { uplink, faults: c.faults };
}

function toFilter(f: FilterDraft, c: Checks, at: string): OutFilter {
  const filter: OutFilter = { ...f.keep, filter: c.text(at + "/filter", f.filter), qos: Number(f.qos) };
  setOrDrop(filter, "local_prefix", f.local.trim());
  setOrDrop(filter, "remote_prefix", f.remote.trim());
  return filter;
}

/** mergePatch gives the RFC 7386 patch that turns the saved uplink into the new one; the password goes only when it changes. */
export function mergePatch(d: UplinkDraft, uplink: Uplink): Record<string, unknown> {
  const before: Record<string, unknown> = { ...d.keep };
  const after: Record<string, unknown> = { ...uplink };
  const patch: Record<string, unknown> = {};
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    if (key === "status" || key === "password_set" || key === "id") continue;
    if (JSON.stringify(before[key]) !== JSON.stringify(after[key])) patch[key] = after[key] ?? null;
  }
  if (d.dropPassword && d.password === "") patch.password = null;
  return patch;
}
