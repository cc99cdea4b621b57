import { describe, expect, it } from "vitest";
import { slug } from "../../src/model/check";
import {
  copyPoint,
  expression,
  fromDevice,
  groupNames,
  lastLine,
  newDevice,
  newPoint,
  toDevice,
  type PointDraft,
} from "../../src/model/device";
import { durationOf, secondsOf } from "../../src/model/duration";
import { fromUplink, mergePatch, newUplink, toUplink, withHost } from "../../src/model/uplink";
import { freeName, fromBridge, joinAddress, newWire, splitAddress, toBridge } from "../../src/model/wire";
import { escaped, unescaped } from "../../src/model/escape";
import type { Bridge, Device, Uplink } from "../../src/types";

const pointers = (faults: { pointer: string; code: string }[]): string[] => faults.map((f) => `${f.pointer} ${f.code}`);

describe("a device", () => {
  it("comes back as it was, with what the form does not know", () => {
    const device = {
      id: "main-meter",
      bridge: "cabinet",
      unit: 1,
      interval: "1s",
      topic: "a/b",
      max_read: 20,
      points: [
        {
          id: "setpoint",
          table: "holding",
          address: 104,
          type: "int32",
          order: "CDAB",
          scale: 0.01,
          unit: "°C",
          write: { min: -10, max: 60, verify: true },
        },
        {
          id: "power",
          table: "input",
          address: 52,
          type: "float32",
          order: "ABCD",
          deadband: 5,
          heartbeat: "1m",
          invalid: ["nan"],
        },
        { id: "alarm", table: "holding", address: 100, bit: 3 },
        { id: "pump", table: "coil", address: 0, write: {} },
      ],
    } as Device;
    expect(toDevice(fromDevice(device, "modbus"), "modbus")).toEqual({ device, faults: [] });
  });

  it("of a line bridge comes back as it was", () => {
    const device: Device = {
      id: "scale",
      parse: { regex: "(?P<weight>.*)kg" },
      points: [{ id: "weight", type: "float64", unit: "kg" }],
    };
    expect(toDevice(fromDevice(device, "line"), "line")).toEqual({ device, faults: [] });
  });

  it("is not sent with its status", () => {
    const device: Device = { id: "a", unit: 1, status: { state: "online", since: "", reason: "" } };
    expect(toDevice(fromDevice(device, "modbus"), "modbus").device).not.toHaveProperty("status");
  });

  it("tells all faults at once", () => {
    const draft = { ...newDevice("modbus"), unit: "300", interval: "soon" };
    expect(pointers(toDevice(draft, "modbus").faults)).toEqual([
      "/id required",
      "/unit out_of_range",
      "/interval not_a_number",
      "/points/0/id required",
      "/points/0/address required",
    ]);
  });

  const point = (part: Partial<PointDraft>): PointDraft => ({ ...newPoint("modbus"), id: "p", address: "1", ...part });
  const rows: [name: string, part: Partial<PointDraft>, want: object][] = [
    ["takes a number of the manual", { address: "40105" }, { address: 104 }],
    [
      "writes the wire's address so that the gateway takes it for no other",
      { address: "40105", manual: false },
      { address: "0x9CA9" },
    ],
    ["takes a decimal comma", { scale: "0,1" }, { scale: 0.1 }],
    ["has no order with 16 bits", { type: "int16", order: "CDAB" }, { type: "int16" }],
    ["has an order with 32 bits", { type: "int32", order: "CDAB" }, { type: "int32", order: "CDAB" }],
    ["has no type when it is a bit", { bit: "3", type: "int32", scale: "2" }, { bit: 3, type: undefined }],
    ["has no type when it is a coil", { table: "coil", type: "int16" }, { table: "coil", type: undefined }],
    ["is not writable in a read-only table", { table: "input", writable: true }, { table: "input", write: undefined }],
    ["is writable without limits", { writable: true }, { write: {} }],
    ["keeps a limit of zero", { writable: true, min: "0" }, { write: { min: 0 } }],
  ];
  it.each(rows)("point %s", (_, part, want) => {
    const { device, faults } = toDevice({ ...newDevice("modbus"), id: "d", points: [point(part)] }, "modbus");
    expect(faults).toEqual([]);
    const base = { id: "p", table: "holding", address: 1, type: "int16" };
    const expected = Object.fromEntries(
      Object.entries({ ...base, ...want }).filter((entry) => (entry[1] as unknown) !== undefined),
    );
    expect(device.points?.[0]).toEqual(expected);
  });

  const faulty: [name: string, part: Partial<PointDraft>, want: string][] = [
    ["no address", { address: "x" }, "/points/0/address bad_address"],
    ["a number of another table only", { address: "300001" }, "/points/0/address other_table"],
    ["limits the wrong way round", { writable: true, min: "5", max: "1" }, "/points/0/write/max below_min"],
    ["a bit that is none", { bit: "16" }, "/points/0/bit out_of_range"],
    ["a name with a slash", { id: "a/b" }, "/points/0/id bad_name"],
  ];
  it.each(faulty)("point has %s", (_, part, want) => {
    const draft = { ...newDevice("modbus"), id: "d", points: [point(part)] };
    expect(pointers(toDevice(draft, "modbus").faults)).toEqual([want]);
  });

  it("finds two points of one name", () => {
    const p = point({});
    const draft = { ...newDevice("modbus"), id: "d", points: [p, { ...copyPoint(p), id: "p" }] };
    expect(pointers(toDevice(draft, "modbus").faults)).toEqual(["/points/1/id taken"]);
  });
});

describe("a wire", () => {
  const rows: [name: string, bridge: Bridge][] = [
    [
      "serial",
      {
        id: "a",
        kind: "modbus",
        timeout: "500ms",
        retries: 1,
        link: { serial: { port: "/dev/ttyUSB0", baud: 9600, format: "8N1", rs485: "auto" } },
        devices: [],
      },
    ],
    [
      "a serial port, with a key that the form does not know",
      {
        id: "a",
        kind: "modbus",
        link: { serial: { port: "/dev/ttyUSB0", baud: 1200, format: "7E1" }, ascii: true },
      } as Bridge,
    ],
    ["TCP", { id: "a", kind: "modbus", link: { tcp: { address: "10.0.0.5:502" } } }],
    ["TCP over IPv6", { id: "a", kind: "modbus", link: { tcp: { address: "[fe80::1]:502" } } }],
    ["RTU over TCP", { id: "a", kind: "modbus", link: { rtu_over_tcp: { address: "conv:4001" } } }],
    [
      "lines",
      {
        id: "a",
        kind: "line",
        link: { serial: { port: "/dev/ttyUSB1", baud: 9600, format: "7E1" } },
        framing: { delimiter: "\u0003\r", max_length: 100 },
      },
    ],
  ];
  it.each(rows)("over %s comes back as it was", (_, bridge) => {
    expect(toBridge(fromBridge(bridge))).toEqual({ bridge, faults: [] });
  });

  it("tells all faults at once", () => {
    const draft = { ...newWire("a b"), medium: "tcp" as const, tcpPort: "70000", timeout: "1" };
    expect(pointers(toBridge(draft).faults)).toEqual([
      "/id bad_name",
      "/link/tcp/address required",
      "/link/tcp/address/port out_of_range",
      "/timeout out_of_range",
    ]);
  });

  it("gets a name that is free", () => {
    expect(freeName(["wire-1", "cabinet", "wire-3"])).toBe("wire-2");
  });

  it.each([
    ["host:502", "host", "502"],
    ["host", "host", ""],
    ["[::1]:502", "::1", "502"],
    ["fe80::1", "fe80::1", ""],
  ])("splits %s", (address, host, port) => expect(splitAddress(address)).toEqual([host, port]));

  it.each([
    ["10.0.0.5", "10.0.0.5:502"],
    ["10.0.0.5:1502", "10.0.0.5:1502"], // pasted with its port
    ["fe80::1", "[fe80::1]:502"],
  ])("joins %s", (host, address) => expect(joinAddress(host, 502)).toBe(address));

  it.each(["\r\n", "\n", "\u0003", "a\\b", "\t", "\\r"])("escapes %j and back", (text) => {
    expect(unescaped(escaped(text))).toBe(text);
  });
});

describe("an uplink", () => {
  it.each([
    [
      "mqtts://a1-ats.iot.example.com:8883",
      { host: "a1-ats.iot.example.com", port: "8883", tls: true, websocket: false, path: "" },
    ],
    ["ws://broker/mqtt", { host: "broker", port: "80", tls: false, websocket: true, path: "/mqtt" }],
    [" broker.example.com ", { host: "broker.example.com" }],
    ["http://broker", { host: "http://broker" }],
  ])("takes a pasted %s apart", (text, part) => expect(withHost(newUplink("site-7"), text)).toEqual(part));

  it("leaves an address alone while it is typed", () => {
    const text = "mqtts://b";
    expect(withHost({ ...newUplink("site-7"), host: text.slice(0, -1) }, text)).toEqual({ host: text });
  });

  const saved: Uplink = {
    id: "cloud",
    url: "mqtts://broker.example.com:8883",
    version: 5,
    username: "gw",
    password_set: true,
    client_id: "site-7",
    out: [{ filter: "fieldgate/#", qos: 1, local_prefix: "fieldgate/", remote_prefix: "site-7/" }],
    in: [],
  };

  it("comes back as it was", () => {
    expect(toUplink(fromUplink(saved))).toEqual({ uplink: saved, faults: [] });
    expect(mergePatch(fromUplink(saved), saved)).toEqual({});
  });

  it("patches only what changed", () => {
    const draft = { ...fromUplink(saved), host: "other", clientID: "" };
    expect(mergePatch(draft, toUplink(draft).uplink)).toEqual({ url: "mqtts://other:8883", client_id: null });
  });

  it.each([
    ["a new password", { password: "new" }, { password: "new" }],
    ["no password any more", { dropPassword: true }, { password: null }],
    ["the kept password", {}, {}],
  ])("patches %s", (_, part, want) => {
    const draft = { ...fromUplink(saved), ...part };
    expect(mergePatch(draft, toUplink(draft).uplink)).toEqual(want);
  });

  it.each(["wss://cloud.example.com:443/mqtt", "mqtt://[::1]:1883"])("keeps the address %s", (url) => {
    expect(toUplink(fromUplink({ ...saved, url })).uplink.url).toBe(url);
  });

  it("tells all faults at once", () => {
    const draft = { ...newUplink("site"), id: "", port: "x", out: [] };
    expect(pointers(toUplink(draft).faults)).toEqual([
      "/id required",
      "/url required",
      "/url/port not_a_number",
      "/out nothing_sent",
    ]);
  });
});

describe("durations", () => {
  it.each([
    ["500ms", 0.5],
    ["1s", 1],
    ["1m30s", 90],
    ["1m0s", 60],
    ["1.5h", 5400],
  ])("reads %s", (text, s) => expect(secondsOf(text)).toBe(s));
  it.each(["", "1", "s", "-1s", "1 s"])("refuses %j", (text) => expect(secondsOf(text)).toBeUndefined());
  it.each([
    [0.5, "500ms"],
    [1, "1s"],
    [90, "90s"],
    [0.25, "250ms"],
  ])("writes %s", (s, text) => expect(durationOf(s)).toBe(text));
});

describe("patterns", () => {
  it("reads the gateway's notation of named groups", () => {
    const e = expression("^ST,GS,\\s*(?P<weight>[-+0-9. ]+)kg");
    expect(e).toBeInstanceOf(RegExp);
    expect((e as RegExp).exec("ST,GS,  12.5kg")?.groups).toEqual({ weight: "12.5" });
  });
  it("gives an error for half a pattern", () => expect(expression("(?P<a>")).toBeInstanceOf(Error));
  it("lists the named groups", () => expect(groupNames("(?P<a>x)(y)(?<b>z)(?:w)")).toEqual(["a", "b"]));
});

it.each([
  ['2 lines came, but none matches parse.regex; the last was "ST,GS,\\x03 \\"a\\""', 'ST,GS,\u0003 "a"'],
  ["nothing came", undefined],
])("finds the line in %j", (error, line) => {
  expect(lastLine(error)).toBe(line);
});

it("makes names while they are typed", () => {
  expect(slug(" Main meter/2")).toBe("main-meter2");
});
