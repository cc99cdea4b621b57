// Templates and tools of docs/api.md for the gateway in memory.
import type { ServerResponse } from "node:http";
import type {
  Decode,
  Found,
  Frame,
  HandWrite,
  HandWritten,
  History,
  Job,
  Read,
  ReadResult,
  Scan,
  Template,
} from "../../src/tool-types";
import type { Fault } from "../../src/types";

const none = { bridge: null, device: null, own: false };

export const templates: Template[] = [
  {
    ...none,
    id: "acme-em3",
    kind: "modbus",
    manufacturer: "ACME",
    model: "EM-3",
    category: "energy_meter",
    description: { en: "Three-phase meter", zh: "三相电能表" },
    source: "ACME EM-3 manual, table 7",
    serial: { baud: 2400, format: "8E1" },
    device: { max_read: 60 },
    point_count: 3,
    points: [
      { id: "power", name: { en: "Power", zh: "功率" }, table: "input", address: 52, type: "float32", unit: "W" },
      { id: "voltage-l1", table: "input", address: 0, type: "float32", unit: "V" },
      { id: "relay-1", name: { en: "Relay 1", zh: "继电器 1" }, table: "coil", address: 0, write: {} },
    ],
    yaml: "id: acme-em3\nkind: modbus\n",
  },
  {
    ...none,
    id: "nmea-gps",
    kind: "line",
    manufacturer: "NMEA",
    model: "GPS receiver",
    category: "gps",
    description: { en: "GPS receiver that sends NMEA 0183", zh: "GPS 接收机" },
    source: "NMEA 0183",
    serial: { baud: 4800, format: "8N1" },
    device: { parse: { nmea: true } },
    point_count: 1,
    points: [{ id: "latitude", unit: "°" }],
    yaml: "id: nmea-gps\nkind: line\n",
  },
];

/** readBack answers a read by hand: 230.1 stands there as a float32 with the order CDAB. */
export function readBack(q: Read): ReadResult {
  const base = {
    ok: true,
    ms: 14.2,
    error: "",
    code: "",
    exception: 0,
    raw: "1999",
    registers: [],
    bits: [],
    decodes: [],
  };
  if (q.function === 8) return { ...base, said: [{ name: "bus_crc_errors", value: 7, text: "" }] };
  if (q.table === "coil" || q.table === "discrete_input")
    return { ...base, bits: [{ address: Number(q.address), value: true }] };
  if (Number(q.address) >= 9000)
    return {
      ...base,
      ok: false,
      error: "the device answered exception 2: it has no such address",
      code: "exception_2",
      exception: 2,
    };
  const bytes = Buffer.alloc(8);
  bytes.writeFloatBE(230.1, 0);
  bytes.swap32().swap16(); // now the low word comes first
  const registers = Array.from({ length: q.quantity ?? 1 }, (_, i) => {
    const unsigned = bytes.readUInt16BE(2 * i);
    return {
      address: Number(q.address) + i,
      hex: unsigned.toString(16).padStart(4, "0"),
      unsigned,
      signed: bytes.readInt16BE(2 * i),
    };
  });
  return { ...base, registers, decodes: decodes(bytes, Number(q.address)) };
}

/** writeBack answers a write by hand; the unit identifier 99 is silent. */
export function writeBack(q: HandWrite): HandWritten {
  const base = { ms: 21, function: q.function ?? 6, raw: "00d7", registers: [], error: "", code: "", exception: 0 };
  if (q.unit === 99)
    return {
      ...base,
      ok: false,
      verified: false,
      error: "no answer within 500ms; check that the device is on",
      code: "timeout",
    };
  if (Number(q.address) > 65_535)
    return { ...base, ok: false, verified: false, error: "must be 0 to 65535", code: "out_of_range" };
  return { ...base, ok: true, verified: q.verify === true };
}

function decodes(bytes: Buffer, address: number): Decode[] {
  const one = (type: string, order: string, registers: number, value: number): Decode => ({
    address,
    type,
    order,
    registers,
    value,
    text: String(Number(value.toPrecision(7))),
    likely: Math.abs(value) > 0.01 && Math.abs(value) < 100_000,
  });
  const inOrder = (order: string): Buffer => {
    const at = Array.from(order, (letter) => letter.charCodeAt(0) - 65);
    const out = Buffer.alloc(4);
    at.forEach((to, from) => (out[to] = bytes[from] ?? 0));
    return out;
  };
  return [
    one("int16", "ABCD", 1, bytes.readInt16BE(0)),
    one("uint16", "ABCD", 1, bytes.readUInt16BE(0)),
    ...["ABCD", "CDAB", "BADC", "DCBA"].flatMap((order) => [
      one("float32", order, 2, inOrder(order).readFloatBE(0)),
      one("uint32", order, 2, inOrder(order).readUInt32BE(0)),
    ]),
  ];
}

/** A search that finds units 3 and 7, one with every question for news, and is done then. */
export class MockScan {
  readonly job: Job;
  private found: Found[] = [];

  constructor(
    readonly asked: Scan,
    subject: string,
  ) {
    this.job = {
      id: "k3j5x7",
      kind: "scan",
      subject,
      state: "running",
      done: 0,
      total: 247,
      words: "9600 8N1, unit 1",
      error: "",
      code: "",
      result_count: 0,
    };
  }

  cancel(): void {
    if (this.job.state === "running") this.job.state = "cancelled";
  }

  look(after: number, hold: boolean): Job {
    if (this.job.state === "running" && !hold) this.step();
    return { ...this.job, result_count: this.found.length, results: this.found.slice(after) };
  }

  private step(): void {
    const base = { certain: true, baud: 9600, format: "8N1", ms: 23.4, function: 3, exception: 0, words: "" };
    const who = [
      { ...base, unit: 3, vendor: "ACME", product: "EM-3", revision: "1.2", templates: ["acme-em3"] },
      { ...base, unit: 7, vendor: "", product: "", revision: "", exception: 2, templates: [] },
    ];
    const next = who[this.found.length];
    if (next) {
      this.found.push(next);
      this.job.done = next.unit * 20;
      this.job.words = `9600 8N1, unit ${next.unit * 20}`;
    } else {
      this.job.state = "done";
      this.job.done = this.job.total;
    }
  }
}

export function history(device: string, point: string): History {
  const now = Date.now();
  const wave = (i: number): number => 230 + Math.round(40 * Math.sin(i / 6)) / 10;
  const at = (seconds: number): string => new Date(now - seconds * 1000).toISOString();
  return {
    device,
    point,
    unit: "W",
    kept: true,
    recent: Array.from({ length: 60 }, (_, i) => ({ time: at(60 - i), value: i === 30 ? null : wave(i) })),
    day: Array.from({ length: 72 }, (_, i) => ({
      time: at((72 - i) * 1200),
      value: wave(i),
      min: wave(i) - 1,
      max: wave(i) + 1,
    })),
    day_seconds: 1200,
  };
}

/** monitor sends a question and its answer five times a second; every fifth answer is damaged. */
export function monitor(r: ServerResponse): void {
  r.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
  let round = 0;
  const send = (): void => {
    round++;
    const unit = round % 2 === 0 ? 1 : 2;
    const damaged = round % 5 === 0;
    const base = {
      time: new Date().toISOString(),
      unit,
      function: 3,
      name: "read holding registers",
      address: 104,
      exception: 0,
    };
    const items: Frame[] = [
      {
        ...base,
        direction: "request",
        quantity: 2,
        hex: `0${unit}0300680002`,
        values: null,
        problem: "",
        words: "",
        ms: 0,
      },
      {
        ...base,
        direction: "answer",
        quantity: 2,
        hex: `0${unit}03044366199a`,
        text: "",
        values: [17254, 6554],
        problem: damaged ? "crc" : "",
        words: damaged ? "the checksum is wrong: 199a in place of 3c21" : "",
        ms: 14.2,
      },
    ];
    r.write(`event: frames\ndata: ${JSON.stringify({ items, dropped: 0 })}\n\n`);
  };
  send();
  const timer = setInterval(send, 200);
  r.on("close", () => clearInterval(timer));
}

/** checkTemplate judges an own template as the gateway would: the fault names the line. */
export function checkTemplate(yaml: string): Fault[] {
  const line = yaml.split("\n").findIndex((l) => l.includes("table: inputs"));
  return line < 0
    ? []
    : [
        {
          pointer: "/points/0/table",
          code: "invalid",
          detail: `must be coil, discrete_input, holding or input`,
        },
      ];
}
