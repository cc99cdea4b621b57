// `fieldgate demo` as a person sees it, soon after its banner: live values of the simulated devices and a
// connected cloud. It needs the demo at FG_URL, started by the caller with FG_NAME and FG_PASSWORD from the banner.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { at, expectAccessible, openBrowser, startChromium, type Browser } from "./browser";
import { hands } from "./desk";

const env = process.env;

describe.runIf(env.FG_DEMO)("the demo", () => {
  let running: Awaited<ReturnType<typeof startChromium>>;
  let b: Browser;
  beforeAll(async () => {
    running = await startChromium();
    b = await openBrowser(running, env.FG_URL ?? "");
  });
  afterAll(() => running.close());
  const { fill, click, seen, open, text } = hands(() => b, 30_000);

  it("shows live values and the cloud connected", async () => {
    await b.page.goto("/");
    await b.page.fill(at("login-name"), env.FG_NAME ?? "");
    await b.page.fill(at("login-password"), env.FG_PASSWORD ?? "");
    await b.page.click(at("login-submit"));
    const good = '[data-testid^="value-"][data-quality="good"]';
    await b.page.waitForFunction((sel) => document.querySelectorAll(sel).length >= 10, good, { timeout: 30_000 });
    await b.page.waitForSelector('[data-testid^="uplink-state-"][data-state="connected"]', { timeout: 30_000 });
    const texts = () => b.page.$$eval(good, (list) => list.map((e) => e.textContent).join());
    const before = await texts();
    await b.page.waitForFunction(
      ([sel, old]) => [...document.querySelectorAll(sel ?? "")].map((e) => e.textContent).join() !== old,
      [good, before],
      { timeout: 30_000 },
    );
    await expectAccessible(b.page, "the demo's overview");
    expect(b.faults).toEqual([]);
  });

  it("takes points as a table, with faults by row", async () => {
    await open("/devices/main-meter/points");
    await click("table-load");
    const filled = (sel: string) => (document.querySelector<HTMLTextAreaElement>(sel)?.value.length ?? 0) > 20;
    await b.page.waitForFunction(filled, at("table-text"));
    const before = await b.page.inputValue(at("table-text"));
    await fill("table-text", "id,table,address,type\nagain,input,0x,float32\n");
    await click("table-preview");
    await seen(at("table-wrong"));
    expect(await text("table-wrong")).toContain("row 2, column address");
    await fill("table-text", "id;table;address;type\nagain;input;0;float32\n");
    await click("table-preview");
    await seen(at("table-added"));
    await click("table-go");
    await click("undo"); // what the device was before
    await seen(`${at("toast")}:has-text("as they were")`);
    await click("table-load");
    await b.page.waitForFunction(filled, at("table-text"));
    expect(await b.page.inputValue(at("table-text"))).toBe(before);
  });

  it("switches Home Assistant on, and looks at what was changed", async () => {
    await open("/mqtt/home-assistant");
    await b.page.check(at("ha-all"));
    await click("ha-form-submit");
    await seen(`${at("toast")}:has-text("told within seconds")`);
    await b.page.selectOption(at("ha-main-meter"), "off");
    await seen(`${at("toast")}:has-text("main-meter is changed")`);
    await open("/system/settings");
    await click("revision-show-1");
    await seen(at("revision-text-1"));
    expect(await text("revision-text-1")).toContain("bridges:");
  });

  it("comes back after a restart, and after a backup was taken back", async () => {
    await open("/system/gateway");
    await click("restart");
    await click("ask-yes");
    await seen(at("restarting"));
    await seen(`${at("toast")}:has-text("The gateway is back")`);
    await open("/system/backup");
    const made = await b.page.request.get((await b.page.getAttribute(at("backup-make"), "href")) ?? "");
    expect(made.status()).toBe(200);
    const file = { name: "demo.backup", mimeType: "application/gzip" };
    await b.page.setInputFiles(at("restore-file"), { ...file, buffer: Buffer.from("no backup") });
    await click("restore-go");
    await click("ask-yes");
    await seen(at("restore-failed"));
    await b.page.setInputFiles(at("restore-file"), { ...file, buffer: await made.body() });
    await click("restore-go");
    await click("ask-yes");
    await seen(at("restarting"));
    await b.page.waitForSelector(at("restarting"), { state: "detached", timeout: 30_000 });
    await open("/overview");
    await seen('[data-testid^="value-"][data-quality="good"]');
    expect(b.faults).toEqual([]);
  });
});
