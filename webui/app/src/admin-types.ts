// The shapes of docs/api.md that the screens below "MQTT" and "System" show.
import type { Role } from "./types";

export interface Page<T> {
  items: T[];
  next: string | null; // the path of the next page
}

export interface Account {
  username: string;
  enabled?: boolean;
  password?: string;
  password_set?: boolean;
}

export type Action = "read" | "write";

export interface Rule {
  id: string;
  account?: string; // for everybody without it
  filter: string;
  allow?: Action[];
  deny?: Action[];
}

export interface Question {
  username: string;
  client_id: string;
  action: Action;
  topic: string;
}

export interface Verdict {
  allowed: boolean;
  rule: string; // empty when no rule speaks of the topic
}

export interface Departure {
  time: string;
  cause: string;
  reason_code: number;
  clause: string;
  detail: string;
}

interface Waiting {
  queued_messages: number;
  queued_bytes: number;
  oldest: string | null;
  inflight: number;
  dropped_messages: number;
}

export interface Subscription {
  filter: string;
  qos: number;
}

export interface Traffic {
  packets: number;
  messages: number;
  bytes: number;
}

export interface Client extends Waiting {
  client_id: string;
  username: string;
  certificate: string;
  address: string;
  listener: string;
  protocol: string;
  since: string;
  keep_alive_seconds: number;
  last_packet: string;
  received: Traffic;
  sent: Traffic;
}

export interface Session extends Waiting {
  client_id: string;
  in_process: boolean;
  durable: boolean;
  connected: boolean;
  offline_seconds: number;
  session_expiry_seconds: number | null; // null is for ever
  subscription_count: number;
  last_disconnect: Departure | null;
  subscriptions?: Subscription[];
}

export interface Payload {
  payload: string | null;
  payload_base64?: string;
  payload_bytes: number;
  truncated: boolean;
}

export interface Queued extends Payload {
  id: string;
  topic: string;
  qos: number;
  accepted: string;
  inflight: boolean;
}

export interface Retained extends Payload {
  topic: string;
  qos: number;
  time: string;
  message_expiry_seconds: number | null;
}

export interface Topic {
  name: string;
  topic: string;
  retained: Retained | null;
  below: number;
}

export interface Packet {
  time: string;
  direction: "in" | "out" | "closed";
  type?: string;
  bytes?: number;
  packet_id?: number;
  topic?: string;
  qos?: number;
  retain?: boolean;
  dup?: boolean;
  payload_bytes?: number;
  payload?: string | null;
  payload_base64?: string;
  filters?: Subscription[];
  reasons?: { code: number; text: string }[];
  connect?: { protocol: string; username?: string; keep_alive_seconds?: number; clean_start?: boolean };
  error?: string;
}

export interface Person {
  name: string;
  role: Role;
  language: string;
  created: string;
}

export interface Token {
  id: string;
  name: string;
  role: Role;
  author: string;
  created: string;
  token?: string; // in the answer that makes it only
}

export interface Revision {
  revision: number;
  time: string;
  author: string;
  summary: string;
}

export interface Applied {
  revision: number;
  changes: { action: "add" | "change" | "remove"; section: string; id: string }[];
  diff: string;
}

export interface LogRecord {
  seq: string;
  time: string;
  level: "debug" | "info" | "warn" | "error";
  part: string;
  message: string;
  attributes: Record<string, string>;
}

export interface AuditEntry {
  id: string;
  time: string;
  author: string;
  role: string;
  address: string;
  operation: string;
  path: string;
}

export interface Endpoint {
  address: string;
  transport: "tcp" | "websocket";
  path?: string;
  tls: boolean;
  client_certificate: boolean;
}

export interface Gateway {
  version: string;
  hostname: string;
  started: string;
  uptime_seconds: number;
  time: string;
  mqtt: { listeners: string[]; clients: number; endpoints: Endpoint[]; allow_anonymous: boolean };
  machine: {
    os: string;
    architecture: string;
    kernel: string;
    cpus: number;
    load_1min: number;
    memory_total_bytes: number;
    memory_available_bytes: number;
    process_memory_bytes: number;
    clock_synchronized: boolean | null; // null when the machine does not tell
  };
  disk: { free_bytes: number; size_bytes: number; spool_bytes: number; state_bytes: number; pending_bytes: number };
  host_file: HostFile;
}

/** What the machine's administrator has set. */
export interface HostFile {
  file: string; // empty without one
  data_dir: string;
  log_level: "debug" | "info" | "warn" | "error";
  admin_address: string;
  admin_tls: "off" | "auto" | "files";
  durability: "power_safe" | "crash_safe";
  min_free_disk_bytes: number;
  max_connections: number;
  max_packet_size_bytes: number;
  max_queued_messages: number;
  queue_full: string;
}

export interface Certificate {
  mode: "off" | "auto" | "files";
  self_signed: boolean;
  subject?: string;
  issuer?: string;
  names: string[];
  not_before: string | null;
  not_after: string | null;
  sha256_fingerprint?: string;
}
