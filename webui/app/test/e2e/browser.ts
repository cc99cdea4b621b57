// A Chromium of the system, and what every test asks of a screen.
import axe from "axe-core";
import { chromium, type Browser as Chromium, type BrowserContext, type Page } from "playwright-core";
import { expect } from "vitest";

const args = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export interface Look {
  width?: number;
  dark?: boolean;
  locale?: string;
}

export interface Browser {
  page: Page;
  context: BrowserContext;
  faults: string[]; // errors of the page, refused by the policy included, and requests to other hosts
  close: () => Promise<void>;
}

/** startChromium starts Chromium (CHROMIUM, default /usr/bin/chromium) with an empty profile of its own. */
export function startChromium(): Promise<Chromium> {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args });
}

/** startWithProfile starts Chromium with a profile folder, and a home folder for its certificates. */
export function startWithProfile(profile: string, home: string): Promise<BrowserContext> {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  return chromium.launchPersistentContext(profile, { executablePath, args, env: { ...process.env, HOME: home } });
}

/** openBrowser opens a page that knows nothing of the others. */
export async function openBrowser(running: Chromium, base: string, look: Look = {}): Promise<Browser> {
  const context = await running.newContext({
    baseURL: base,
    ignoreHTTPSErrors: true, // the gateway's own certificate
    viewport: { width: look.width ?? 1280, height: 800 },
    colorScheme: look.dark ? "dark" : "light",
    locale: look.locale ?? "en-GB",
  });
  context.setDefaultTimeout(15_000);
  const page = await context.newPage();
  const faults: string[] = [];
  page.on("pageerror", (e) => faults.push(`page error: ${e.message}`));
  page.on("console", (m) => {
    if (m.type() === "error" && !/Failed to load resource|ERR_/.test(m.text())) faults.push(`console: ${m.text()}`);
  });
  page.on("request", (r) => {
    if (!r.url().startsWith(base)) faults.push(`request to another host: ${r.url()}`);
  });
  return { page, context, faults, close: () => context.close() };
}

/** expectAccessible runs axe on the screen as it stands, and asks that nothing is wider than the window. */
export async function expectAccessible(page: Page, screen: string): Promise<void> {
  // The policy of the page forbids inline scripts; evaluate goes around it, as only a debugger may.
  await page.evaluate(axe.source);
  const violations = await page.evaluate(async () => {
    const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
    const found = await (globalThis as unknown as { axe: typeof axe }).axe.run(document, { runOnly: tags });
    return found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(" | ")}`);
  });
  expect(violations, `axe on ${screen}`).toEqual([]);
  const tooWide = await page.evaluate(
    () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  );
  expect(tooWide, `${screen} scrolls sideways`).toBeLessThanOrEqual(0);
}

export const at = (testid: string): string => `[data-testid="${testid}"]`;
