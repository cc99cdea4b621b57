// What the page does when things go wrong or change under it, against the gateway in memory.
import { describe, expect, it } from "vitest";
import type { Uplink } from "../../src/types";
import { at, expectAccessible } from "./browser";
import { atDesk, meterOn } from "./desk";

const cabinet = () =>
  meterOn({ tcp: { address: "127.0.0.1:502" } }, [
    { id: "power", table: "input", address: 52, type: "float32", unit: "W" },
    { id: "setpoint", table: "holding", address: 104, type: "int16", unit: "°C", write: { min: -10, max: 60 } },
    { id: "pump", table: "coil", address: 0, write: {} },
  ]);
const cloud = (): Uplink => ({
  id: "cloud",
  url: "mqtt://broker:1883",
  username: "gw",
  password_set: true,
  out: [{ filter: "fieldgate/#", qos: 1, local_prefix: "fieldgate/", remote_prefix: "site-7/" }],
  in: [],
});

const { desk, fill, click, seen, gone, open, text, login } = atDesk({ width: 400 }, (g) => {
  g.bridges = [cabinet()];
  g.uplinks = [cloud()];
});

describe("logging in", () => {
  it("says when the password is wrong, and keeps the name", async () => {
    await open("/account");
    await click("logout");
    await seen(at("login"));
    await fill("login-name", "anna");
    await fill("login-password", "nonsense");
    await click("login-submit");
    await seen(at("problems"));
    expect(await text("problems")).toBe("Name or password is wrong.");
    expect(await desk.b.page.inputValue(at("login-name"))).toBe("anna");
  });

  it("comes back to the half-filled form when a session ends", async () => {
    await open("/devices/meter/edit");
    await fill("device-interval", "7");
    desk.g.sessions.clear();
    await click("device-save");
    await seen(at("login"));
    await expectAccessible(desk.b.page, "login again");
    await login();
    expect(await desk.b.page.inputValue(at("device-interval"))).toBe("7");
    await click("device-save");
    await seen(at("value-meter-power"));
    expect(desk.g.bridges[0]?.devices?.[0]?.interval).toBe("7s");
  });

  it("changes the language for good", async () => {
    await open("/account");
    await desk.b.page.selectOption(at("language"), "zh-CN");
    await desk.b.page.waitForFunction(() => document.documentElement.lang === "zh-CN");
    expect(await text("nav-devices")).toBe("设备");
    await desk.b.page.reload();
    await seen(at("nav-devices"));
    expect(await text("nav-devices")).toBe("设备");
    expect(desk.g.language).toBe("zh-CN");
  });
});

describe("live values", () => {
  it("follow the gateway, and say why when they are bad", async () => {
    await seen(`${at("value-meter-power")}[data-quality="good"]`);
    const before = await text("value-meter-power");
    await desk.b.page.waitForFunction(
      ([selector, old]) => document.querySelector<HTMLElement>(selector ?? "")?.innerText !== old,
      [at("value-meter-power"), before],
    );
    desk.g.sick.add("meter");
    await seen(`${at("value-meter-power")}[data-quality="bad"]`);
    await seen(`${at("device-state-meter")}[data-state="offline"]`);
    expect(await text("health")).toContain("1 device does not answer properly");
    expect(await desk.b.page.innerText("main")).toContain("no answer in time");
  });

  it("say that they are not live, and come back by themselves", async () => {
    await seen(`${at("value-meter-power")}[data-quality="good"]`);
    await desk.b.context.setOffline(true);
    desk.g.drop();
    await seen(at("not-live"));
    await expectAccessible(desk.b.page, "not live");
    await desk.b.context.setOffline(false);
    await gone(at("not-live"));
  });

  it("rest while the tab is hidden", async () => {
    await seen(`${at("value-meter-power")}[data-quality="good"]`);
    const streams = () => desk.g.streams;
    await desk.b.page.evaluate(() => {
      Object.defineProperty(document, "hidden", { configurable: true, value: true });
      document.dispatchEvent(new Event("visibilitychange"));
    });
    await expect.poll(streams).toBe(0);
    await desk.b.page.evaluate(() => {
      Object.defineProperty(document, "hidden", { configurable: true, value: false });
      document.dispatchEvent(new Event("visibilitychange"));
    });
    await expect.poll(streams).toBe(1);
  });

  it("show a device as soon as somebody else adds it", async () => {
    desk.g.bridges[0]?.devices?.push({ id: "other", unit: 2, points: [{ id: "temp", table: "input", address: 1 }] });
    await seen(at("value-other-temp"));
  });

  it("of a thousand points draw only what is near", async () => {
    const points = Array.from({ length: 1000 }, (_, i) => ({ id: `p${i}`, table: "input", address: i, type: "int16" }));
    desk.g.bridges[0]?.devices?.unshift({ id: "big", unit: 3, points });
    await seen(at("value-big-p0"));
    expect(await desk.b.page.locator(".value-row").count()).toBeLessThan(200);
    await desk.b.page.evaluate(() => window.scrollTo(0, document.body.scrollHeight));
    await seen(at("value-meter-power"));
  });
});

describe("writing", () => {
  it("switches a coil and says so", async () => {
    await open("/devices/meter");
    await seen(`${at("switch-meter-pump")}[aria-checked="false"]`);
    await click("switch-meter-pump");
    await seen(`${at("switch-meter-pump")}[aria-checked="true"]`);
    await expectAccessible(desk.b.page, "a device that works");
    expect(await text("write-result-meter-pump")).toBe("Done: the device now has On (38 ms).");
  });

  it("writes a number within its limits only", async () => {
    await open("/devices/meter");
    await fill("write-meter-setpoint", "61");
    await click("write-submit-meter-setpoint");
    await seen(`${at("write-result-meter-setpoint")}[data-ok="false"]`);
    expect(await text("write-result-meter-setpoint")).toBe("-10 to 60");
    expect(desk.g.written.size).toBe(0);
    await fill("write-meter-setpoint", "21,5");
    await click("write-submit-meter-setpoint");
    await seen(`${at("write-result-meter-setpoint")}[data-ok="true"]`);
    expect(desk.g.written.get("meter/setpoint")).toBe(21.5);
  });

  it("says why it was not done, and guesses no state", async () => {
    desk.g.sick.add("meter");
    await open("/devices/meter");
    await click("switch-meter-pump-on");
    await seen(`${at("write-result-meter-pump")}[data-ok="false"]`);
    expect(await text("write-result-meter-pump")).toBe("Not done: no answer within 500ms");
    expect(await desk.b.page.$('[role="switch"]')).toBeNull();
    await expectAccessible(desk.b.page, "a device that is offline");
  });
});

describe("forms", () => {
  it("show all faults of the page at once and lead to the first", async () => {
    await open("/devices/new");
    await click("wire-choice-new");
    await click("medium-tcp");
    await click("device-save");
    await seen(at("problems"));
    const pointers = ["/wire/link/tcp/address", "/device/id", "/device/points/0/id", "/device/points/0/address"];
    for (const pointer of pointers) await seen(at(`fault-${pointer}`));
    expect(await desk.b.page.evaluate(() => document.activeElement?.getAttribute("data-testid"))).toBe("wire-host");
    await expectAccessible(desk.b.page, "a form with faults");
  });

  it("show the gateway's faults at their fields and lose nothing", async () => {
    await open("/devices/new");
    await click("wire-choice-new");
    await click("medium-tcp");
    await fill("wire-host", "10.0.0.5");
    await fill("device-id", "meter");
    await fill("device-unit", "250");
    await fill("point-id-0", "power");
    await fill("point-address-0", "40105");
    await click("device-save");
    await seen(at("fault-/device/unit"));
    expect(await text("fault-/device/unit")).toBe("Must be 1 to 247.");
    await fill("device-unit", "7");
    await click("device-save");
    await seen(at("fault-/device/id"));
    expect(await text("fault-/device/id")).toBe("Is in use by a device of the bridge cabinet.");
    await fill("device-id", "second");
    await click("device-save");
    await seen(at("value-second-power"));
    expect(desk.g.bridges[1]?.devices?.[0]?.points?.[0]?.address).toBe(104);
  });

  it("ask before entries are left behind", async () => {
    await open("/devices/meter/edit");
    await fill("device-interval", "9");
    await click("nav-overview");
    await seen("dialog");
    await expectAccessible(desk.b.page, "the question");
    await click("ask-no");
    expect(await desk.b.page.inputValue(at("device-interval"))).toBe("9");
    await click("nav-overview");
    await click("ask-yes");
    await seen(at("health"));
  });

  it("do not overwrite what somebody else has changed, unless told to", async () => {
    await open("/devices/meter/edit");
    await fill("device-interval", "9");
    const device = desk.g.bridges[0]?.devices?.[0];
    if (device) device.unit = 99;
    await click("device-save");
    await seen(at("overwrite"));
    expect(device?.interval).toBe("1s");
    await click("overwrite");
    await seen(at("value-meter-power"));
    expect(desk.g.bridges[0]?.devices?.[0]).toMatchObject({ interval: "9s", unit: 1 });
  });

  it("keep the entries when the gateway does not answer", async () => {
    await open("/uplinks/cloud");
    await fill("uplink-host", "elsewhere");
    await desk.b.context.setOffline(true);
    await click("uplink-save");
    await seen(at("problems"));
    expect(await text("problems")).toContain("The gateway does not answer");
    await desk.b.context.setOffline(false);
    await click("uplink-save");
    await gone(at("uplink-form"));
    expect(desk.g.uplinks[0]).toMatchObject({ url: "mqtt://elsewhere:1883", password_set: true });
  });

  it("work with the keyboard alone", async () => {
    await open("/devices/new");
    await seen(at("device-id"));
    await desk.b.page.focus(at("wire-choice-cabinet"));
    await desk.b.page.keyboard.press("ArrowDown");
    expect(await desk.b.page.isChecked(at("wire-choice-new"))).toBe(true);
    await desk.b.page.keyboard.press("ArrowUp");
    await desk.b.page.focus(at("device-id"));
    await desk.b.page.keyboard.type("keys");
    await desk.b.page.focus(at("point-id-0"));
    await desk.b.page.keyboard.type("a");
    await desk.b.page.keyboard.press("Tab");
    await desk.b.page.keyboard.press("Tab");
    await desk.b.page.keyboard.type("0x10");
    await desk.b.page.keyboard.press("Enter");
    await seen(at("value-keys-a"));
    expect(desk.g.bridges[0]?.devices?.[1]?.points?.[0]).toMatchObject({ id: "a", address: 16 });
  });

  it("try a pattern out while it is typed", async () => {
    await open("/devices/new");
    await click("wire-choice-new");
    await click("kind-line");
    await click("medium-tcp");
    await fill("wire-host", "10.0.0.9");
    await fill("device-id", "scale");
    await fill("device-regex", "XX,\\s*(?P<weight>[0-9.]+)kg");
    await click("points-from-groups");
    await click("device-test");
    await seen(`${at("regex-match")}[data-match="false"]`);
    expect(await desk.b.page.inputValue(at("device-sample"))).toBe("ST,GS,  12.5kg");
    await fill("device-regex", "ST,GS,\\s*(?P<weight>[0-9.]+)kg");
    await seen(`${at("regex-match")}[data-match="true"]`);
    await click("device-test");
    await seen(at("reading-scale-weight"));
    await expectAccessible(desk.b.page, "a line device");
    await click("device-save");
    await seen(at("value-scale-weight"));
    await click("device-delete-scale"); // the wire goes with its only device
    await click("ask-yes");
    await desk.b.page.waitForSelector("dialog >> text=wire-1");
    await click("ask-yes");
    await seen(at("undo"));
    expect(desk.g.bridges).toHaveLength(1);
    await click("undo");
    await seen(at("device-scale"));
  });
});

describe("deleting", () => {
  it("names the device and can be undone", async () => {
    await open("/devices/meter");
    await click("device-delete-meter");
    expect(await desk.b.page.innerText("dialog h2")).toBe("Delete the device meter?");
    await click("ask-yes");
    await seen(at("undo"));
    expect(desk.g.bridges[0]?.devices).toEqual([]);
    await click("undo");
    await seen(at("value-meter-power"));
    expect(desk.g.bridges[0]?.devices).toEqual(cabinet().devices);
  });

  it("of a wire names its devices and can be undone", async () => {
    await open("/devices");
    await click("wire-delete-cabinet");
    expect(await desk.b.page.innerText("dialog")).toContain("meter");
    await click("ask-yes");
    await gone(at("wire-cabinet"));
    await click("undo");
    await seen(at("wire-cabinet"));
    expect(desk.g.bridges).toEqual([cabinet()]);
  });

  it("of an uplink says what is lost", async () => {
    await open("/uplinks");
    await click("uplink-delete-cloud");
    expect(await desk.b.page.innerText("dialog")).toContain("cannot be undone");
    await click("ask-no");
    expect(desk.g.uplinks).toHaveLength(1);
    await click("uplink-delete-cloud");
    await click("ask-yes");
    await seen(".empty");
    expect(desk.g.uplinks).toHaveLength(0);
  });
});

it("pauses and resumes wires and uplinks", async () => {
  await open("/devices");
  await click("wire-pause-cabinet");
  await seen(`${at("wire-state-cabinet")}[data-state="disabled"]`);
  await click("wire-pause-cabinet");
  await seen(`${at("wire-state-cabinet")}[data-state="online"]`);
  await open("/uplinks");
  await click("uplink-pause-cloud");
  await seen(`${at("uplink-state-cloud")}[data-state="disabled"]`);
});

it("edits a wire and keeps its devices", async () => {
  await open("/wires/cabinet");
  await fill("wire-host", "10.1.1.1");
  await click("wire-save");
  await gone(at("wire-form"));
  expect(desk.g.bridges).toEqual([{ ...cabinet(), link: { tcp: { address: "10.1.1.1:502" } } }]);
});

it("shows what failed to load, and tries again", async () => {
  await seen(at("health"));
  await desk.b.context.setOffline(true);
  await click("nav-devices");
  await seen(at("load-failed"));
  await expectAccessible(desk.b.page, "a list that failed to load");
  await desk.b.context.setOffline(false);
  await desk.b.page.click(`${at("load-failed")} button`);
  await seen(at("device-meter"));
});

it("survives an address that a person mistyped", async () => {
  await open("/devices/100%");
  await seen(".empty");
  expect(await desk.b.page.innerText(".empty")).toContain("100%");
});

it("forgets the value of a point that is gone", async () => {
  await open("/devices/meter");
  await seen(`${at("value-meter-power")}[data-quality="good"]`);
  const meter = desk.g.bridges[0]?.devices?.[0];
  if (meter) meter.points = meter.points?.filter((p) => p.id !== "power") ?? [];
  await seen(`${at("value-meter-power")}[data-quality="none"]`);
});
