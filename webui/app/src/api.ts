// The one place that speaks to the gateway: paths, problem+json, ETags, the end
// of a session, and how far the gateway's clock is from ours.
import { signal } from "@preact/signals";
import type {
  Alarm,
  Bridge,
  Claim,
  Device,
  Fault,
  HomeAssistant,
  ImportResult,
  Language,
  Preset,
  Scalar,
  SerialPort,
  Setup,
  Status,
  System,
  TestResult,
  Uplink,
  User,
  Value,
  WriteResult,
} from "./types";
import type {
  Found,
  HandWrite,
  HandWritten,
  History,
  Job,
  Read,
  ReadResult,
  Scan,
  Template,
  TemplateEntry,
} from "./tool-types";

const base = "/api/v1";

/** What went wrong with a call; status 0 when the gateway gave no answer. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly detail: string,
    readonly faults: Fault[] = [],
  ) {
    super(detail);
  }
}

/** Something that the gateway keeps, with the ETag that a change of it must carry. */
export interface Stored<T> {
  data: T;
  etag: string;
}

/** Milliseconds by which the gateway's clock is ahead of this machine's; 0 while within two seconds. */
export const clockAhead = signal(0);

/** Counts the changes that this tab has made to settings, so that lists load again. */
export const ownChanges = signal(0);

/** Called when a call is answered with 401. */
export const onSessionEnd: { run: () => void } = { run: () => undefined };

interface Options {
  body?: unknown;
  etag?: string; // "*" overwrites whatever stands there
  seconds?: number; // to wait for the answer, default 15
  merge?: boolean;
  text?: { type: string; body: string | Blob }; // a body that is no JSON
  accept?: string; // another type than JSON; the answer is text then
}

/** call makes one call; a path begins behind /api/v1. The screens use api and admin. */
export async function call<T>(method: string, path: string, o: Options = {}): Promise<Stored<T>> {
  const headers: Record<string, string> = { Accept: o.accept ?? "application/json" };
  if (o.body !== undefined) headers["Content-Type"] = "application/json";
  if (o.text) headers["Content-Type"] = o.text.type;
  if (o.etag !== undefined) headers["If-Match"] = o.etag;
  let response: Response;
  let text: string;
  try {
    response = await fetch(base + path, {
      method,
      headers,
      body: o.text?.body ?? (o.body === undefined ? null : JSON.stringify(o.body)),
      signal: AbortSignal.timeout((o.seconds ?? 15) * 1000),
    });
    text = await response.text();
  } catch (cause) {
    const late = cause instanceof DOMException && cause.name === "TimeoutError";
    throw new ApiError(0, late ? "no_answer" : "unreachable", "");
  }
  readClock(response.headers.get("Date"));
  const data = response.ok && o.accept ? text : parse(text);
  if (response.ok) {
    const only =
      path.includes("dry_run=true") ||
      /\/(session|setup|test|write|scan|read|cancel|check|publish|disconnect)$/.test(path.replace(/\?.*/, ""));
    if (method !== "GET" && !only) ownChanges.value++;
    return { data: data as T, etag: response.headers.get("ETag") ?? "*" };
  }
  if (response.status === 401 && path !== "/session") onSessionEnd.run();
  throw problem(response.status, data);
}

function parse(text: string): unknown {
  if (text === "") return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** problem turns an RFC 9457 body into an ApiError; anything else becomes one by its status alone. */
export function problem(status: number, body: unknown): ApiError {
  const p = (typeof body === "object" && body !== null ? body : {}) as {
    code?: unknown;
    title?: unknown;
    detail?: unknown;
    errors?: unknown;
  };
  const faults = Array.isArray(p.errors)
    ? (p.errors as Partial<Fault>[]).map((e) => ({
        pointer: e.pointer ?? "",
        code: e.code ?? "invalid",
        detail: e.detail ?? "",
        ...(e.line !== undefined && { line: e.line }),
      }))
    : [];
  const text = (v: unknown): string => (typeof v === "string" ? v : "");
  return new ApiError(status, text(p.code) || String(status), text(p.detail) || text(p.title), faults);
}

function readClock(date: string | null): void {
  if (!date) return;
  const ahead = Date.parse(date) - Date.now();
  if (Number.isNaN(ahead)) return;
  clockAhead.value = Math.abs(ahead) > 2000 ? ahead : 0;
}

const id = encodeURIComponent;

async function data<T>(method: string, path: string, o?: Options): Promise<T> {
  return (await call<T>(method, path, o)).data;
}

async function items<T>(path: string): Promise<T[]> {
  return (await data<{ items: T[] | null } | undefined>("GET", path))?.items ?? [];
}

/** The methods that bridges, devices and uplinks have in common. */
function resource<T extends { id: string }>(path: string) {
  return {
    list: () => items<T>(path),
    get: (name: string) => call<T>("GET", `${path}/${id(name)}`),
    create: (body: T) => call<T>("POST", path, { body }),
    replace: (name: string, body: T, etag: string) => call<T>("PUT", `${path}/${id(name)}`, { body, etag }),
    patch: (name: string, body: object, etag: string) => call<T>("PATCH", `${path}/${id(name)}`, { body, etag }),
    remove: (name: string, etag: string) => data<undefined>("DELETE", `${path}/${id(name)}`, { etag }),
    testBody: (body: T) => data<TestResult>("POST", `${path}/test`, { body, seconds: 60 }),
    pause: (name: string) => data<undefined>("POST", `${path}/${id(name)}/pause`),
    resume: (name: string) => data<undefined>("POST", `${path}/${id(name)}/resume`),
  };
}

export const api = {
  setup: () => data<Setup>("GET", "/setup"),
  claim: (body: Claim) => data<{ user: User }>("POST", "/setup", { body }),
  session: async () => userOf(await data<User | { user: User }>("GET", "/session")),
  login: async (name: string, password: string) =>
    userOf(await data<User | { user: User }>("POST", "/session", { body: { name, password } })),
  setLanguage: (language: Language) => data<unknown>("PATCH", "/session", { body: { language }, etag: "*" }),
  logout: () => data<undefined>("DELETE", "/session"),

  bridges: {
    ...resource<Bridge>("/bridges"),
    testDevice: (body: Bridge, device: string) =>
      data<TestResult>("POST", `/bridges/test?device=${id(device)}`, { body, seconds: 60 }),
  },
  devices: resource<Device>("/devices"),
  uplinks: resource<Uplink>("/uplinks"),
  write: (device: string, point: string, value: Scalar) =>
    data<WriteResult>("POST", `/devices/${id(device)}/points/${id(point)}/write`, { body: { value }, seconds: 30 }),

  templates: {
    list: (words: string) => items<TemplateEntry>(`/templates${words === "" ? "" : `?q=${id(words)}`}`),
    get: (name: string) => call<Template>("GET", `/templates/${id(name)}`),
    put: (name: string, yaml: string, etag?: string) =>
      data<Template>("PUT", `/templates/${id(name)}`, {
        text: { type: "application/yaml", body: yaml },
        ...(etag !== undefined && { etag }),
      }),
    remove: (name: string, etag: string) => data<undefined>("DELETE", `/templates/${id(name)}`, { etag }),
  },
  scan: (bridge: string | undefined, body: Scan) =>
    data<Job>("POST", bridge === undefined ? "/bridges/scan" : `/bridges/${id(bridge)}/scan`, { body }),
  read: (bridge: string | undefined, body: Read) =>
    data<ReadResult>("POST", bridge === undefined ? "/bridges/read" : `/bridges/${id(bridge)}/read`, {
      body,
      seconds: 60,
    }),
  writeByHand: (bridge: string, body: HandWrite) =>
    data<HandWritten>("POST", `/bridges/${id(bridge)}/write`, { body, seconds: 60 }),
  job: (name: string, after: number) =>
    data<Job & { results: Found[] | null }>("GET", `/jobs/${id(name)}?after=${after}`),
  cancel: (name: string) => data<undefined>("POST", `/jobs/${id(name)}/cancel`),
  frames: (bridge: string) => new EventSource(`${base}/bridges/${id(bridge)}/monitor`),
  history: (device: string, point: string) => data<History>("GET", `/values/${id(device)}/${id(point)}/history`),

  points: {
    // The gateway writes a semicolon and a decimal comma for the spreadsheets that want them.
    export: (device: string, semicolon: boolean) =>
      `${base}/devices/${id(device)}/points/export?bom=true${semicolon ? "&separator=%3B&decimal=%2C" : ""}`,
    text: (device: string) =>
      data<string>("GET", `/devices/${id(device)}/points/export`, { accept: "text/csv, application/problem+json" }),
    plan: (device: string, csv: string, mode: string) => importPoints(device, csv, `dry_run=true&mode=${mode}`),
    import: (device: string, csv: string, mode: string, etag: string) =>
      importPoints(device, csv, `mode=${mode}`, etag),
  },
  homeAssistant: () => call<HomeAssistant>("GET", "/home-assistant"),
  setHomeAssistant: (body: HomeAssistant, etag: string) =>
    call<HomeAssistant>("PUT", "/home-assistant", { body, etag }),
  presets: () => items<Preset>("/uplink-presets"),

  values: () => items<Value>("/values"),
  alarms: () => items<Alarm>("/alarms"),
  serialPorts: () => items<SerialPort>("/serial-ports"),
  system: () => data<System>("GET", "/system"),
  events: () => new EventSource(base + "/events"),
};

function importPoints(device: string, csv: string, query: string, etag?: string): Promise<ImportResult> {
  return data("POST", `/devices/${id(device)}/points/import?${query}`, {
    text: { type: "text/csv", body: csv },
    ...(etag !== undefined && { etag }),
  });
}

function userOf(body: User | { user: User }): User {
  return "user" in body ? body.user : body;
}

/** The four streams of GET /events. */
export interface Events {
  values: Value[];
  bridges: Status[];
  uplinks: Status[];
  alarms: Alarm[];
}
