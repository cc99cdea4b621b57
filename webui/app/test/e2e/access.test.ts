// A person makes an account and a rule on the page of a real gateway (FG_ACCESS), and
// meets the client: who publishes elsewhere is refused, and is disconnected from the page.
// The gateway listens for MQTT at FG_MQTT and lets nobody in without an account.
import { spawn, spawnSync } from "node:child_process";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { at, expectAccessible, openBrowser, startChromium, type Browser } from "./browser";
import { hands, person } from "./desk";

const { FG_ACCESS = "", FG_MQTT = "127.0.0.1:1883" } = process.env;
const [host = "", port = ""] = FG_MQTT.split(":");

describe.runIf(FG_ACCESS)("access to a real gateway", () => {
  let running: Awaited<ReturnType<typeof startChromium>>;
  let b: Browser;
  let listener: ReturnType<typeof spawn> | undefined;
  let password = "";
  beforeAll(async () => {
    running = await startChromium();
    b = await openBrowser(running, FG_ACCESS, { width: 1280 });
  });
  afterAll(async () => {
    listener?.kill();
    await running.close();
  });
  const { fill, click, seen } = hands(() => b, 15_000);
  const login = (): string[] => ["-h", host, "-p", port, "-u", "pump", "-P", password];
  const publish = (topic: string) =>
    spawnSync("mosquitto_pub", [...login(), "-V", "5", "-q", "1", "-t", topic, "-m", "7"], {
      encoding: "utf8",
      timeout: 15_000,
    });

  it("makes the account and the rule", async () => {
    await b.page.goto("/");
    await seen(at("setup"));
    await fill("setup-name", person.name);
    await fill("setup-password", person.password);
    await click("setup-submit");
    await click("nav-mqtt");
    await seen(at("connect-0"));
    expect(await b.page.innerText(at("connect-0"))).toContain(`Host: ${host}\nPort: ${port}\nTLS: off`);
    await click("tab-accounts");
    await click("account-add");
    await fill("account-name", "pump");
    await click("account-make");
    password = await b.page.inputValue(at("account-password"));
    await click("account-form-submit");
    await seen(at("account-made"));
    await click("tab-rules");
    await seen(at("no-rules"));
    await click("rule-add");
    await fill("rule-filter", "site/%u/#");
    await click("rule-kind-both");
    await fill("rule-id", "own");
    await click("rule-save");
    await seen(at("rule-own"));
  });

  it("refuses another topic, as the check on the page says", async () => {
    const refused = publish("site/other/rpm");
    expect(refused.stderr + refused.stdout).toMatch(/not authori[sz]ed/i);
    const allowed = publish("site/pump/rpm");
    expect(allowed.stderr).toBe("");
    expect(allowed.status).toBe(0);
    for (const [topic, verdict] of [
      ["site/other/rpm", "false"],
      ["site/pump/rpm", "true"],
    ] as const) {
      await fill("check-user", "pump");
      await fill("check-topic", topic);
      await click("check-submit");
      await seen(`${at("verdict")}[data-allowed="${verdict}"]`);
    }
    await expectAccessible(b.page, "rules of a real gateway");
  });

  it("shows the client, watches it, and disconnects it", async () => {
    listener = spawn("mosquitto_sub", [...login(), "-i", "listener", "-c", "-q", "1", "-t", "site/pump/#"], {
      stdio: "ignore",
    });
    const ended = new Promise((resolve) => listener?.once("exit", resolve));
    await b.page.goto("/#/mqtt/clients");
    const open = at("client-open-listener");
    for (let i = 0; i < 100 && !(await b.page.$(open)); i++) {
      await click("client-search");
      await b.page.waitForSelector(open, { timeout: 300 }).catch(() => undefined);
    }
    await click("client-open-listener");
    await seen(`${at("client-state")}[data-connected="true"]`);
    expect(await b.page.innerText(at("client-account"))).toBe("pump");
    await click("trace-start");
    await seen(at("trace-stop"));
    for (let i = 0; i < 20 && !(await b.page.$('[data-type="PUBLISH"]')); i++) {
      publish("site/pump/rpm");
      await b.page.waitForSelector('[data-type="PUBLISH"]', { timeout: 1000 }).catch(() => undefined);
    }
    expect(await b.page.innerText(at("packets"))).toContain("site/pump/rpm");
    await click("trace-stop");
    await expectAccessible(b.page, "a client of a real gateway");
    listener.kill("SIGSTOP"); // it would connect again at once
    await click("client-disconnect");
    await click("ask-yes");
    await seen(`${at("client-state")}[data-connected="false"]`);
    listener.kill("SIGCONT");
    listener.kill();
    await ended;
  });

  it("walks through what else the page shows of it", async () => {
    await b.page.goto("/#/mqtt/topics");
    await fill("publish-topic", "site/pump/note");
    await fill("publish-payload", "hello");
    await b.page.check(at("publish-retain"));
    await click("publish-submit");
    await seen(at("topic-open-site"));
    await b.page.goto("/#/system/settings");
    await click("revision-compare-1");
    await seen(at("diff"));
    expect(await b.page.innerText(at("diff"))).toContain("site/%u/#");
    await fill("apply-text", "bridges:\n  - id: x\n    kind: modbus\n    colour: red\n");
    await click("apply-dry-run");
    await seen(at("apply-wrong"));
    expect(await b.page.innerText(at("apply-wrong"))).toMatch(/line [234]: /);
    await click("tab-gateway");
    await click("ask-yes"); // what was typed is left
    for (const [tab, wait] of [
      ["gateway", "gateway-version"],
      ["log", "log"],
      ["people", "person-anna"],
      ["audit", "audit"],
    ] as const) {
      await click(`tab-${tab}`);
      await seen(at(wait));
      await expectAccessible(b.page, tab);
    }
    expect(b.faults).toEqual([]);
  });
});
