// A person at a browser: the hands that every test uses, and a desk with a gateway in memory where they have logged in.
import { afterAll, afterEach, beforeAll, beforeEach, expect } from "vitest";
import type { Bridge, Point } from "../../src/types";
import { MockGateway } from "../mock/gateway";
import { at, openBrowser, startChromium, type Browser, type Look } from "./browser";

export const person = { name: "anna", password: "correct horse battery" };

/** meterOn is a cabinet with one meter. */
export function meterOn(link: NonNullable<Bridge["link"]>, points: Point[]): Bridge {
  return { id: "cabinet", kind: "modbus", link, devices: [{ id: "meter", unit: 1, interval: "1s", points }] };
}

/** hands do things by test ids, each within so many milliseconds. */
export function hands(browser: () => Browser, wait = 10_000) {
  const page = () => browser().page;
  const fill = (testid: string, text: string) => page().fill(at(testid), text);
  const click = (testid: string) => page().click(at(testid));
  const seen = (selector: string) => page().waitForSelector(selector, { timeout: wait });
  return {
    fill,
    click,
    seen,
    gone: (selector: string) => page().waitForSelector(selector, { state: "detached", timeout: wait }),
    open: (hash: string) => page().goto(`/#${hash}`),
    text: (testid: string) => page().innerText(at(testid)),
    unfold: (testid: string) => page().click(`${at(testid)} > summary`),
    login: async () => {
      await fill("login-name", person.name);
      await fill("login-password", person.password);
      await click("login-submit");
      await seen(at("nav-overview"));
    },
  };
}

/** claimed starts a gateway in memory that has its administrator. */
export async function claimed(g: MockGateway, language = "en"): Promise<string> {
  const base = await g.start();
  await fetch(`${base}/api/v1/setup`, { method: "POST", body: JSON.stringify({ ...person, language }) });
  return base;
}

/** atDesk gives each test of a file a gateway of its own, prepared by set, and a browser that has logged in; the page must have made no fault at its end. */
export function atDesk(look: Look, set: (g: MockGateway) => void) {
  const desk = {} as { g: MockGateway; b: Browser };
  let running: Awaited<ReturnType<typeof startChromium>>;
  const does = hands(() => desk.b);
  beforeAll(async () => {
    running = await startChromium();
  });
  afterAll(() => running.close());
  beforeEach(async () => {
    desk.g = new MockGateway();
    const base = await claimed(desk.g);
    set(desk.g);
    desk.b = await openBrowser(running, base, look);
    await desk.b.page.goto("/");
    await does.login();
  });
  afterEach(async () => {
    expect(desk.b.faults).toEqual([]);
    await desk.b.close();
    await desk.g.stop();
  });
  return { desk, ...does };
}
