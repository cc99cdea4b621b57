// The shapes of templates and tools in docs/api.md, in its own words.
import type { Bridge, Device, Point, Scalar } from "./types";

export interface TemplateEntry {
  id: string;
  kind: string;
  manufacturer: string;
  model: string;
  category: string;
  description: Record<string, string>;
  source: string;
  serial: { baud: number; format: string } | null;
  own: boolean;
  point_count: number;
}

export interface Template extends TemplateEntry {
  bridge?: Partial<Bridge> | null;
  device?: Partial<Device> | null;
  points: Point[];
  yaml: string;
}

export interface Found {
  unit: number;
  certain: boolean;
  baud: number; // 0 over TCP
  format: string;
  ms: number;
  function: number;
  exception: number;
  words: string;
  vendor: string;
  product: string;
  revision: string;
  templates: string[] | null;
}

export interface Job {
  id: string;
  kind: string;
  subject: string;
  state: "running" | "done" | "failed" | "cancelled";
  done: number;
  total: number;
  words: string;
  error: string;
  code: string;
  result_count: number;
  results?: Found[] | null;
}

export interface Scan {
  bridge?: Bridge;
  units?: { from: number; to: number };
  formats?: { baud: number; format: string }[];
  timeout?: string;
  all_formats?: boolean;
  identify?: boolean;
}

/** Of a table, or with a function code that only reads. */
export interface Read {
  bridge?: Bridge;
  unit: number;
  table?: string;
  address?: number | string;
  addresses?: "wire" | "manual";
  quantity?: number;
  function?: number;
  sub_function?: number;
}

export interface Register {
  address: number;
  hex: string;
  unsigned: number;
  signed: number;
}

/** A value with its type, or registers, or coils. */
export interface HandWrite {
  unit: number;
  table: string;
  address: number | string;
  addresses: "wire" | "manual";
  type?: string;
  order?: string;
  length?: number;
  value?: Scalar;
  registers?: number[];
  coils?: boolean[];
  function?: number;
  verify?: boolean;
  read_address?: number;
  read_quantity?: number;
}

export interface HandWritten {
  ok: boolean;
  ms: number;
  function: number;
  raw: string;
  verified: boolean;
  registers: Register[] | null;
  error: string;
  code: string;
  exception: number;
}

export interface Decode {
  address: number;
  type: string;
  order: string;
  registers: number;
  value: Scalar;
  text: string;
  likely: boolean;
}

export interface ReadResult {
  ok: boolean;
  ms: number;
  error: string;
  code: string;
  exception: number;
  raw: string;
  registers: Register[] | null;
  bits: { address: number; value: boolean }[] | null;
  decodes: Decode[] | null;
  said?: { name: string; value: number; text: string }[] | null;
}

export interface Frame {
  time: string;
  direction: "request" | "answer" | "other";
  unit: number;
  function: number;
  name: string;
  address: number;
  quantity: number;
  hex: string;
  values: number[] | null;
  exception: number;
  problem: string;
  words: string;
  ms: number;
  text?: string;
}

export interface Frames {
  items: Frame[] | null;
  dropped: number;
}

export interface History {
  device: string;
  point: string;
  unit: string;
  kept: boolean;
  recent: { time: string; value: number | null }[] | null;
  day: { time: string; value: number; min: number; max: number }[] | null;
  day_seconds: number;
}
