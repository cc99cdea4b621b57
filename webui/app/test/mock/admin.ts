// The part of docs/api.md below "MQTT" and "System", in memory, for the mock gateway.
import type {
  Account,
  Applied,
  AuditEntry,
  Certificate,
  Client,
  Gateway,
  LogRecord,
  Packet,
  Payload,
  Person,
  Question,
  Queued,
  Retained,
  Revision,
  Rule,
  Session,
  Token,
  Verdict,
} from "../../src/admin-types";
import type { Fault } from "../../src/types";

export interface Reply {
  status: number;
  body?: unknown;
  headers?: Record<string, string>;
}

export type Refuse = (status: number, code: string, detail: string, errors?: Fault[]) => Error;

const since = new Date(Date.now() - 3600_000).toISOString();
const ok = (body: unknown): Reply => ({ status: 200, body });
const list = (items: unknown[]): Reply => ok({ items, next: null });
const none: Reply = { status: 204 };

export function payload(text: string): Payload {
  return { payload: text, payload_bytes: text.length, truncated: false };
}

export function retained(topic: string, p: Payload): Retained {
  return { topic, qos: 1, time: since, message_expiry_seconds: null, ...p };
}

const waiting = { queued_messages: 0, queued_bytes: 0, oldest: null, inflight: 0, dropped_messages: 0 };

export function client(id: string, username: string): Client {
  const traffic = { packets: 9, messages: 3, bytes: 310 };
  return {
    ...waiting,
    client_id: id,
    username,
    certificate: "",
    address: "192.0.2.9:51234",
    listener: ":1883",
    protocol: "3.1.1",
    since,
    keep_alive_seconds: 60,
    last_packet: since,
    received: traffic,
    sent: traffic,
  };
}

/** AdminMock may be changed from a test while it runs. */
export class AdminMock {
  accounts: Account[] = [];
  rules: Rule[] = [];
  clients: Client[] = [];
  left = new Map<string, Session>(); // sessions without a connection
  queues = new Map<string, Queued[]>();
  retained = new Map<string, Retained>();
  people: Person[] = [];
  tokens: Token[] = [];
  revisions: Revision[] = [];
  settings = "bridges: []\n";
  logs: LogRecord[] = [];
  audit: AuditEntry[] = [];
  packets: Packet[] = [];
  dropped: string[] = []; // uplinks whose queue was dropped
  passwords = new Map<string, string>();
  gateway: Gateway = {
    version: "0.1.0",
    hostname: "site-7",
    started: since,
    uptime_seconds: 3600,
    time: new Date().toISOString(),
    mqtt: {
      listeners: ["[::]:1883", "[::]:8883"],
      clients: 0,
      endpoints: [
        { address: ":1883", transport: "tcp", tls: false, client_certificate: false },
        { address: ":8883", transport: "tcp", tls: true, client_certificate: false },
      ],
      allow_anonymous: false,
    },
    machine: {
      os: "linux",
      architecture: "arm64",
      kernel: "6.12",
      cpus: 4,
      load_1min: 0.2,
      memory_total_bytes: 2e9,
      memory_available_bytes: 1e9,
      process_memory_bytes: 5e7,
      clock_synchronized: false,
    },
    disk: { free_bytes: 3e8, size_bytes: 3e10, spool_bytes: 1e6, state_bytes: 1e5, pending_bytes: 0 },
    host_file: {
      file: "/etc/fieldgate/fieldgate.yaml",
      data_dir: "/var/lib/fieldgate",
      log_level: "info",
      admin_address: ":8080",
      admin_tls: "auto",
      durability: "power_safe",
      min_free_disk_bytes: 209_715_200,
      max_connections: 10_000,
      max_packet_size_bytes: 1_048_576,
      max_queued_messages: 100_000,
      queue_full: "drop_oldest",
    },
  };
  certificate: Certificate = {
    mode: "auto",
    self_signed: true,
    subject: "CN=site-7,O=fieldgate",
    issuer: "CN=site-7,O=fieldgate",
    names: ["site-7", "site-7.local", "192.0.2.7"],
    not_before: since,
    not_after: new Date(Date.now() + 800 * 86_400_000).toISOString(),
    sha256_fingerprint: Array.from({ length: 32 }, (_, i) => (i * 7).toString(16).padStart(2, "0").toUpperCase()).join(
      ":",
    ),
  };
  restarts = 0;
  restored = 0; // bytes of the backup that was taken back

  /** restart makes all that comes after it the work of another process. */
  restart(): Reply {
    this.restarts++;
    this.gateway.started = new Date().toISOString();
    return { status: 202 };
  }

  constructor(private readonly refuse: Refuse) {}

  /** route answers what it knows; undefined for any other path. */
  route(method: string, path: string, q: URLSearchParams, body: unknown): Reply | undefined {
    const [resource = "", id = "", action = ""] = path.split("/").filter(Boolean).map(decodeURIComponent);
    switch (resource) {
      case "accounts":
        return this.objects(this.accounts, "username", method, id, this.withoutPassword(body as Account));
      case "access-rules":
        if (id === "check") return ok(this.check(body as Question));
        return this.objects(this.rules, "id", method, id, body as Rule);
      case "clients":
        return this.client(method, id, action, q);
      case "sessions":
        return this.session(method, id, action, q);
      case "topics":
        return list(this.topics(q.get("prefix") ?? ""));
      case "retained":
        if (method === "DELETE") return this.retained.delete(q.get("topic") ?? "") ? none : undefined;
        return list([...this.retained.values()].filter((r) => r.topic === q.get("filter")));
      case "publish":
        return this.publish(body as { topic: string; payload: string; retain: boolean });
      case "users":
        return this.objects(this.people, "name", method, id, {
          ...(body as Person),
          ...(method === "POST" && { created: since }),
        });
      case "tokens":
        return this.token(method, id, body as Token);
      case "config":
        return this.config(method, id, action, q, body);
      case "logs":
        return list(this.logged(q));
      case "audit":
        return list(this.audit);
      case "restore":
        if (!String(body).startsWith("backup")) throw this.refuse(422, "invalid", "this is no backup of a gateway");
        this.restored = String(body).length;
        return this.restart();
      case "system":
        if (id === "restart") return this.restart();
        if (id === "tls") return this.tls(method, body as { certificate: string; key: string });
        return ok({ ...this.gateway, mqtt: { ...this.gateway.mqtt, clients: this.clients.length } });
      default:
        return undefined;
    }
  }

  private withoutPassword(a: Account | undefined): Account {
    const next = { ...a } as Account;
    if (next.password !== undefined) {
      if (next.password.length < 8)
        throw this.wrong("/password", "out_of_range", "must have at least 8 characters and at most 256 bytes");
      this.passwords.set(next.username, next.password);
      delete next.password;
      next.password_set = true;
    }
    return next;
  }

  private wrong(pointer: string, code: string, detail: string): Error {
    return this.refuse(422, code, detail, [{ pointer, code, detail }]);
  }

  private objects<T extends object>(all: T[], key: keyof T, method: string, id: string, body: T): Reply {
    if (id === "") {
      if (method === "GET") return list(all);
      if (all.some((o) => o[key] === body[key])) throw this.refuse(409, "conflict", "is in use");
      all.push(body);
      return { status: 201, body };
    }
    const i = all.findIndex((o) => o[key] === id);
    const old = all[i];
    if (!old) throw this.refuse(404, "not_found", "there is no such thing");
    if (method === "GET") return { ...ok(old), headers: { ETag: '"one"' } };
    if (method === "DELETE") {
      all.splice(i, 1);
      return none;
    }
    all[i] = method === "PATCH" ? { ...old, ...body } : body;
    return ok(all[i]);
  }

  /** check knows what the tests ask: exact filters, and those that end with #. */
  private check(q: Question): Verdict {
    const mine = this.rules.filter((r) => r.account === undefined || r.account === q.username);
    const fits = mine.filter((r) => {
      const filter = r.filter.replaceAll("%u", q.username);
      return filter.endsWith("#") ? q.topic.startsWith(filter.slice(0, -1)) : filter === q.topic;
    });
    const deny = fits.find((r) => r.deny?.includes(q.action));
    const allow = fits.find((r) => r.allow?.includes(q.action));
    return { allowed: !deny && (allow !== undefined || this.rules.length === 0), rule: (deny ?? allow)?.id ?? "" };
  }

  private sessionOf(c: Client): Session {
    const queued = this.queues.get(c.client_id) ?? [];
    return {
      ...waiting,
      queued_messages: queued.length,
      queued_bytes: queued.length * 100,
      client_id: c.client_id,
      in_process: false,
      durable: true,
      connected: true,
      offline_seconds: 0,
      session_expiry_seconds: 604_800,
      subscription_count: 1,
      subscriptions: [{ filter: "fieldgate/#", qos: 1 }],
      last_disconnect: null,
    };
  }

  private client(method: string, id: string, action: string, q: URLSearchParams): Reply {
    const word = q.get("contains") ?? "";
    if (id === "") return list(this.clients.filter((c) => c.client_id.includes(word)));
    const found = this.clients.find((c) => c.client_id === id);
    if (!found) throw this.refuse(404, "not_found", "it is not connected");
    if (action === "disconnect" && method === "POST") {
      this.clients = this.clients.filter((c) => c !== found);
      const cause = { time: new Date().toISOString(), cause: "disconnected by a person", reason_code: 0x98 };
      this.left.set(id, {
        ...this.sessionOf(found),
        connected: false,
        last_disconnect: { ...cause, clause: "", detail: "" },
      });
      return none;
    }
    return ok(found);
  }

  private session(method: string, id: string, action: string, q: URLSearchParams): Reply {
    const all = [...this.clients.map((c) => this.sessionOf(c)), ...this.left.values()];
    const word = q.get("contains") ?? "";
    if (id === "") return list(all.filter((s) => s.client_id.includes(word)));
    const found = all.find((s) => s.client_id === id);
    if (!found) throw this.refuse(404, "not_found", "there is no such session");
    if (action === "queue") return list(this.queues.get(id) ?? []);
    if (method === "DELETE") {
      this.clients = this.clients.filter((c) => c.client_id !== id);
      this.left.delete(id);
      return none;
    }
    return ok(found);
  }

  private topics(prefix: string): unknown[] {
    const names = new Map<string, { retained: Retained | null; below: number }>();
    for (const r of this.retained.values()) {
      if (!r.topic.startsWith(prefix)) continue;
      const [name = "", ...rest] = r.topic.slice(prefix.length).split("/");
      const known = names.get(name) ?? { retained: null, below: 0 };
      if (rest.length > 0) known.below++;
      else known.retained = r;
      names.set(name, known);
    }
    return [...names].map(([name, what]) => ({ name, topic: prefix + name, ...what }));
  }

  private publish(m: { topic: string; payload: string; retain: boolean }): Reply {
    if (m.topic.includes("#")) throw this.wrong("/topic", "invalid", "must not contain + or #");
    if (m.retain) this.retained.set(m.topic, retained(m.topic, payload(m.payload)));
    return ok({ receivers: this.clients.length, ms: 4 });
  }

  private token(method: string, id: string, body: Token): Reply {
    if (method === "POST") {
      const token = { ...body, id: `t${this.tokens.length}`, author: "anna", created: since };
      this.tokens.push(token);
      return { status: 201, body: { ...token, token: "fg_shown-only-once" } };
    }
    if (method === "DELETE") {
      this.tokens = this.tokens.filter((t) => t.id !== id);
      return none;
    }
    return list(this.tokens);
  }

  private config(method: string, what: string, n: string, q: URLSearchParams, body: unknown): Reply {
    if (what === "") return ok(this.settings);
    const dry = q.get("dry_run") === "true";
    if (what === "apply") {
      const text = String(body);
      const line = text.split("\n").findIndex((l) => l.includes("unit: 999")) + 1;
      if (line > 0)
        throw this.refuse(422, "out_of_range", "must be 1 to 247", [
          { pointer: "/bridges/0/devices/0/unit", code: "out_of_range", detail: "must be 1 to 247", line },
        ]);
      const applied = this.applied("add", "cabinet");
      if (!dry) this.settings = text;
      return ok(applied);
    }
    if (n === "") return list(this.revisions);
    if (method === "GET") return ok(this.settings);
    if (!dry) {
      const author = { time: new Date().toISOString(), author: "anna", summary: `restore revision ${n}` };
      this.revisions.unshift({ revision: this.revisions.length + 1, ...author });
    }
    return ok(this.applied("change", "cabinet"));
  }

  private tls(method: string, body: { certificate: string; key: string }): Reply {
    if (method === "DELETE") {
      this.certificate = { ...this.certificate, self_signed: true };
      return none;
    }
    if (method === "PUT") {
      if (!body.certificate.includes("BEGIN CERTIFICATE")) throw this.wrong("/certificate", "invalid", "is no PEM");
      this.certificate = {
        ...this.certificate,
        self_signed: false,
        subject: "CN=gateway.example.com",
        issuer: "CN=Example CA",
      };
    }
    return ok(this.certificate);
  }

  private applied(action: "add" | "change", id: string): Applied {
    const diff = `${action} bridges/${id}\n  - id: ${id}\n-   timeout: 1s\n+   timeout: 2s\n`;
    return { revision: this.revisions.length, changes: [{ action, section: "bridges", id }], diff };
  }

  private logged(q: URLSearchParams): LogRecord[] {
    const levels = ["debug", "info", "warn", "error"];
    const from = levels.indexOf(q.get("level") ?? "info");
    return this.logs.filter(
      (r) =>
        levels.indexOf(r.level) >= from &&
        r.message.includes(q.get("contains") ?? "") &&
        Number(r.seq) > Number(q.get("after") ?? 0),
    );
  }
}
