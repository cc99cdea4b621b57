// Which settings of wires, devices and points the forms offer below "more", for each kind.
import type { Setting } from "./setting";

const enumeration: Setting = { name: "enum", path: "/enum", as: "labels", placeholder: "0=off, 1=on" };
const invalid: Setting = { name: "invalid", path: "/invalid", as: "values", placeholder: "nan, 0x8000, 32767" };
const precision: Setting = { name: "precision", path: "/precision", as: "whole", range: [0, 15] };
const gate: Setting[] = [
  { name: "on_change", path: "/on_change", as: "yes" },
  { name: "deadband", path: "/deadband", as: "number", range: [0, 1e15], placeholder: "0" },
  { name: "heartbeat", path: "/heartbeat", as: "seconds", range: [0, 604_800] },
];
const rs485: Setting = {
  name: "rs485",
  path: "/link/serial/rs485",
  as: "choice",
  options: ["auto", "on", "off"],
};
const names: Setting[] = [
  { name: "name_en", path: "/name/en", as: "text" },
  { name: "name_zh", path: "/name/zh", as: "text" },
];
const document: Setting = { name: "document", path: "/document", as: "yes" };
const topic: Setting = { name: "topic", path: "/topic", as: "text" };
const payload: Setting = { name: "payload", path: "/payload", as: "choice", options: ["json", "value"] };
const pointInterval: Setting = { name: "interval", path: "/interval", as: "seconds", range: [0.01, 86_400] };

/** Of a Modbus point that is a number, besides order, scale and offset. */
export const modbusNumber: Setting[] = [{ name: "scale_from", path: "/scale_from", as: "text" }, precision];
export const modbusLength: Setting = { name: "length", path: "/length", as: "whole", range: [1, 125] };
export const modbusPoint: Setting[] = [
  ...names,
  { ...pointInterval, also: "once" },
  { name: "priority", path: "/priority", as: "choice", options: ["normal", "high", "low"] },
  enumeration,
  invalid,
  ...gate,
  { name: "publish", path: "/publish", as: "yes", usual: true },
  { name: "enabled", path: "/enabled", as: "yes", usual: true },
];
export const modbusWrite: Setting[] = [
  { name: "verify", path: "/write/verify", as: "yes" },
  { name: "function", path: "/write/function", as: "choice", options: ["0", "5", "15", "6", "16", "22"] },
];
export const writeStep: Setting = { name: "step", path: "/write/step", as: "number", range: [0, 1e15] };
export const allModbusPoint: Setting[] = [...modbusNumber, modbusLength, ...modbusPoint, ...modbusWrite, writeStep];

export const modbusDevice: Setting[] = [
  { name: "device_pause", path: "/pause", as: "millis", range: [0, 10_000], placeholder: "0" },
  { name: "max_read", path: "/max_read", as: "whole", range: [1, 125], placeholder: "125" },
  { name: "order", path: "/order", as: "choice", options: ["ABCD", "CDAB", "BADC", "DCBA"] },
  { name: "addresses", path: "/addresses", as: "choice", options: ["", "wire", "manual"] },
  topic,
  payload,
  document,
];

export const modbusSerial: Setting[] = [{ name: "ascii", path: "/link/serial/ascii", as: "yes" }, rs485];
export const modbusTCP: Setting[] = [
  { name: "outstanding", path: "/link/tcp/outstanding", as: "whole", range: [1, 16], placeholder: "1" },
];
export const modbusWire: Setting[] = [
  { name: "retries", path: "/retries", as: "whole", range: [0, 10], placeholder: "1" },
  { name: "wire_pause", path: "/pause", as: "millis", range: [0, 10_000], placeholder: "0" },
];

export const lineSerial: Setting[] = [rs485];
export const lineWire: Setting[] = [
  { name: "silence", path: "/timeout", as: "seconds", range: [0, 604_800], placeholder: "10" },
  { name: "throttle", path: "/throttle", as: "millis", range: [0, 3_600_000], placeholder: "200" },
  { name: "max_length", path: "/framing/max_length", as: "whole", range: [1, 65_536], placeholder: "4096" },
];

export type Framing = "delimiter" | "delimiters" | "marks" | "length" | "length_field" | "idle_gap";
export const framings: Framing[] = ["delimiter", "delimiters", "marks", "length", "length_field", "idle_gap"];
const start: Setting = { name: "start", path: "/framing/start", as: "bytes", placeholder: "\\x02" };
/** Of each form of framing; a delimiter has a field of its own. */
export const framing: Record<Framing, Setting[]> = {
  delimiter: [],
  delimiters: [{ name: "delimiters", path: "/framing/delimiters", as: "list", placeholder: "\\r, \\n" }],
  marks: [
    start,
    { name: "end", path: "/framing/end", as: "bytes", placeholder: "\\x03" },
    { name: "escape", path: "/framing/escape", as: "bytes" },
    { name: "after", path: "/framing/after", as: "whole", range: [0, 16], placeholder: "0" },
  ],
  length: [
    { name: "frame_length", path: "/framing/length", as: "whole", range: [1, 1024] },
    { ...start, placeholder: "" },
    { name: "idle_gap", path: "/framing/idle_gap", as: "millis", range: [2, 10_000] },
  ],
  length_field: [
    { ...start, placeholder: "hex: AA 55" },
    { name: "field_offset", path: "/framing/length_field/offset", as: "whole", range: [0, 1023] },
    { name: "field_size", path: "/framing/length_field/size", as: "choice", options: ["", "1", "2", "4"] },
    { name: "field_order", path: "/framing/length_field/order", as: "choice", options: ["", "big", "little"] },
    { name: "field_add", path: "/framing/length_field/add", as: "whole", range: [-1024, 1024], placeholder: "0" },
  ],
  idle_gap: [{ name: "idle_gap", path: "/framing/idle_gap", as: "millis", range: [2, 10_000], placeholder: "30" }],
};
export const checksumTypes = [
  "",
  "none",
  "nmea",
  "xor",
  "sum8",
  "lrc",
  "sum16",
  "crc16_modbus",
  "crc16_ccitt",
  "crc16_xmodem",
  "crc16_kermit",
] as const;
export const checksumType: Setting = { name: "checksum", path: "/checksum/type", as: "choice", options: checksumTypes };
export const checksum: Setting[] = [
  { name: "check_format", path: "/checksum/format", as: "choice", options: ["", "binary", "hex", "decimal"] },
  { name: "check_order", path: "/checksum/order", as: "choice", options: ["", "big", "little"] },
  { name: "check_at", path: "/checksum/at", as: "whole", range: [-1024, 1024] },
  { name: "check_from", path: "/checksum/from", as: "whole", range: [-1024, 1024] },
  { name: "check_to", path: "/checksum/to", as: "whole", range: [-1024, 1024] },
];

export type Parse = "regex" | "csv" | "json" | "key_value" | "nmea" | "binary" | "text";
export const parses: Parse[] = ["regex", "csv", "json", "key_value", "nmea", "binary", "text"];
export const parseOf: Record<Parse, Setting[]> = {
  regex: [],
  csv: [
    { name: "separator", path: "/parse/csv/separator", as: "bytes", placeholder: "," },
    { name: "columns", path: "/parse/csv/columns", as: "list" },
    { name: "header", path: "/parse/csv/header", as: "yes" },
    { name: "count", path: "/parse/csv/count", as: "whole", range: [0, 1000] },
    { name: "quote", path: "/parse/csv/quote", as: "text", placeholder: '"' },
  ],
  json: [],
  key_value: [
    { name: "pair", path: "/parse/key_value/pair", as: "bytes", placeholder: "," },
    { name: "equals", path: "/parse/key_value/equals", as: "bytes", placeholder: "=" },
  ],
  nmea: [],
  binary: [],
  text: [],
};
export const parseMore: Setting[] = [
  { name: "begins", path: "/parse/begins", as: "bytes" },
  { name: "decimal", path: "/parse/decimal", as: "choice", options: [".", ","] },
  { name: "thousands", path: "/parse/thousands", as: "text" },
  { name: "overload", path: "/parse/overload", as: "list" },
];
export const lineAsk: Setting[] = [
  { name: "request", path: "/request", as: "bytes", placeholder: "PV?\\r" },
  { name: "line_interval", path: "/interval", as: "seconds", range: [0.02, 86_400], placeholder: "1" },
];
export const lineDevice: Setting[] = [
  { name: "wait", path: "/wait", as: "millis", range: [10, 60_000], placeholder: "1000" },
  { name: "retries", path: "/retries", as: "whole", range: [0, 10], placeholder: "1" },
  { name: "address_text", path: "/address", as: "text", placeholder: "01" },
  { name: "address_field", path: "/parse/address", as: "text" },
  { name: "silence", path: "/timeout", as: "seconds", range: [0, 604_800] },
  { name: "throttle", path: "/throttle", as: "millis", range: [0, 3_600_000] },
  topic,
  payload,
  document,
];
export const linePoint: Setting[] = [
  ...names,
  { name: "scale", path: "/scale", as: "number", placeholder: "1" },
  { name: "offset", path: "/offset", as: "number", placeholder: "0" },
  precision,
  { name: "units", path: "/units", as: "factors", placeholder: "kg=1, g=0.001" },
  { name: "unit_field", path: "/unit_field", as: "text" },
  enumeration,
  { ...invalid, placeholder: "-999, n/a" },
  ...gate,
  { name: "point_request", path: "/request", as: "bytes" },
  pointInterval,
  { name: "enabled", path: "/enabled", as: "yes", usual: true },
];
export const lineField: Setting = { name: "field", path: "/field", as: "text" };
export const lineBinary: Setting[] = [
  { name: "at", path: "/at", as: "whole", range: [0, 65_535] },
  { name: "order", path: "/order", as: "choice", options: ["ABCD", "CDAB", "BADC", "DCBA"] },
  { name: "byte_length", path: "/length", as: "whole", range: [1, 1024] },
  { name: "bit", path: "/bit", as: "whole", range: [0, 63] },
];
export const lineWrite: Setting[] = [
  { name: "command", path: "/write/command", as: "bytes", placeholder: "SP{value:.1f}\\r" },
  { name: "ack", path: "/write/ack", as: "text", placeholder: "^OK" },
  { name: "min", path: "/write/min", as: "number" },
  { name: "max", path: "/write/max", as: "number" },
  writeStep,
  { name: "write_values", path: "/write/values", as: "labels", placeholder: "true=FAN ON, false=FAN OFF" },
  { name: "nack", path: "/write/nack", as: "text" },
  { name: "write_wait", path: "/write/wait", as: "millis", range: [10, 60_000] },
];
export const allLinePoint: Setting[] = [...linePoint, lineField, ...lineBinary, ...lineWrite];
