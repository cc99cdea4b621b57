// A person wires a cabinet at a real gateway: TestSystem_PersonWiresACabinet in cmd/fieldgate starts it, with an
// SDM120 (unit 1), a relay board (unit 3) and a meter (unit 7) on one line.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { at, expectAccessible, openBrowser, startChromium, type Browser } from "./browser";
import { hands, person } from "./desk";

const env = process.env;

let running: Awaited<ReturnType<typeof startChromium>>;
let b: Browser;

const { fill, click, seen, open, text, unfold } = hands(() => b, 30_000);

describe.skipIf(env.FG_CABINET !== "1")("a person", () => {
  beforeAll(async () => {
    running = await startChromium();
    b = await openBrowser(running, env.FG_URL ?? "", { width: 360 });
  });
  afterAll(() => running.close());

  it("claims the gateway", async () => {
    await b.page.goto("/");
    await fill("setup-name", person.name);
    await fill("setup-password", person.password);
    await click("setup-submit");
    await seen(at("health"));
  });

  it("adds a meter by its model", async () => {
    await open("/devices/new");
    await seen(at("device-form"));
    await seen(at("port-other"));
    if (await b.page.$(at("wire-serial-port") + ":not([disabled])").then((found) => !found)) await click("port-other");
    await fill("wire-serial-port", env.FG_SERIAL ?? "");
    await fill("wire-id", "cabinet");
    await click("how-template");
    await fill("template-search", "sdm120");
    await click("template-eastron-sdm120");
    await seen(at("template-chosen"));
    await fill("device-id", "main-meter");
    await expectAccessible(b.page, "a model of the program");
    await click("device-test");
    expect(await (await seen(at("reading-main-meter-voltage"))).innerText()).toContain("230.1");
    await click("device-save");
    await seen(`${at("value-main-meter-voltage")}[data-quality="good"]`);
    expect(await text("value-main-meter-voltage")).toBe("230.1 V");
  });

  it("finds a relay board by a search, and adds it", async () => {
    await open("/devices/new/on/cabinet");
    await unfold("scan-open");
    await b.page.click(`${at("scan")} summary`);
    await fill("scan-to", "8");
    await click("scan-start");
    await seen(at("found-add-3"));
    await seen(at("found-add-7"));
    await seen(`${at("scan")}[data-state="done"]`);
    expect(await text("found-3")).toContain("Waveshare");
    await expectAccessible(b.page, "what a search found");
    await click("found-add-3");
    expect(await b.page.inputValue(at("device-unit"))).toBe("3");
    await click("how-template"); // the boards of a maker look alike: a person knows which one it is
    await fill("template-search", "waveshare relay 8");
    await click("template-waveshare-relay-8ch");
    await seen(at("template-chosen"));
    expect(await b.page.inputValue(at("device-unit"))).toBe("3");
    await fill("device-id", "relays");
    await click("device-save");
    await seen(`${at("value-relays-relay-2")}[data-quality="good"]`);
  });

  it("adds a meter by hand, and finds its byte order by trying", async () => {
    await open("/devices/new/on/cabinet");
    await fill("device-id", "by-hand");
    await fill("device-unit", "7");
    await fill("point-id-0", "frequency");
    await b.page.selectOption(at("point-table-0"), "input");
    await fill("point-address-0", "20");
    await click("try-read-0");
    await seen(at("try-result-0"));
    const right = await seen(at("try-0-float32-ABCD"));
    expect(await right.innerText()).toMatch(/^(49\.9|50)/);
    await expectAccessible(b.page, "byte orders");
    await right.click();
    expect(await b.page.inputValue(at("point-type-0"))).toBe("float32");
    await click("device-save");
    await seen(`${at("value-by-hand-frequency")}[data-quality="good"]`);
    expect(await text("value-by-hand-frequency")).toMatch(/^(49\.9|50)/);
  });

  it("sees the frames, and those of one unit only", async () => {
    await open("/wires/cabinet/frames");
    for (const unit of [1, 3, 7]) await seen(`${at("frame")}[data-unit="${unit}"]`);
    await click("frames-pause");
    await b.page.selectOption(at("frames-unit"), "7");
    expect(await text("frames")).toContain("07 04 00 14 00 02");
    await expectAccessible(b.page, "frames");
  });

  it("switches a relay, and is told that it was done", async () => {
    await open("/devices/relays");
    await seen(`${at("switch-relays-relay-2")}[aria-checked="false"]`);
    await click("switch-relays-relay-2");
    await seen(`${at("write-result-relays-relay-2")}[data-ok="true"]`);
    await seen(`${at("switch-relays-relay-2")}[aria-checked="true"]`);
    expect(await text("write-result-relays-relay-2")).toMatch(/^Done: the device now has On/);
  });

  it("sees the use of the wire and the history of a value", async () => {
    await open("/wires/cabinet");
    await seen(at("wire-load"));
    await expectAccessible(b.page, "the use of a wire");
    await open("/devices/main-meter");
    await unfold("history-main-meter-voltage");
    await seen(at("chart"));
    expect(b.faults).toEqual([]);
  });
});
