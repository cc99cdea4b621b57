// `fieldgate demo` as a person sees it, within 10 s of its banner: live values of the simulated devices and a
// connected cloud. It needs the demo at FG_URL, started by the caller with FG_NAME and FG_PASSWORD from the banner.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { at, expectAccessible, openBrowser, startChromium, type Browser } from "./browser";

const env = process.env;

describe.runIf(env.FG_DEMO)("the demo", () => {
  let running: Awaited<ReturnType<typeof startChromium>>;
  let b: Browser;
  beforeAll(async () => {
    running = await startChromium();
    b = await openBrowser(running, env.FG_URL ?? "");
  });
  afterAll(() => running.close());

  it("shows live values and the cloud connected", async () => {
    await b.page.goto("/");
    await b.page.fill(at("login-name"), env.FG_NAME ?? "");
    await b.page.fill(at("login-password"), env.FG_PASSWORD ?? "");
    await b.page.click(at("login-submit"));
    const good = '[data-testid^="value-"][data-quality="good"]';
    await b.page.waitForFunction((sel) => document.querySelectorAll(sel).length >= 10, good, { timeout: 10_000 });
    await b.page.waitForSelector('[data-testid^="uplink-state-"][data-state="connected"]', { timeout: 10_000 });
    const texts = () => b.page.$$eval(good, (list) => list.map((e) => e.textContent).join());
    const before = await texts();
    await b.page.waitForFunction(
      ([sel, old]) => [...document.querySelectorAll(sel ?? "")].map((e) => e.textContent).join() !== old,
      [good, before],
      { timeout: 10_000 },
    );
    await expectAccessible(b.page, "the demo's overview");
    expect(b.faults).toEqual([]);
  });
});
