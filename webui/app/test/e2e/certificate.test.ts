// Clients in Chromium that log in with a certificate over wss. They need a gateway, started by the caller
// (cmd/fieldgate): FG_CLIENT its admin page, FG_WSS_CERT a listener that asks for a certificate and allows pages of its
// own host, and FG_HOME a home folder, thrown away later, whose NSS database holds one and the listener's authority.
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { BrowserContext, Page } from "playwright-core";
import { startWithProfile } from "./browser";
import { run, versions } from "./libraries";

const { FG_CLIENT = "", FG_WSS_CERT = "", FG_HOME = "" } = process.env;
const page = FG_WSS_CERT.replace("wss:", "https:");
const words = ["zero", "one", "two", "retained kept"];

/** open starts a Chromium whose person chooses a certificate for the gateway, where the home folder has one. */
async function open(home: string): Promise<BrowserContext> {
  const profile = mkdtempSync(join(FG_HOME, "profile-"));
  mkdirSync(join(profile, "Default"));
  const origin = new URL(page).origin;
  const exceptions = { auto_select_certificate: { [`${origin},*`]: { setting: { filters: [{}] } } } };
  const preferences = JSON.stringify({ profile: { content_settings: { exceptions } } });
  writeFileSync(join(profile, "Default", "Preferences"), preferences);
  const context = await startWithProfile(profile, home);
  context.setDefaultTimeout(15_000);
  return context;
}

/** choose opens a page of the listener itself: a WebSocket takes the certificate that was chosen for a page. */
async function choose(context: BrowserContext): Promise<Page> {
  const tab = await context.newPage();
  const response = await tab.goto(page);
  expect(response?.status()).toBe(426); // upgrade required: there is nothing to see
  return tab;
}

describe.runIf(FG_WSS_CERT)("with a client certificate", () => {
  let context: BrowserContext;

  beforeAll(async () => {
    context = await open(FG_HOME);
  });
  afterAll(() => context.close());

  it.each(versions)("$library unchanged, version $version", async ({ library, version }) => {
    const tab = await choose(context);
    expect(await run(tab, library, { url: FG_WSS_CERT, version })).toEqual(words);
  });

  it.each([4, 5] as const)("our own module, version %d", async (version) => {
    const tab = await choose(context);
    // As text: vitest would make the import its own.
    const module = JSON.stringify(`${FG_CLIENT}/client/mqtt.js`);
    await tab.evaluate(`import(${module}).then(({ connect }) => Object.assign(window, { connect, got: [] }))`);
    await tab.evaluate(
      async ([url, version]) => {
        const client = (window.client = await window.connect({ url, version }));
        const hear = (m: { retain: boolean; text: () => string }) =>
          window.got.push((m.retain ? "retained " : "") + m.text());
        await client.subscribe("own/+", hear, { qos: 2 });
        for (const [qos, text] of ["zero", "one", "two"].entries())
          await client.publish("own/a", text, { qos: qos as 0 | 1 | 2 });
        await client.publish("own/kept/x", "kept", { retain: true });
        await client.subscribe("own/kept/x", hear);
      },
      [FG_WSS_CERT, version] as const,
    );
    await expect.poll(() => tab.evaluate(() => window.got)).toEqual(words);
    await tab.evaluate(() => window.client.disconnect());
  });

  it("the door stays shut without one", async () => {
    const stranger = await open(mkdtempSync(join(FG_HOME, "empty-")));
    await expect(choose(stranger)).rejects.toThrow(/ERR_/);
    await stranger.close();
  });
});
