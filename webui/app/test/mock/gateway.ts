// A gateway for the page's own tests: the REST interface of docs/api.md in memory,
// with devices whose values follow the time, behind the headers of the real one.
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";
import type { HandWrite, Read, Scan, Template } from "../../src/tool-types";
import { AdminMock } from "./admin";
import type {
  Alarm,
  Bridge,
  Device,
  Fault,
  HomeAssistant,
  Point,
  Role,
  SerialPort,
  State,
  Status,
  Uplink,
  Value,
} from "../../src/types";

import { presets, readTable, usualHome, writeTable } from "./upkeep";
import { checkTemplate, history, MockScan, monitor, readBack, templates, writeBack } from "./tools";

const dist = join(import.meta.dirname, "../../../dist");
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
  "font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
const types: Record<string, string> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
};

class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly detail: string,
    readonly errors: Fault[] = [],
  ) {
    super(detail);
  }
}

interface Answer {
  status: number;
  body?: unknown;
  headers?: Record<string, string>;
}

const ok = (body: unknown, headers: Record<string, string> = {}): Answer => ({ status: 200, body, headers });
const list = (items: unknown[]): Answer => ok({ items, next: null });
const etag = (v: unknown): string =>
  `"${createHash("sha256").update(JSON.stringify(v)).digest("base64url").slice(0, 20)}"`;

/** MockGateway may be changed from a test while it runs. */
export class MockGateway {
  claimed = false;
  codeRequired = false;
  language = "en";
  role: Role = "admin";
  readonly admin = new AdminMock((status, code, detail, errors) => new Refusal(status, code, detail, errors));
  bridges: Bridge[] = [];
  uplinks: Uplink[] = [];
  alarms: Alarm[] = [];
  ports: SerialPort[] = [
    {
      port: "/dev/serial/by-id/usb-FTDI_FT232R-if00",
      device: "/dev/ttyUSB0",
      name: "FT232R USB UART",
      used_by: "",
      problem: "",
    },
    {
      port: "/dev/ttyS0",
      device: "/dev/ttyS0",
      name: "",
      used_by: "",
      problem: "permission denied: add the user fieldgate to the group dialout",
    },
  ];
  sick = new Set<string>(); // devices that give no answer
  written = new Map<string, number | boolean | string>();
  byHand: HandWrite[] = []; // what was written on wires
  sessions = new Set<string>();
  streams = 0; // open streams of events
  templates: Template[] = structuredClone(templates);
  scan: MockScan | undefined;
  homeAssistant = { ...usualHome };
  away = false; // it answers nothing from a restart on
  unsynced = false; // the clock has not been set
  hold = false; // a search finds nothing more
  refuse: { code: string; detail: string } | undefined; // every write
  private user = { name: "", password: "" };
  private server: Server | undefined;
  private readonly since = new Date().toISOString();

  /** start listens on a free port and gives the address. */
  async start(): Promise<string> {
    if (!existsSync(join(dist, "index.html"))) throw new Error("the page is not built: npm run build");
    this.server = createServer((q, r) => void this.serve(q, r));
    await new Promise<void>((up) => this.server?.listen(0, "127.0.0.1", up));
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.server?.closeAllConnections();
    await new Promise((down) => this.server?.close(down));
  }

  /** drop cuts all connections, as a pulled cable with a quick switch would. */
  drop(): void {
    this.server?.closeAllConnections();
  }

  private async serve(q: IncomingMessage, r: ServerResponse): Promise<void> {
    r.setHeader("Content-Security-Policy", policy);
    const url = new URL(q.url ?? "/", "http://gateway");
    if (!url.pathname.startsWith("/api/v1/")) return this.file(url.pathname, r);
    const path = url.pathname.slice("/api/v1".length);
    if (this.away && this.admin.restarts > 0) {
      q.socket.destroy();
      return;
    }
    try {
      const body = await readBody(q);
      if (path === "/events") {
        this.events(q, r);
        return;
      }
      if (/^\/bridges\/[^/]+\/monitor$/.test(path)) {
        monitor(r);
        return;
      }
      if (path.endsWith("/trace")) {
        this.trace(r);
        return;
      }
      const tool = this.loggedIn(q) ? this.tool(q.method ?? "GET", path, url, body) : undefined;
      const { status, body: out, headers } = tool ?? this.route(q, path, body, url.searchParams);
      r.writeHead(status, { "Content-Type": "application/json", ...headers });
      r.end(out === undefined ? undefined : typeof out === "string" ? out : JSON.stringify(out));
    } catch (e) {
      const p = e instanceof Refusal ? e : new Refusal(500, "internal", String(e));
      r.writeHead(p.status, { "Content-Type": "application/problem+json" });
      const { status, code, detail, errors } = p;
      r.end(JSON.stringify({ type: "about:blank", title: "Problem", status, code, detail, errors }));
    }
  }

  private async file(path: string, r: ServerResponse): Promise<void> {
    const name = normalize(path === "/" ? "/index.html" : path);
    try {
      const text = await readFile(join(dist, name));
      r.writeHead(200, { "Content-Type": types[extname(name)] ?? "application/octet-stream" });
      r.end(text);
    } catch {
      r.writeHead(404).end();
    }
  }

  private loggedIn(q: IncomingMessage): boolean {
    const cookie = /fg_session=(\w+)/.exec(q.headers.cookie ?? "")?.[1] ?? "";
    return this.sessions.has(cookie);
  }

  private login(status: number): Answer {
    const id = Math.random().toString(36).slice(2);
    this.sessions.add(id);
    return {
      status,
      body: { user: this.me() },
      headers: { "Set-Cookie": `fg_session=${id}; Path=/; HttpOnly; SameSite=Strict` },
    };
  }

  private me() {
    return { name: this.user.name, role: this.role, language: this.language };
  }

  private route(q: IncomingMessage, path: string, body: unknown, query: URLSearchParams): Answer {
    const method = q.method ?? "GET";
    const [resource = "", id, action, point, verb] = path.split("/").filter(Boolean).map(decodeURIComponent);
    if (resource === "setup") return this.setup(method, body as Record<string, string>);
    if (path === "/session" && method === "POST") {
      const { name, password } = body as Record<string, string>;
      if (name !== this.user.name || password !== this.user.password)
        throw new Refusal(401, "unauthorized", "the name or the password is wrong");
      return this.login(200);
    }
    if (!this.loggedIn(q)) throw new Refusal(401, "unauthorized", "log in first");
    const match = q.headers["if-match"];
    switch (resource) {
      case "session":
        if (method === "DELETE") {
          this.sessions.clear();
          return { status: 204 };
        }
        if (method === "PATCH") return this.changeSelf(body as Record<string, string>);
        return ok({ user: this.me() });
      case "bridges":
        return this.crud(this.bridges, "bridge", method, id, action, body as Bridge, match, (b) => this.checkBridge(b));
      case "uplinks":
        if (action === "queue") {
          this.admin.dropped.push(id ?? "");
          return { status: 204 };
        }
        return this.crud(this.uplinks, "uplink", method, id, action, body as Uplink, match, checkUplink);
      case "devices":
        if (action === "points" && (point === "export" || point === "import"))
          return this.table(id ?? "", point, query, String(body), match);
        if (verb === "write")
          return this.write(id ?? "", point ?? "", (body as { value: number | boolean | string }).value);
        return this.device(method, id, body as Device, match);
      case "home-assistant":
        checkMatch(method === "PUT" ? match : "*", etag(this.homeAssistant));
        if (method === "PUT") this.homeAssistant = { ...usualHome, ...(body as Partial<HomeAssistant>) };
        return ok(this.homeAssistant, { ETag: etag(this.homeAssistant) });
      case "uplink-presets":
        return list(presets);
      case "values":
        return list(this.values().map((v) => ({ ...v, ...this.nameOf(v) })));
      case "alarms":
        return list(this.alarms);
      case "serial-ports":
        return list(this.ports);
      default: {
        const answer = this.admin.route(method, path, query, body);
        if (!answer) throw new Refusal(404, "not_found", "there is no such path");
        return answer;
      }
    }
  }

  /** tool answers the paths of templates and tools; undefined for all others. */
  private tool(method: string, path: string, url: URL, body: unknown): Answer | undefined {
    const [resource = "", id = "", action = "", verb = ""] = path.split("/").filter(Boolean).map(decodeURIComponent);
    if (resource === "templates") return this.template(method, id, body);
    if (resource === "values" && verb === "history") return ok(history(id, action));
    if (resource === "jobs" && this.scan) {
      if (action === "cancel") this.scan.cancel();
      return action === "cancel"
        ? { status: 204 }
        : ok(this.scan.look(Number(url.searchParams.get("after")), this.hold));
    }
    if (resource !== "bridges" || method !== "POST") return undefined;
    const what = action || id;
    if (what === "read") return ok(readBack(body as Read));
    if (what === "write") {
      this.byHand.push(body as HandWrite);
      return ok(writeBack(body as HandWrite));
    }
    if (what !== "scan") return undefined;
    const scan = body as Scan;
    if (scan.bridge) refuse(this.checkBridge({ ...scan.bridge, id: "" }));
    this.scan = new MockScan(scan, action ? `bridge/${id}` : "");
    return { status: 202, body: this.scan.job };
  }

  private template(method: string, id: string, body: unknown): Answer {
    if (id === "") return list(this.templates.map((t) => ({ ...t, points: undefined, yaml: undefined })));
    const i = this.templates.findIndex((t) => t.id === id);
    const old = this.templates[i];
    if (method === "PUT") {
      const yaml = String(body);
      refuse(checkTemplate(yaml));
      const next = { ...templates[0], ...old, id, own: true, yaml } as Template;
      this.templates = [...this.templates.filter((t) => t.id !== id), next];
      return ok(next, { ETag: etag(next) });
    }
    if (!old) throw new Refusal(404, "not_found", "there is no such template");
    if (method === "DELETE") {
      this.templates.splice(i, 1);
      return { status: 204 };
    }
    return ok(old, { ETag: etag(old) });
  }

  private changeSelf(body: Record<string, string>): Answer {
    if (body.password !== undefined) {
      if (body.current_password !== this.user.password)
        throw refusal([{ pointer: "/current_password", code: "invalid", detail: "is not the present password" }]);
      this.user.password = body.password;
      this.sessions.clear();
      return this.login(200);
    }
    this.language = body.language ?? this.language;
    return ok({ user: this.me() });
  }

  private trace(r: ServerResponse): void {
    r.writeHead(200, { "Content-Type": "text/event-stream" });
    const tell = (event: string, data: unknown) => r.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
    tell("packets", { items: this.admin.packets, dropped: 0 });
    tell("end", { cause: "its time is over" });
  }

  private setup(method: string, body: Record<string, string>): Answer {
    if (method === "GET")
      return ok({ claimed: this.claimed, code_required: this.codeRequired && !this.claimed, hostname: "site-7" });
    if (this.claimed) throw new Refusal(409, "conflict", "the gateway has an administrator already; log in");
    const faults: Fault[] = [];
    if (this.codeRequired && body.code !== "1234-5678")
      faults.push({
        pointer: "/code",
        code: "invalid",
        detail: "is not the setup code; fieldgate setup-code tells it",
      });
    if ((body.password ?? "").length < 8)
      faults.push({
        pointer: "/password",
        code: "out_of_range",
        detail: "must have at least 8 characters and at most 256 bytes",
      });
    refuse(faults);
    this.claimed = true;
    this.user = { name: body.name ?? "", password: body.password ?? "" };
    this.language = body.language ?? "en";
    return this.login(201);
  }

  private crud<T extends Bridge | Uplink>(
    all: T[],
    word: string,
    method: string,
    id: string | undefined,
    action: string | undefined,
    body: T,
    match: string | undefined,
    check: (body: T) => Fault[],
  ): Answer {
    if (method === "POST" && id === "test") {
      refuse(check(body));
      return ok(
        word === "uplink" ? testUplink(body as Uplink) : this.test(body as Bridge, (body as Bridge).devices ?? []),
      );
    }
    if (id === undefined) {
      if (method === "GET") return list(all.map((o) => this.shown(o)));
      if (all.some((o) => o.id === body.id))
        refuse([{ pointer: "/id", code: "conflict", detail: `is in use by another ${word}` }], 409);
      refuse(check(body));
      all.push(kept(body));
      return { status: 201, body: this.shown(body), headers: { ETag: etag(body) } };
    }
    const i = all.findIndex((o) => o.id === id);
    const old = all[i];
    if (!old) throw new Refusal(404, "not_found", `there is no such ${word}`);
    if (action === "pause" || action === "resume") {
      old.enabled = action === "resume";
      return { status: 204 };
    }
    if (method === "GET") return ok(this.shown(old), { ETag: etag(old) });
    checkMatch(match, etag(old));
    if (method === "DELETE") {
      all.splice(i, 1);
      return { status: 204 };
    }
    const next = kept(method === "PATCH" ? patched(old, body) : body);
    refuse(check(next));
    all[i] = next;
    return ok(this.shown(next), { ETag: etag(next) });
  }

  private device(method: string, id: string | undefined, body: Device, match: string | undefined): Answer {
    const all = this.devices();
    if (method === "POST") {
      const of = this.bridges.find((b) => b.id === body.bridge);
      if (!of) throw refusal([{ pointer: "/bridge", code: "not_found", detail: "there is no bridge of that id" }]);
      if (id === "test") {
        refuse(checkDevice(body, ""));
        return ok(this.test(of, [body]));
      }
      if (all.some((d) => d.id === body.id))
        refuse([{ pointer: "/id", code: "conflict", detail: `is in use by a device of the bridge ${of.id}` }], 409);
      refuse(checkDevice(body, ""));
      of.devices = [...(of.devices ?? []), withoutBridge(body)];
      return { status: 201, body };
    }
    if (id === undefined) return list(all.map((d) => ({ ...d, status: this.deviceStatus(d.id) })));
    const old = all.find((d) => d.id === id);
    const of = this.bridges.find((b) => b.id === old?.bridge);
    if (!old || !of) throw new Refusal(404, "not_found", "there is no such device");
    if (method === "GET") return ok({ ...old, status: this.deviceStatus(id) }, { ETag: etag(old) });
    checkMatch(match, etag(old));
    if (method === "PATCH") {
      const next = Object.entries({ ...old, ...body }).filter(([, v]) => v !== null);
      body = Object.fromEntries(next) as unknown as Device;
    }
    refuse(method === "DELETE" ? [] : checkDevice(body, ""));
    if (method === "DELETE" && of.kind === "line" && of.devices?.length === 1) {
      throw new Refusal(422, "required", `bridge ${of.id}, /devices: at least one device is needed`);
    }
    of.devices = (of.devices ?? []).flatMap((d) =>
      d.id !== id ? [d] : method === "DELETE" ? [] : [withoutBridge(body)],
    );
    return method === "DELETE" ? { status: 204 } : ok(body);
  }

  private nameOf(v: Value): Partial<Value> {
    const of = this.devices().find((d) => d.id === v.device);
    const { name } = (of && this.pointsOf(of).find((p) => p.id === v.point)) ?? {};
    return name === undefined ? {} : { name: typeof name === "string" ? { "": name } : name };
  }

  private table(id: string, verb: string, query: URLSearchParams, csv: string, match: string | undefined): Answer {
    const of = this.bridges.find((b) => b.devices?.some((d) => d.id === id));
    const device = of?.devices?.find((d) => d.id === id);
    if (!of || !device) throw new Refusal(404, "not_found", "there is no such device");
    if (verb === "export") return ok(writeTable(device.points ?? []), { "Content-Type": "text/csv" });
    const dry = query.get("dry_run") === "true";
    const { result, points } = readTable(csv, device.points ?? [], query.get("mode") === "replace", dry);
    if (dry) return ok(result);
    checkMatch(match, etag({ ...device, bridge: of.id }));
    if (!result.ok) throw new Refusal(422, "invalid", `${result.errors.length} cells are wrong`);
    device.points = points;
    return ok(result);
  }

  private write(device: string, point: string, value: number | boolean | string): Answer {
    const p = this.devices()
      .filter((d) => d.id === device)
      .flatMap((d) => this.pointsOf(d))
      .find((q) => q.id === point);
    if (!p?.write) throw new Refusal(404, "not_found", "there is no such point");
    if (this.refuse) return ok({ ok: false, ...this.refuse });
    if (this.sick.has(device)) return ok({ ok: false, code: "timeout", detail: "no answer within 500ms" });
    this.written.set(`${device}/${point}`, value);
    return ok({ ok: true, value, ms: 38 });
  }

  private checkBridge(b: Bridge): Fault[] {
    const faults: Fault[] = [];
    const [pointer, of] = b.link?.serial
      ? ["/link/serial/port", b.link.serial.port]
      : ["/link/tcp/address", b.link?.tcp?.address ?? ""];
    const user = this.bridges.find((o) => o.id !== b.id && o.link?.serial?.port === of);
    if (user) faults.push({ pointer, code: "conflict", detail: `is used by the bridge ${user.id}` });
    const others = this.devices().filter((d) => d.bridge !== b.id);
    (b.devices ?? []).forEach((d, i) => {
      const twin = others.find((o) => o.id === d.id);
      if (twin)
        faults.push({
          pointer: `/devices/${i}/id`,
          code: "conflict",
          detail: `is in use by a device of the bridge ${twin.bridge}`,
        });
    });
    (b.devices ?? []).forEach((d, i) => faults.push(...checkDevice(d, `/devices/${i}`)));
    return faults;
  }

  private test(b: Bridge, devices: Device[]): unknown {
    const where = b.link?.serial?.port ?? b.link?.tcp?.address ?? "";
    const refusedBy = where.endsWith(":1")
      ? "connection refused: check host and port, and that the device accepts Modbus/TCP"
      : "";
    const silent =
      b.link?.serial?.baud === 1200
        ? "no answer within 500ms: check baud rate, format, unit identifier and the wires A and B"
        : "";
    if (refusedBy || silent)
      return {
        ok: false,
        ms: 512,
        error: refusedBy || silent,
        code: refusedBy ? "unreachable" : "timeout",
        readings: [],
      };
    const line = "ST,GS,  12.5kg";
    if (
      b.kind === "line" &&
      !devices.every((d) => new RegExp((d.parse?.regex ?? "").replace("?P<", "?<")).test(line))
    ) {
      throw new Refusal(
        422,
        "invalid",
        `1 lines came, but none matches parse.regex; the last was ${JSON.stringify(line)}`,
      );
    }
    const readings = devices.flatMap((d) => this.pointsOf(d).map((p) => this.value(d, p)));
    return {
      ok: true,
      ms: 83,
      error: "",
      code: "",
      readings,
      ...(b.kind === "line" && { received: "ST,GS,  12.5kg" }),
    };
  }

  private devices(): Device[] {
    return this.bridges.flatMap((b) => (b.devices ?? []).map((d) => ({ ...d, bridge: b.id })));
  }

  /** pointsOf lays the device's points over those of its template. */
  private pointsOf(d: Device): Point[] {
    const own = d.points ?? [];
    const of = this.templates.find((t) => t.id === d.template)?.points ?? [];
    const rest = own.filter((p) => !of.some((t) => t.id === p.id));
    return [...of.map((t) => ({ ...t, ...own.find((p) => p.id === t.id) })), ...rest].filter(
      (p) => p.enabled !== false,
    );
  }

  private deviceStatus(id: string): { id: string; state: State; since: string; reason: string } {
    const sick = this.sick.has(id);
    return {
      id,
      state: sick ? "offline" : "online",
      since: this.since,
      reason: sick ? "no answer within 500ms: is it switched on?" : "",
    };
  }

  private shown<T extends Bridge | Uplink>(o: T): T {
    return { ...o, status: "url" in o ? this.uplinkStatus(o) : this.bridgeStatus(o) };
  }

  private bridgeStatus(b: Bridge): Status {
    const state = b.enabled === false ? "disabled" : "online";
    return {
      id: b.id,
      kind: b.kind,
      state,
      since: this.since,
      reason: "",
      counters: b.kind === "modbus" ? { requests: 120, answers: 118, timeouts: 2, utilisation_percent: 134 } : {},
      devices: (b.devices ?? []).map((d) => ({ ...this.deviceStatus(d.id), counters: { requests: 60, timeouts: 2 } })),
    };
  }

  private uplinkStatus(u: Uplink): Status {
    const paused = u.enabled === false;
    const cut = u.url.includes("unreachable");
    const queue = cut
      ? { messages: 12_345, bytes: 3_200_000, oldest: new Date(Date.now() - 3 * 3600_000).toISOString() }
      : { messages: 0, bytes: 0, oldest: null };
    const state = paused ? "disabled" : cut ? "disconnected" : "connected";
    return {
      id: u.id,
      kind: "uplink",
      state,
      since: this.since,
      reason: cut ? "no such host: check the name, and that this network has a DNS server" : "",
      counters: {},
      queue,
    };
  }

  private values(): Value[] {
    return this.devices().flatMap((d) => this.pointsOf(d).map((p) => this.value(d, p)));
  }

  private value(d: Device, p: Point): Value {
    const time = new Date().toISOString();
    const base = {
      device: d.id,
      point: p.id,
      unit: p.unit ?? "",
      time,
      writable: Boolean(p.write),
      ...(this.unsynced && { clock: "unsynced" as const }),
    };
    if (this.sick.has(d.id)) return { ...base, value: null, quality: "bad", error: "timeout" };
    const written = this.written.get(`${d.id}/${p.id}`);
    const bool = p.table === "coil" || p.table === "discrete_input";
    const wave = Math.round((230 + 10 * Math.sin(Date.now() / 5000 + Number(p.address ?? 0))) * 10) / 10;
    return { ...base, value: written ?? (bool ? false : wave), quality: "good", error: "" };
  }

  private events(q: IncomingMessage, r: ServerResponse): void {
    if (!this.loggedIn(q)) throw new Refusal(401, "unauthorized", "log in first");
    r.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
    const last = new Map<string, string>();
    const send = (): void => {
      const all = {
        values: this.values(),
        bridges: this.bridges.map((b) => this.bridgeStatus(b)),
        uplinks: this.uplinks.map((u) => this.uplinkStatus(u)),
        alarms: this.alarms,
      };
      for (const [name, items] of Object.entries(all)) {
        const data = JSON.stringify({ items, ...(name === "values" && { all: true }) });
        if (last.get(name) !== data) r.write(`event: ${name}\ndata: ${data}\n\n`);
        last.set(name, data);
      }
    };
    send();
    const timer = setInterval(send, 250);
    this.streams++;
    r.on("close", () => {
      this.streams--;
      clearInterval(timer);
    });
  }
}

async function readBody(q: IncomingMessage): Promise<unknown> {
  let text = "";
  for await (const part of q) text += String(part);
  if (text === "") return undefined;
  const json = /json|plain/.test(q.headers["content-type"] ?? "json"); // fetch calls a text plain
  return json ? (JSON.parse(text) as unknown) : text;
}

function refusal(errors: Fault[], status = 422): Refusal {
  return new Refusal(
    status,
    errors[0]?.code ?? "invalid",
    errors.length === 1 ? (errors[0]?.detail ?? "") : `${errors.length} fields are wrong`,
    errors,
  );
}

function refuse(errors: Fault[], status = 422): void {
  if (errors.length > 0) throw refusal(errors, status);
}

function checkMatch(header: string | undefined, tag: string): void {
  if (header === undefined) throw new Refusal(428, "if_match_required", "a change wants If-Match");
  if (header !== "*" && header !== tag)
    throw new Refusal(412, "stale", "it was changed by somebody else; read it again");
}

function checkDevice(d: Device, at: string): Fault[] {
  const faults: Fault[] = [];
  if (!/^[a-z0-9][a-z0-9_-]*$/i.test(d.id))
    faults.push({ pointer: `${at}/id`, code: "invalid", detail: "must be letters, digits, - and _" });
  if (d.unit !== undefined && (d.unit < 1 || d.unit > 247))
    faults.push({ pointer: `${at}/unit`, code: "out_of_range", detail: "must be 1 to 247" });
  return faults;
}

function checkUplink(u: Uplink): Fault[] {
  return u.url.includes("..")
    ? [{ pointer: "/url", code: "invalid", detail: "must look like mqtts://broker.example.com:8883" }]
    : [];
}

function testUplink(u: Uplink): unknown {
  const cut = u.url.includes("unreachable");
  return {
    ok: !cut,
    ms: 42,
    error: cut ? "no such host: check the name, and that this network has a DNS server" : "",
    code: cut ? "unreachable" : "",
    readings: [],
  };
}

function withoutBridge(d: Device): Device {
  const next = { ...d };
  delete next.bridge;
  delete next.status;
  return next;
}

function kept<T extends Bridge | Uplink>(o: T): T {
  const next = { ...o };
  delete next.status;
  if ("password" in next) {
    delete next.password;
    next.password_set = true;
  }
  return next;
}

function patched<T extends Bridge | Uplink>(old: T, patch: T): T {
  const next: Record<string, unknown> = { ...old };
  for (const [key, value] of Object.entries(patch) as [string, unknown][]) {
    if (value === null) Reflect.deleteProperty(next, key === "password" ? "password_set" : key);
    else next[key] = value;
  }
  return next as T;
}
