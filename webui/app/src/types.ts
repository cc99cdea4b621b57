// The shapes of docs/api.md, in its own words.

export type Language = "en" | "zh-CN";
export type Role = "viewer" | "operator" | "admin";
export type Quality = "good" | "stale" | "bad";
export type State =
  "online" | "offline" | "degraded" | "disabled" | "connecting" | "connected" | "disconnected" | "failed";
export type Scalar = number | string | boolean | null;

export interface User {
  name: string;
  role: Role;
  language: string;
}

export interface Setup {
  claimed: boolean;
  code_required: boolean;
  hostname: string;
}

export interface Claim {
  code?: string;
  name: string;
  password: string;
  language: Language;
}

export interface System {
  version: string;
  hostname: string;
  started: string;
  uptime_seconds: number;
}

export interface Value {
  device: string;
  point: string;
  value: Scalar;
  unit: string;
  quality: Quality;
  error: string; // a code such as "timeout", empty when all is well
  time: string | null; // null when there was none yet
  clock?: "unsynced"; // the gateway's clock was not set yet: time is wrong
  writable: boolean;
  name?: Record<string, string>; // in GET /values only
}

export interface DeviceStatus {
  id?: string;
  state: State;
  since: string;
  reason: string;
  counters?: Record<string, number> | null;
}

export interface Queue {
  messages: number;
  bytes: number;
  oldest: string | null;
  dropped?: number; // made room for newer ones
  refused?: number;
  outdated?: number;
}

export interface Status extends DeviceStatus {
  id: string;
  kind: string;
  counters?: Record<string, number> | null;
  devices?: (DeviceStatus & { id: string })[] | null;
  queue?: Queue | null;
}

export interface Alarm {
  part: string;
  code: string;
  message: string;
  since: string;
}

export interface SerialLink {
  port: string;
  baud?: number;
  format?: string;
  rs485?: string;
  ascii?: boolean;
}

export interface Link {
  serial?: SerialLink;
  tcp?: { address: string; outstanding?: number };
  rtu_over_tcp?: { address: string };
}

export interface Write {
  min?: number;
  max?: number;
  step?: number;
  verify?: boolean;
  function?: number;
  command?: string;
  values?: Record<string, string>;
}

/** A point as the managed settings hold it; keys that the page does not know are kept. */
export interface Point {
  id: string;
  name?: string | Record<string, string>;
  table?: string;
  address?: number | string;
  sunspec?: object;
  type?: string;
  order?: string;
  bit?: number;
  scale?: number;
  offset?: number;
  unit?: string;
  enum?: Record<string, string>;
  enabled?: boolean;
  write?: Write | null;
}

export interface Device {
  id: string;
  bridge?: string;
  unit?: number;
  interval?: string;
  enabled?: boolean;
  topic?: string;
  template?: string;
  addresses?: string;
  max_read?: number;
  home_assistant?: boolean | null;
  parse?: {
    regex?: string;
    csv?: object;
    json?: boolean;
    key_value?: object;
    nmea?: boolean;
    binary?: boolean;
    text?: boolean;
  };
  points?: Point[];
  status?: DeviceStatus | undefined;
}

export interface Bridge {
  id: string;
  kind: string;
  enabled?: boolean;
  link?: Link;
  timeout?: string;
  retries?: number;
  framing?: {
    delimiter?: string;
    delimiters?: string[];
    start?: string;
    length?: number;
    length_field?: object;
    idle_gap?: string;
    max_length?: number;
  };
  checksum?: { type?: string };
  devices?: Device[];
  status?: Status;
}

export interface OutFilter {
  filter: string;
  qos?: number;
  local_prefix?: string;
  remote_prefix?: string;
}

export interface Uplink {
  id: string;
  url: string;
  enabled?: boolean;
  version?: number;
  client_id?: string;
  username?: string;
  password?: string;
  password_set?: boolean;
  out?: OutFilter[];
  in?: OutFilter[];
  keep_alive?: string;
  tls?: { ca_file?: string; cert_file?: string; key_file?: string; server_name?: string; alpn?: string[] };
  queue?: { max_messages?: number; max_bytes?: string | number; max_age?: string; full?: string };
  status?: Status | undefined;
}

export interface SerialPort {
  port: string;
  device: string;
  name: string;
  used_by: string;
  problem: string;
}

export interface TestResult {
  ok: boolean;
  ms: number;
  error: string;
  code: string;
  readings: Value[] | null;
}

export interface WriteResult {
  ok: boolean;
  value?: Scalar;
  ms?: number;
  code?: string;
  detail?: string;
}

/** One fault of a body: where it is, what kind, and words for a person. */
export interface Fault {
  pointer: string;
  code: string;
  detail: string;
  line?: number; // in a body of YAML
}

export interface ImportResult {
  ok: boolean;
  dry_run: boolean;
  rows: number;
  added: string[];
  changed: string[];
  unchanged: string[];
  removed: string[];
  errors: RowFault[];
}

/** One fault of a table: row 1 is the header, 0 the whole. */
export interface RowFault {
  row: number;
  column: string;
  code: string;
  detail: string;
}

export interface HomeAssistant {
  enabled: boolean;
  prefix: string;
  node_id: string;
}

export interface Preset {
  id: string;
  name: Record<string, string>;
  advice: Record<string, string>;
  fill: { pointer: string; example: string }[] | null;
  settings: Partial<Uplink>;
}
