// What keeps a gateway going: tables of points, Home Assistant, presets, backups, the restart and the certificate,
// and devices with hundreds of points.
import { describe, expect, it } from "vitest";
import type { Point } from "../../src/types";
import { at, expectAccessible } from "./browser";
import { atDesk } from "./desk";

const { desk, fill, click, seen, gone, open, text, unfold } = atDesk({ width: 360 }, (g) => {
  g.bridges = [
    {
      id: "cabinet",
      kind: "modbus",
      link: { tcp: { address: "127.0.0.1:502" } },
      devices: [
        {
          id: "meter",
          unit: 1,
          points: [
            { id: "power", name: { en: "Active power", zh: "有功功率" }, table: "input", address: 52, type: "float32" },
            { id: "mode", table: "holding", address: 7, type: "uint16", enum: { 0: "off", 1: "eco" }, write: {} },
          ],
        },
        { id: "relays", unit: 2, points: [{ id: "pump", table: "coil", address: 0, write: {} }] },
      ],
    },
  ];
});

const device = (id: string) => desk.g.bridges[0]?.devices?.find((d) => d.id === id);
const upload = (testid: string, name: string, content: string) =>
  desk.b.page.setInputFiles(at(testid), { name, mimeType: "application/octet-stream", buffer: Buffer.from(content) });

describe("points as a table", () => {
  it("come in after a look at what changes, and go back by undo", async () => {
    await open("/devices/meter");
    await click("device-table-meter");
    await seen(at("table-download"));
    expect(await desk.b.page.getAttribute(at("table-download"), "href")).toContain(
      "/devices/meter/points/export?bom=true",
    );
    await click("table-semicolon");
    expect(await desk.b.page.getAttribute(at("table-download"), "href")).toContain("separator=%3B&decimal=%2C");

    await upload("table-file", "meter.csv", "id;table;address;type\nvoltage;input;0x;float32\n");
    await seen(at("table-wrong"));
    expect(await text("table-wrong")).toContain("row 2, column address: Must be 0 to 65535.");
    await expectAccessible(desk.b.page, "a wrong table");
    expect(await desk.b.page.$(at("table-go"))).toBeNull();

    await fill("table-text", "id,table,address,type\nvoltage,input,0,float32\npower,input,60,float32\n");
    await click("table-preview");
    await seen(at("table-added"));
    expect(await text("table-plan")).toContain("1 new voltage");
    expect(await text("table-plan")).toContain("1 changed power");
    await click("table-replace");
    await gone(at("table-plan")); // what was shown was for the other choice
    await click("table-preview");
    expect(await (await seen(at("table-removed"))).innerText()).toContain("mode");
    await expectAccessible(desk.b.page, "a table that removes a point");
    await click("table-go");
    await seen(`${at("toast")}:has-text("3 points are changed")`);
    expect(device("meter")?.points?.map((p) => p.id)).toEqual(["voltage", "power"]);
    expect(await desk.b.page.inputValue(at("table-text"))).toBe("");
    await click("undo");
    await seen(`${at("toast")}:has-text("as they were")`);
    expect(device("meter")?.points?.map((p) => p.id)).toEqual(["power", "mode"]);
  });

  it("can be put right in the page, and say when nothing changes", async () => {
    await open("/devices/meter/points");
    await click("table-load");
    await desk.b.page.waitForFunction(
      (sel) => document.querySelector<HTMLTextAreaElement>(sel)?.value.startsWith("id,table"),
      at("table-text"),
    );
    await click("table-preview");
    expect(await (await seen(at("table-plan"))).innerText()).toContain("Nothing");
    expect(await desk.b.page.$(at("table-go"))).toBeNull();
  });
});

describe("values", () => {
  it("have names in the person's language, and say when the clock is not set", async () => {
    desk.g.unsynced = true;
    await open("/devices/meter");
    await seen(`${at("name-meter-power")}:has-text("Active power")`);
    expect(await text("name-meter-power")).toContain("power");
    await seen(at("unsynced-meter-power"));
    expect(await text("unsynced-meter-power")).toBe("clock not set");
    await expectAccessible(desk.b.page, "values of a clock that is not set");
    desk.g.unsynced = false;
    await gone(at("unsynced-meter-power"));
  });

  it("are written by their words, with the result in words", async () => {
    await open("/devices/meter");
    await desk.b.page.selectOption(at("write-meter-mode"), "eco");
    await click("write-submit-meter-mode");
    await seen(`${at("write-result-meter-mode")}[data-ok="true"]`);
    expect(await text("write-result-meter-mode")).toContain("the device now has eco");
    expect(desk.g.written.get("meter/mode")).toBe("eco");
    desk.g.refuse = { code: "exception_3", detail: "the device answered exception 3: it refuses the value" };
    await click("write-submit-meter-mode");
    await seen(`${at("write-result-meter-mode")}[data-ok="false"]`);
    expect(await text("write-result-meter-mode")).toContain("it refuses the value");
  });

  it("with words begin with what the device has, and take a number without a word", async () => {
    desk.g.written.set("meter/mode", "eco");
    await open("/devices/meter");
    await desk.b.page.waitForFunction(
      (sel) => document.querySelector<HTMLSelectElement>(sel)?.value === "eco",
      at("write-meter-mode"),
    );
    await desk.b.page.selectOption(at("write-meter-mode"), { label: "a number without a label…" });
    await fill("write-number-meter-mode", "7");
    await expectAccessible(desk.b.page, "a number in place of a word");
    await click("write-submit-meter-mode");
    await seen(`${at("write-result-meter-mode")}[data-ok="true"]`);
    expect(desk.g.written.get("meter/mode")).toBe(7);
  });

  it("of a device with 500 points are found by a word, and only what is near is drawn", async () => {
    const many = Array.from({ length: 500 }, (_, i): Point => ({ id: `p${i}`, table: "input", address: i }));
    const relays = device("relays");
    if (relays) relays.points = many;
    await open("/devices/relays");
    await seen(`${at("value-relays-p0")}[data-quality="good"]`);
    const drawn = () => desk.b.page.$$eval(".value-row", (rows) => rows.length);
    expect(await drawn()).toBeLessThan(200);
    // It goes on being drawn while it is scrolled to its end.
    await expect
      .poll(async () => {
        await desk.b.page.evaluate(() => window.scrollTo(0, document.documentElement.scrollHeight));
        return desk.b.page.$(at("value-relays-p499"));
      })
      .not.toBeNull();
    expect(await drawn()).toBeLessThan(200);
    await fill("point-find", "p49");
    await seen(`${at("points-found")}[data-count="11"]`);
    await seen(at("value-relays-p499"));
    expect(await desk.b.page.$(at("value-relays-p1"))).toBeNull();
    await expectAccessible(desk.b.page, "a search among 500 points");
    await fill("point-find", "nothing like it");
    await seen(`${at("points-found")}[data-count="0"]`);
  });
});

describe("Home Assistant", () => {
  it("is switched on for all, and off for one device", async () => {
    await open("/mqtt/home-assistant");
    await seen(at("ha-form"));
    await expectAccessible(desk.b.page, "Home Assistant");
    await desk.b.page.check(at("ha-all"));
    await unfold("ha-more");
    await fill("ha-node", "shed");
    await fill("ha-prefix", "");
    await click("ha-form-submit");
    await seen(`${at("toast")}:has-text("told within seconds")`);
    expect(desk.g.homeAssistant).toEqual({ enabled: true, prefix: "homeassistant", node_id: "shed" });
    await seen(`${at("ha-meter")}:has-text("As all: announced")`);
    await desk.b.page.selectOption(at("ha-relays"), "off");
    await seen(`${at("toast")}:has-text("relays is changed")`);
    expect(device("relays")?.home_assistant).toBe(false);
    await desk.b.page.selectOption(at("ha-relays"), "follow");
    await expect.poll(() => device("relays")?.home_assistant ?? null).toBeNull();
  });
});

describe("a known cloud", () => {
  it("fills in what is usual there and names what is missing", async () => {
    await open("/uplinks/new");
    await seen(at("uplink-preset"));
    await fill("uplink-id", "aws");
    await desk.b.page.selectOption(at("uplink-preset"), "aws-iot-core");
    await seen(at("preset-advice"));
    expect(await text("preset-advice")).toContain("Client identifier for example site-7");
    await expectAccessible(desk.b.page, "a preset");
    expect(await desk.b.page.inputValue(at("uplink-id"))).toBe("aws");
    expect(await desk.b.page.inputValue(at("uplink-port"))).toBe("8883");
    expect(await desk.b.page.inputValue(at("in-0-filter"))).toBe("site-7/+/+/set");
    await desk.b.page.selectOption(at("uplink-preset"), "local-broker");
    expect(await desk.b.page.inputValue(at("uplink-port"))).toBe("1883");
    expect(await desk.b.page.isChecked(at("uplink-tls"))).toBe(false);
    await fill("uplink-host", "ha.local");
    await click("uplink-save");
    await seen(at("uplink-aws"));
    expect(desk.g.uplinks[0]).toMatchObject({ id: "aws", url: "mqtt://ha.local:1883", version: 5 });
  });
});

describe("backups", () => {
  it("are made with a warning, and refused when they are none", async () => {
    await open("/system/backup");
    await seen(at("backup-make"));
    expect(await desk.b.page.innerText("main")).toContain("passwords of uplinks as they are");
    await expectAccessible(desk.b.page, "backup");
    expect(await desk.b.page.getAttribute(at("backup-make"), "href")).toBe("/api/v1/backups/now?messages=true");
    await desk.b.page.uncheck(at("backup-messages"));
    expect(await desk.b.page.getAttribute(at("backup-make"), "href")).toBe("/api/v1/backups/now?messages=false");
    await upload("restore-file", "holiday.jpg", "no backup");
    expect(await text("restore-chosen")).toBe("holiday.jpg (9 B)");
    await click("restore-go");
    expect(await desk.b.page.innerText("dialog")).toContain("holiday.jpg takes the place of all settings");
    await click("ask-yes");
    await seen(at("restore-failed"));
    expect(await text("restore-failed")).toBe("This is no backup of a gateway.");
    await expectAccessible(desk.b.page, "a refused backup");
  });

  it("are taken back, and the page goes on by itself", async () => {
    await open("/system/backup");
    await upload("restore-file", "site-7.backup", "backup of everything");
    await click("restore-go");
    await click("ask-yes");
    await seen(`${at("toast")}:has-text("back after")`);
    expect(desk.g.admin.restored).toBe(20);
    expect(await desk.b.page.$(at("restore-chosen"))).toBeNull();
  });
});

describe("the restart", () => {
  it("shows that it goes on, and comes back by itself", async () => {
    await open("/system/gateway");
    await unfold("host-file");
    expect(await text("host-file-name")).toBe("/etc/fieldgate/fieldgate.yaml");
    desk.g.away = true; // it does not answer once it has begun
    await click("restart");
    await click("ask-yes");
    await seen(`${at("restarting")}[data-late="false"]`);
    expect(await desk.b.page.$(at("not-live")), "one banner says it").toBeNull();
    await expectAccessible(desk.b.page, "a restart");
    desk.g.away = false;
    await seen(`${at("toast")}:has-text("The gateway is back")`);
    await gone(at("restarting"));
    expect(desk.g.admin.restarts).toBe(1);
  });
});

describe("the certificate", () => {
  it("is shown, replaced with the faults at their fields, and made anew", async () => {
    await open("/system/certificate");
    await seen(at("certificate"));
    expect(await text("certificate-kind")).toContain("Made by this gateway");
    await click("certificate-replace");
    await click("certificate-form-submit");
    await seen(at("fault-/key"));
    await fill("certificate-certificate", "nonsense");
    await fill("certificate-key", "-----BEGIN PRIVATE KEY-----");
    await click("certificate-form-submit");
    await seen(at("fault-/certificate"));
    await expectAccessible(desk.b.page, "a refused certificate");
    await upload("certificate-certificate-file", "site.pem", "-----BEGIN CERTIFICATE-----");
    await click("certificate-form-submit");
    await seen(`${at("certificate-subject")}:has-text("gateway.example.com")`);
    await click("certificate-renew");
    await click("ask-yes");
    await seen(`${at("certificate-kind")}:has-text("Made by this gateway")`);
  });

  it("says where it is changed when the page cannot", async () => {
    desk.g.admin.certificate = { ...desk.g.admin.certificate, mode: "off", names: [], not_after: null };
    await open("/system/certificate");
    await seen(at("certificate-off"));
    expect(await text("certificate-off")).toContain("admin.tls: auto");
    await expectAccessible(desk.b.page, "no certificate");
  });
});

describe("revisions and logins", () => {
  it("show the settings as they stood, and who could not log in", async () => {
    const time = new Date().toISOString();
    desk.g.admin.revisions = [{ revision: 1, time, author: "anna", summary: "add bridge cabinet" }];
    desk.g.admin.settings = "bridges:\n  - id: cabinet\n";
    await open("/system/settings");
    await click("revision-show-1");
    await seen(at("revision-text-1"));
    expect(await text("revision-text-1")).toContain("- id: cabinet");
    await expectAccessible(desk.b.page, "a revision");
    await click("revision-show-1");
    await gone(at("revision-text-1"));

    const entry = { time, address: "192.0.2.9", path: "/session" };
    desk.g.admin.audit = [
      { ...entry, id: "2", author: "", role: "", operation: "login-refused" },
      { ...entry, id: "1", author: "anna", role: "admin", operation: "login" },
    ];
    await open("/system/audit");
    await seen('[data-operation="login-refused"]');
    expect(await text("audit")).toMatch(/somebody\s+was refused: wrong password/);
    await expectAccessible(desk.b.page, "logins");
  });
});
