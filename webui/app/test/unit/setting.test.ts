import { describe, expect, it } from "vitest";
import { en } from "../../src/i18n/en";
import { Checks } from "../../src/model/check";
import { fromDevice, newPoint, overPoint, toDevice } from "../../src/model/device";
import * as catalogue from "../../src/model/field-settings";
import { entriesOf, visible, withEntries, type Notation, type Setting } from "../../src/model/setting";
import { fromBridge, newWire, toBridge, withTemplate } from "../../src/model/wire";
import type { Bridge, Device } from "../../src/types";

describe("a setting", () => {
  const rows: [as: Notation, value: unknown, text: string][] = [
    ["text", "a", "a"],
    ["bytes", "\r\n", "\\r\\n"],
    ["bytes", "\\x02{address}", "\\x02{address}"],
    ["number", 0.5, "0.5"],
    ["whole", 0, "0"],
    ["seconds", "1m30s", "90"],
    ["seconds", "once", "once"],
    ["millis", "1.5s", "1500"],
    ["yes", true, "true"],
    ["list", ["\r", "\n"], "\\r, \\n"],
    ["labels", { "0": "off", "1": "on" }, "0=off, 1=on"],
    ["factors", { kg: 1, g: 0.001 }, "kg=1, g=0.001"],
    ["values", ["nan", "0x8000", 32767], "nan, 0x8000, 32767"],
  ];
  it.each(rows)("of %s shows %j as %s, and stays as it was", (as, value, text) => {
    const s: Setting[] = [{ name: "x", path: "/deep/x", as, also: "once" }];
    const object = { deep: { x: value, other: 1 } };
    expect(entriesOf(object, s)).toEqual({ "/deep/x": text });
    const c = new Checks();
    expect(withEntries(object, s, { "/deep/x": text }, c, "")).toBe(object);
    const back = withEntries({}, s, { "/deep/x": text }, c, "") as { deep: { x: unknown } };
    if (as !== "seconds" && as !== "millis" && as !== "bytes" && as !== "list") expect(back.deep.x).toEqual(value);
    expect(c.faults).toEqual([]);
  });

  it("that is emptied goes, and leaves no empty object that was not there", () => {
    const s: Setting[] = [{ name: "x", path: "/a/x", as: "number" }];
    expect(withEntries({ a: { x: 1 } }, s, { "/a/x": "" }, new Checks(), "")).toEqual({ a: {} });
    expect(withEntries({}, s, { "/a/x": " " }, new Checks(), "")).toEqual({});
  });

  const faulty: [as: Notation, text: string, code: string][] = [
    ["number", "x", "not_a_number"],
    ["whole", "70", "out_of_range"],
    ["seconds", "soon", "not_a_number"],
    ["labels", "on", "bad_pairs"],
    ["factors", "kg=heavy", "not_a_number"],
  ];
  it.each(faulty)("of %s says what is wrong with %s", (as, text, code) => {
    const c = new Checks();
    withEntries({}, [{ name: "x", path: "/x", as, range: [0, 60] }], { "/x": text }, c, "/points/0");
    expect(c.faults.map((f) => `${f.pointer} ${f.code}`)).toEqual([`/points/0/x ${code}`]);
  });

  it("has words, every one of them", () => {
    const isSetting = (x: unknown): x is Setting => typeof x === "object" && x !== null && "path" in x;
    const all = Object.values(catalogue).flatMap((v): unknown[] =>
      Array.isArray(v) ? v : isSetting(v) ? [v] : Object.values(v).flat(),
    );
    const names = all.filter(isSetting).map((s) => s.name);
    expect(names.length).toBeGreaterThan(60);
    expect(names.filter((name) => !(name in en.field.settings))).toEqual([]);
  });

  it("shows control characters and leaves escapes alone", () => {
    expect(visible("\u0002a\\r\r")).toBe("\\x02a\\r\\r");
  });
});

describe("what somebody set by YAML", () => {
  const modbus = {
    id: "m",
    unit: 3,
    interval: "1m",
    pause: "1.5s",
    max_read: 60,
    order: "CDAB",
    addresses: "manual",
    payload: "value",
    template: "eastron-sdm630",
    points: [
      { id: "power", deadband: 5, heartbeat: "1m" },
      { id: "thd", enabled: false },
      { id: "a", address: 40105, type: "float16", precision: 1, name: { en: "A" } },
      { id: "b", address: "4x105", table: "holding", type: "bits", length: 2, enum: { "0": "run" } },
      { id: "c", address: 105, table: "input", type: "string", length: 8, order: "BADC" },
      { id: "d", sunspec: { models: [101], offset: 14 }, type: "int16", scale_from: "sf", publish: false },
      { id: "f", address: "4x9", name: "Frequency", priority: "high" },
      { id: "e", address: "0x9CA9", write: { step: 0.5, verify: true, function: 16 }, interval: "once" },
    ],
  } as Device;
  const line = {
    id: "l",
    address: "01",
    request: "\\x02{address}W\\x03",
    interval: "500ms",
    wait: "300ms",
    timeout: "0s",
    parse: { csv: { separator: ";", columns: ["t", "h"] }, decimal: "," },
    points: [
      { id: "t", unit: "°C", invalid: [-99.9], units: { C: 1 }, field: "t" },
      { id: "tare", type: "string", write: { command: "\\x02T\\x03", ack: "^OK", values: { now: "" } } },
    ],
  } as unknown as Device;
  const bridges: Bridge[] = [
    {
      id: "a",
      kind: "modbus",
      timeout: "1s500ms",
      retries: 0,
      pause: "20ms",
      link: { tcp: { address: "h:502", outstanding: 4 } },
    } as Bridge,
    { id: "b", kind: "modbus", link: { serial: { port: "/dev/x", ascii: true, rs485: "on" } } },
    {
      id: "c",
      kind: "line",
      timeout: "0s",
      throttle: "0s",
      link: { serial: { port: "/dev/x", baud: 19200 } },
      framing: { start: "hex: AA 55", length_field: { offset: 2, size: 1, add: 5 } },
      checksum: { type: "crc16_modbus", at: -2 },
      sample: "x",
    } as Bridge,
    {
      id: "d",
      kind: "line",
      link: { tcp: { address: "h:1" } },
      framing: { start: "\\x02", end: "\\x03", after: 1 },
    } as Bridge,
    { id: "e", kind: "line", link: { tcp: { address: "h:1" } }, framing: { delimiters: ["\r", "\t"] } },
    { id: "f", kind: "line", link: { tcp: { address: "h:1" } }, framing: { delimiter: "\\r" } },
  ];

  it("of a Modbus device is saved as it was", () => {
    // Which points of a template are off stands at the end; the order of points means nothing.
    const { device, faults } = toDevice(fromDevice(modbus, "modbus"), "modbus");
    const byID = (d: Device): Device => ({
      ...d,
      points: [...(d.points ?? [])].sort((x, y) => (x.id < y.id ? -1 : 1)),
    });
    expect(faults).toEqual([]);
    expect(byID(device)).toEqual(byID(modbus));
  });

  it("of a line device is saved as it was", () => {
    expect(toDevice(fromDevice(line, "line"), "line")).toEqual({ device: line, faults: [] });
  });

  it.each(bridges)("of the wire $id is saved as it was", (bridge) => {
    expect(toBridge(fromBridge(bridge))).toEqual({ bridge, faults: [] });
  });

  it("shows the number of the manual where addresses are counted so", () => {
    const [, , b, c] = fromDevice(modbus, "modbus").points;
    expect([b?.address, c?.address]).toEqual(["4x105", "30105"]);
  });
});

describe("a device with a template", () => {
  it("says only what differs", () => {
    const draft = {
      ...fromDevice({ id: "m", unit: 1, template: "t" }, "modbus"),
      off: ["thd"],
      points: [{ ...overPoint("power", "modbus"), more: { ...newPoint("modbus").more, "/deadband": "5" } }],
    };
    expect(toDevice(draft, "modbus").device).toEqual({
      id: "m",
      unit: 1,
      template: "t",
      points: [
        { id: "power", deadband: 5 },
        { id: "thd", enabled: false },
      ],
    });
  });

  it("needs no points of its own", () => {
    const { device, faults } = toDevice({ ...fromDevice({ id: "m", template: "t" }, "line"), points: [] }, "line");
    expect({ device, faults }).toEqual({ device: { id: "m", template: "t" }, faults: [] });
  });

  it("begins its wire as it is shipped", () => {
    const framing = { start: "\\x02", end: "\\x03" };
    const wire = withTemplate(newWire("w"), {
      kind: "line",
      serial: { baud: 2400, format: "7E1" },
      bridge: { framing },
    });
    expect(wire).toMatchObject({ kind: "line", baud: "2400", format: "7E1", framing: "marks" });
    expect(toBridge({ ...wire, port: "/dev/x" }).bridge).toEqual({
      id: "w",
      kind: "line",
      framing,
      link: { serial: { port: "/dev/x", baud: 2400, format: "7E1" } },
    });
  });
});
