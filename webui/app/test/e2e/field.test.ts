// The field side in Chromium: a meter by its model, by search and by hand, byte orders, frames, and writes.
import { describe, expect, it } from "vitest";
import { at, expectAccessible } from "./browser";
import { atDesk, meterOn } from "./desk";

const cabinet = () =>
  meterOn({ serial: { port: "/dev/serial/by-id/usb-FTDI_FT232R-if00", baud: 9600, format: "8N1" } }, [
    { id: "power", table: "input", address: 52, type: "float32", unit: "W" },
    { id: "pump", table: "coil", address: 0, write: { verify: true } },
  ]);

const { desk, fill, click, seen, open, text, unfold } = atDesk({ width: 360 }, (g) => {
  g.bridges = [cabinet()];
});
const device = (i: number) => desk.g.bridges[0]?.devices?.[i];

describe("a device", () => {
  it("is added by its model, with only what differs", async () => {
    await open("/devices/new");
    await click("how-template");
    await seen(at("template-nmea-gps") + "," + at("template-acme-em3"));
    expect(await desk.b.page.$(at("template-nmea-gps")), "another kind than the wire's").toBeNull();
    await fill("template-search", "acme three-phase");
    await expectAccessible(desk.b.page, "the search of a model");
    await click("template-acme-em3");
    await seen(at("template-chosen"));
    expect(await text("template-chosen")).toContain("2400 8E1");
    expect(await text("template-chosen")).toContain("This wire is set to 9600 8N1");
    expect(await text("template-chosen")).toContain("ACME EM-3 manual, table 7");
    await fill("device-id", "main");
    await fill("device-unit", "5");
    await unfold("template-points");
    await desk.b.page.uncheck(at("template-point-voltage-l1"));
    await click("template-change-power");
    await fill("setting-deadband-0", "5");
    await expectAccessible(desk.b.page, "a device with a model");
    await click("device-test");
    await seen(at("reading-main-power"));
    await click("device-save");
    await seen(`${at("value-main-power")}[data-quality="good"]`);
    expect(device(1)).toEqual({
      id: "main",
      unit: 5,
      template: "acme-em3",
      points: [
        { id: "power", deadband: 5 },
        { id: "voltage-l1", enabled: false },
      ],
    });
    await click("switch-main-relay-1");
    await seen(`${at("write-result-main-relay-1")}[data-ok="true"]`);
  });

  it("on a new wire brings how it is shipped", async () => {
    await open("/devices/new");
    await click("wire-choice-new");
    await click("how-template");
    await click("template-nmea-gps");
    await seen(at("template-chosen"));
    expect(await desk.b.page.isChecked(at("kind-line"))).toBe(true);
    await click("port-/dev/ttyS0");
    await fill("device-id", "gps");
    await click("device-save");
    await seen(at("value-gps-latitude"));
    expect(desk.g.bridges[1]).toMatchObject({
      kind: "line",
      link: { serial: { port: "/dev/ttyS0", baud: 4800, format: "8N1" } },
      devices: [{ id: "gps", template: "nmea-gps" }],
    });
  });

  it("is found by a search, and added", async () => {
    desk.g.hold = true;
    await open("/wires/cabinet");
    await click("wire-add-cabinet");
    await unfold("scan-open");
    await fill("device-id", "");
    await click("scan-start");
    await seen(`${at("scan")}[data-state="running"]`);
    await expectAccessible(desk.b.page, "a search");
    desk.g.hold = false;
    await seen(at("found-add-3"));
    expect(await text("found-3")).toContain("ACME EM-3 1.2");
    expect(await text("found-3")).toContain("9600 8N1");
    await seen(`${at("scan")}[data-state="done"]`);
    expect(await text("found-7")).toContain("the device has no such address");
    await expectAccessible(desk.b.page, "what a search found");
    await click("found-add-3");
    await seen(at("template-chosen"));
    expect(await desk.b.page.inputValue(at("device-unit"))).toBe("3");
    await click("device-save");
    await seen(at("value-em-3-power"));
    expect(device(1)).toEqual({ id: "em-3", unit: 3, template: "acme-em3" });
    expect(desk.g.scan?.asked).toEqual({ units: { from: 1, to: 247 } });
  });

  it("is found on a wire that is not saved, with its speed", async () => {
    await open("/devices/new");
    await click("wire-choice-new");
    await unfold("scan-open");
    await click("scan-start");
    await seen(at("fault-/wire/link/serial/port") + "," + at("problems"));
    await click("port-/dev/ttyS0");
    await desk.b.page.selectOption(at("wire-baud"), "19200");
    await desk.b.page.click(`${at("scan")} summary`);
    await fill("scan-from", "1");
    await fill("scan-to", "20");
    await click("scan-start");
    await click("found-add-7");
    expect(await desk.b.page.inputValue(at("wire-baud"))).toBe("9600");
    expect(await desk.b.page.inputValue(at("device-unit"))).toBe("7");
    expect(desk.g.scan?.asked).toMatchObject({
      units: { from: 1, to: 20 },
      bridge: { kind: "modbus", link: { serial: { port: "/dev/ttyS0", baud: 19200 } } },
    });
  });

  it("has its search ended when a person leaves", async () => {
    desk.g.hold = true;
    await open("/devices/new/on/cabinet");
    await unfold("scan-open");
    await click("scan-start");
    await seen(`${at("scan")}[data-state="running"]`);
    await click("nav-overview");
    await expect.poll(() => desk.g.scan?.job.state).toBe("cancelled");
  });

  it("is added by hand, and its byte order is found by trying", async () => {
    await open("/devices/new/on/cabinet");
    await fill("device-id", "hand");
    await fill("point-id-0", "voltage");
    await fill("point-address-0", "104");
    await click("try-read-0");
    await seen(at("try-result-0"));
    await expectAccessible(desk.b.page, "byte orders");
    expect(await text("try-0-float32-CDAB")).toContain("230.1");
    await click("try-0-float32-CDAB");
    expect(await desk.b.page.inputValue(at("point-type-0"))).toBe("float32");
    expect(await desk.b.page.getAttribute(at("try-0-float32-CDAB"), "aria-pressed")).toBe("true");
    await click("device-save");
    await seen(at("value-hand-voltage"));
    expect(device(1)?.points).toEqual([
      { id: "voltage", table: "holding", address: 104, type: "float32", order: "CDAB" },
    ]);
  });

  it("says why nothing could be read", async () => {
    await open("/devices/new/on/cabinet");
    await fill("point-address-0", "9000");
    await click("try-read-0");
    await seen(at("try-failed-0"));
    expect(await text("try-failed-0")).toContain("it has no such address");
  });

  it("keeps what was set by YAML, and takes new settings", async () => {
    const rich = { id: "x", address: "4x105", type: "bits", length: 2, enum: { "0": "run" }, odd_key: 1 };
    device(0)?.points?.push(rich);
    await open("/devices/meter/edit");
    await unfold("point-more-0");
    await fill("setting-precision-0", "1");
    await fill("setting-interval-0", "once");
    await fill("setting-enum-0", "0=off, 1=on");
    await fill("setting-invalid-0", "nan, 0x8000");
    await desk.b.page.check(at("setting-on_change-0"));
    await desk.b.page.uncheck(at("setting-publish-0"));
    await expectAccessible(desk.b.page, "all settings of a point");
    await click("device-save");
    await seen(at("value-meter-power"));
    expect(device(0)?.points?.[0]).toEqual({
      ...cabinet().devices?.[0]?.points?.[0],
      precision: 1,
      interval: "once",
      enum: { "0": "off", "1": "on" },
      invalid: ["nan", "0x8000"],
      on_change: true,
      publish: false,
    });
    expect(device(0)?.points?.[2]).toEqual(rich);
  });
});

describe("a wire", () => {
  it("has its settings below more", async () => {
    await open("/wires/cabinet");
    expect(await text("wire-use")).toContain("134 %");
    await unfold("wire-more");
    await desk.b.page.check(at("setting-ascii"));
    await desk.b.page.selectOption(at("setting-rs485"), "on");
    await fill("setting-wire_pause", "20");
    await fill("setting-retries", "11");
    await expectAccessible(desk.b.page, "all settings of a wire");
    await click("wire-save");
    await seen(at("fault-/wire/retries"));
    await fill("setting-retries", "0");
    await click("wire-save");
    await seen(at("wire-cabinet"));
    expect(desk.g.bridges[0]).toEqual({
      ...cabinet(),
      pause: "20ms",
      retries: 0,
      link: { serial: { ...cabinet().link?.serial, ascii: true, rs485: "on" } },
    });
  });

  it("of lines takes frames with marks, a checksum, columns and a command", async () => {
    await open("/devices/new");
    await click("wire-choice-new");
    await click("kind-line");
    await click("medium-tcp");
    await fill("wire-host", "10.0.0.9");
    await desk.b.page.selectOption(at("wire-framing"), "marks");
    await fill("setting-start", "\\x02");
    await fill("setting-end", "\\x03");
    await desk.b.page.selectOption(at("setting-checksum"), "xor");
    await desk.b.page.selectOption(at("device-parse"), "csv");
    await fill("setting-columns", "t, h");
    await fill("setting-request", "W\\r");
    await fill("device-id", "oven");
    await fill("point-id-0", "t");
    await desk.b.page.check(at("point-writable-0"));
    await fill("setting-command-0", "SP{value:.1f}\\r");
    await fill("setting-ack-0", "^OK");
    await expectAccessible(desk.b.page, "a line device with all");
    await click("device-save");
    await seen(at("value-oven-t"));
    expect(desk.g.bridges[1]).toMatchObject({
      framing: { start: "\\x02", end: "\\x03" },
      checksum: { type: "xor" },
      devices: [
        {
          parse: { csv: { columns: ["t", "h"] } },
          request: "W\\r",
          points: [{ id: "t", type: "float64", write: { command: "SP{value:.1f}\\r", ack: "^OK" } }],
        },
      ],
    });
  });

  it("is read by hand, registers and diagnostics", async () => {
    await open("/wires/cabinet");
    await click("wire-hand-cabinet");
    expect(await desk.b.page.inputValue(at("hand-read-unit")), "that of the first device").toBe("1");
    await click("hand-read-submit");
    await seen(at("fault-/read/address"));
    await fill("hand-read-address", "104");
    await fill("hand-read-quantity", "2");
    await click("hand-read-submit");
    await seen(at("hand-registers"));
    expect(await text("hand-registers")).toContain("104");
    await expectAccessible(desk.b.page, "registers read by hand");
    await desk.b.page.selectOption(at("hand-read-what"), "8");
    await desk.b.page.selectOption(at("hand-read-sub"), "12");
    await click("hand-read-submit");
    await seen(at("hand-said-bus_crc_errors"));
    expect(await text("hand-said-bus_crc_errors")).toBe("7");
  });

  it("is written by hand after a question that says what and where", async () => {
    await open("/wires/cabinet/hand");
    await fill("hand-write-address", "0x68");
    await fill("hand-write-value", "21,5");
    await desk.b.page.selectOption(at("hand-write-type"), "float32");
    await desk.b.page.selectOption(at("hand-write-order"), "CDAB");
    await click("hand-write-submit");
    await seen("dialog");
    expect(await desk.b.page.innerText("dialog")).toContain(
      "21,5 (float32) is written to holding register 0x68 of unit 1",
    );
    await click("ask-no");
    expect(desk.g.byHand).toEqual([]);
    await click("hand-write-submit");
    await click("ask-yes");
    await seen(`${at("hand-write-result")}[data-ok="true"]`);
    expect(await text("hand-write-result")).toContain("read back");
    await desk.b.page.selectOption(at("hand-write-form"), "coils");
    await fill("hand-write-list", "1 0 2");
    await click("hand-write-submit");
    await seen(at("fault-/write/coils"));
    await fill("hand-write-list", "1 0 1");
    await fill("hand-write-unit", "99");
    await click("hand-write-submit");
    await click("ask-yes");
    await seen(`${at("hand-write-result")}[data-ok="false"]`);
    await expectAccessible(desk.b.page, "a write by hand that failed");
    expect(desk.g.byHand).toEqual([
      {
        unit: 1,
        table: "holding",
        address: "0x68",
        addresses: "wire",
        type: "float32",
        order: "CDAB",
        value: 21.5,
        verify: true,
      },
      { unit: 99, table: "coil", address: "0x68", addresses: "wire", coils: [true, false, true], verify: true },
    ]);
  });

  it("shows its frames, filtered, marked, and still when paused", async () => {
    await open("/wires/cabinet");
    await click("wire-frames-cabinet");
    await seen(`${at("frame")}[data-problem="crc"]`);
    expect(await text("frames")).toContain("01 03 00 68 00 02");
    await click("frames-pause");
    await desk.b.page.selectOption(at("frames-unit"), "2");
    const units = await desk.b.page.$$eval(at("frame"), (rows) => rows.map((r) => r.getAttribute("data-unit")));
    expect(new Set(units)).toEqual(new Set(["2"]));
    await desk.b.page.selectOption(at("frames-unit"), "");
    await desk.b.page.check(at("frames-faulty"));
    const problems = await desk.b.page.$$eval(at("frame"), (rows) => rows.map((r) => r.getAttribute("data-problem")));
    expect(new Set(problems)).toEqual(new Set(["crc"]));
    await expectAccessible(desk.b.page, "frames");
  });
});

it("keeps a model of one's own, and says on which line it is wrong", async () => {
  await open("/devices");
  await click("templates-open");
  await expectAccessible(desk.b.page, "models");
  await click("template-acme-em3");
  await click("template-copy");
  await seen(at("template-form"));
  expect(await desk.b.page.inputValue(at("template-id"))).toBe("acme-em3-2");
  await fill("template-yaml", "id: acme-em3-2\nkind: modbus\npoints:\n  - {id: a, table: inputs}\n");
  await click("template-save");
  await seen(at("problems"));
  expect(await text("problems")).toContain("line 4 /points/0/table: Must be coil, discrete_input, holding or input.");
  await expectAccessible(desk.b.page, "a model with a fault");
  await fill("template-yaml", "id: acme-em3-2\nkind: modbus\npoints:\n  - {id: a, table: input}\n");
  await click("template-save");
  await seen(at("template-acme-em3-2"));
  expect(desk.g.templates.at(-1)).toMatchObject({ id: "acme-em3-2", own: true });
});

describe("a value", () => {
  it("has a history", async () => {
    await open("/devices/meter");
    await unfold("history-meter-power");
    await seen(at("chart"));
    expect(await desk.b.page.locator(at("chart")).count()).toBe(2);
    await expectAccessible(desk.b.page, "a history");
  });

  const refusals: [code: string, detail: string, words: string][] = [
    ["verify", "the device holds false", "the device holds false"],
    ["refused", "the device answered ERR 3", "the device answered ERR 3"],
    ["superseded", "", "a newer command for the same point came before it was written"],
    ["expired", "", "it came too late"],
    ["exception_4", "", "the device failed"],
  ];
  it.each(refusals)("that could not be written says why: %s", async (code, detail, words) => {
    desk.g.refuse = { code, detail };
    await open("/devices/meter");
    await click("switch-meter-pump");
    await seen(`${at("write-result-meter-pump")}[data-ok="false"]`);
    expect(await text("write-result-meter-pump")).toBe(`Not done: ${words}`);
  });
});

it("speaks Chinese everywhere on the field side", async () => {
  await open("/account");
  await desk.b.page.selectOption(at("language"), "zh-CN");
  await desk.b.page.waitForFunction(() => document.documentElement.lang === "zh-CN");
  await open("/devices/new/on/cabinet");
  await click("how-template");
  await click("template-acme-em3");
  await seen(at("template-chosen"));
  expect(await text("template-chosen")).toContain("三相电能表");
  await expectAccessible(desk.b.page, "the model in Chinese");
});
