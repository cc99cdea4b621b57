// The calls of the screens below "MQTT" and "System".
import type {
  Account,
  Applied,
  AuditEntry,
  Certificate,
  Client,
  Gateway,
  LogRecord,
  Page,
  Person,
  Question,
  Queued,
  Retained,
  Revision,
  Rule,
  Session,
  Token,
  Topic,
  Verdict,
} from "./admin-types";
import { ApiError, call } from "./api";
import type { Role, User } from "./types";

const base = "/api/v1";
const id = encodeURIComponent;

async function data<T>(method: string, path: string, o?: Parameters<typeof call>[2]): Promise<T> {
  return (await call<T>(method, path, o)).data;
}

async function items<T>(path: string): Promise<T[]> {
  return (await data<{ items: T[] | null }>("GET", path)).items ?? [];
}

/** query writes the names that have a value. */
function query(values: Record<string, string | number | undefined>): string {
  const q = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined && value !== "") q.set(name, String(value));
  }
  const text = q.toString();
  return text === "" ? "" : `?${text}`;
}

/** page reads a page of a long list; next is the path that the page before named. */
async function page<T>(path: string, next?: string | null): Promise<Page<T>> {
  const got = await data<{ items: T[] | null; next?: string | null }>("GET", next ? next.replace(base, "") : path);
  return { items: got.items ?? [], next: got.next ?? null };
}

/** orNull gives null for what does not exist. */
async function orNull<T>(work: Promise<T>): Promise<T | null> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}

const any = { etag: "*" };
const yaml = (body: string) => ({ text: { type: "application/yaml", body }, seconds: 60 });

export interface Publication {
  topic: string;
  payload: string;
  qos: number;
  retain: boolean;
}

export const admin = {
  accounts: () => items<Account>("/accounts"),
  addAccount: (body: Account) => data<Account>("POST", "/accounts", { body }),
  changeAccount: (name: string, body: Partial<Account>) =>
    data<Account>("PATCH", `/accounts/${id(name)}`, { body, ...any }),
  removeAccount: (name: string) => data<undefined>("DELETE", `/accounts/${id(name)}`, any),

  rules: () => items<Rule>("/access-rules"),
  rule: (name: string) => call<Rule>("GET", `/access-rules/${id(name)}`),
  addRule: (body: Rule) => data<Rule>("POST", "/access-rules", { body }),
  changeRule: (body: Rule, etag: string) => data<Rule>("PUT", `/access-rules/${id(body.id)}`, { body, etag }),
  removeRule: (name: string) => data<undefined>("DELETE", `/access-rules/${id(name)}`, any),
  check: (body: Question) => data<Verdict>("POST", "/access-rules/check", { body }),

  clients: (contains: string, next?: string | null) => page<Client>("/clients" + query({ contains }), next),
  sessions: (contains: string, next?: string | null) => page<Session>("/sessions" + query({ contains }), next),
  client: (name: string) => orNull(data<Client>("GET", `/clients/${id(name)}`)),
  session: (name: string) => orNull(data<Session>("GET", `/sessions/${id(name)}`)),
  disconnect: (name: string) => data<undefined>("POST", `/clients/${id(name)}/disconnect`),
  endSession: (name: string) => data<undefined>("DELETE", `/sessions/${id(name)}`),
  queue: (name: string, next?: string | null) => page<Queued>(`/sessions/${id(name)}/queue?limit=20`, next),
  trace: (name: string, payloads: boolean) =>
    new EventSource(`${base}/clients/${id(name)}/trace?seconds=600&packets=5000&payload_bytes=${payloads ? 256 : 0}`),

  topics: (prefix: string, next?: string | null) => page<Topic>("/topics" + query({ prefix }), next),
  retained: async (topic: string) =>
    (await items<Retained>("/retained" + query({ filter: topic }))).find((r) => r.topic === topic) ?? null,
  clearRetained: (topic: string) => data<undefined>("DELETE", "/retained" + query({ topic })),
  publish: (body: Publication) => data<{ receivers: number; ms: number }>("POST", "/publish", { body }),

  people: () => items<Person>("/users"),
  addPerson: (body: { name: string; role: Role; password: string; language: string }) =>
    data<Person>("POST", "/users", { body }),
  changePerson: (name: string, body: { role?: Role; password?: string }) =>
    data<Person>("PATCH", `/users/${id(name)}`, { body, ...any }),
  removePerson: (name: string) => data<undefined>("DELETE", `/users/${id(name)}`, any),
  tokens: () => items<Token>("/tokens"),
  addToken: (body: { name: string; role: Role }) => data<Token>("POST", "/tokens", { body }),
  removeToken: (name: string) => data<undefined>("DELETE", `/tokens/${id(name)}`, any),
  changePassword: (current_password: string, password: string) =>
    data<{ user: User }>("PATCH", "/session", { body: { current_password, password } }),

  revisions: () => items<Revision>("/config/revisions"),
  restore: (revision: number, dryRun: boolean) =>
    data<Applied>("POST", `/config/revisions/${revision}/restore${dryRun ? "?dry_run=true" : ""}`, { seconds: 60 }),
  revision: (revision: number) => data<string>("GET", `/config/revisions/${revision}`, { accept: "application/yaml" }),
  apply: (text: string, dryRun: boolean) =>
    data<Applied>("POST", `/config/apply${dryRun ? "?dry_run=true" : ""}`, yaml(text)),
  exported: () => data<string>("GET", "/config", { accept: "application/yaml" }),

  certificate: () => data<Certificate>("GET", "/system/tls"),
  replaceCertificate: (body: { certificate: string; key: string }) =>
    data<Certificate>("PUT", "/system/tls", { body, ...any }),
  renewCertificate: () => data<undefined>("DELETE", "/system/tls", any),
  restart: () => data<undefined>("POST", "/system/restart"),
  backup: (messages: boolean) => `${base}/backups/now?messages=${messages}`,
  restoreBackup: (file: Blob) =>
    data<undefined>("POST", "/restore", { text: { type: "application/gzip", body: file }, seconds: 3600 }),

  gateway: () => data<Gateway>("GET", "/system"),
  logs: (o: { level: string; contains: string; after?: string }) =>
    items<LogRecord>("/logs" + query({ ...o, limit: o.after ? 2000 : 200 })),
  audit: (next?: string | null) => page<AuditEntry>("/audit", next),
  diagnostics: base + "/diagnostics",

  dropQueue: (uplink: string) => data<undefined>("DELETE", `/uplinks/${id(uplink)}/queue`),
};
