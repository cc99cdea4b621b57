// Every screen at phone and laptop width, light and dark, in both languages: axe
// finds nothing, nothing scrolls sideways. With SHOTS=folder it leaves pictures to look at.
import { mkdir } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MockGateway } from "../mock/gateway";
import { at, expectAccessible, openBrowser, startChromium, type Look } from "./browser";

const shots = process.env.SHOTS;
const looks: (Look & { name: string })[] = [
  { name: "phone-light-en", width: 360 },
  { name: "phone-dark-zh", width: 360, dark: true, locale: "zh-CN" },
  { name: "laptop-light-zh", width: 1280, locale: "zh-CN" },
  { name: "laptop-dark-en", width: 1280, dark: true },
];

function fill(g: MockGateway): void {
  g.claimed = true;
  g.bridges = [
    {
      id: "cabinet",
      kind: "modbus",
      link: { serial: { port: "/dev/serial/by-id/usb-FTDI_FT232R-if00", baud: 9600, format: "8N1" } },
      devices: [
        {
          id: "main-meter",
          unit: 1,
          interval: "1s",
          points: [
            { id: "voltage", table: "input", address: 0, type: "float32", unit: "V" },
            { id: "power", table: "input", address: 52, type: "float32", unit: "W" },
            {
              id: "setpoint",
              table: "holding",
              address: 40104,
              type: "int16",
              scale: 0.1,
              unit: "°C",
              write: { min: -10, max: 60 },
            },
          ],
        },
        {
          id: "relays",
          unit: 2,
          points: [
            { id: "pump", table: "coil", address: 0, write: {} },
            { id: "door", table: "discrete_input", address: 1 },
          ],
        },
      ],
    },
    {
      id: "scale",
      kind: "line",
      link: { serial: { port: "/dev/ttyUSB1", baud: 9600, format: "7E1" } },
      framing: { delimiter: "\r\n" },
      devices: [
        {
          id: "scale",
          parse: { regex: "^ST,GS,\\s*(?P<weight>[-+0-9. ]+)kg" },
          points: [{ id: "weight", type: "float64", unit: "kg" }],
        },
      ],
    },
  ];
  const out = [{ filter: "fieldgate/#", qos: 1, local_prefix: "fieldgate/", remote_prefix: "site-7/" }];
  g.uplinks = [
    { id: "cloud", url: "mqtts://broker.example.com:8883", username: "gw", password_set: true, out },
    { id: "old-server", url: "mqtt://unreachable.example.com:1883", out },
  ];
  g.sick.add("relays");
  g.alarms = [
    {
      part: "bridge/cabinet",
      code: "unreachable",
      message: "relays gives no answer: check its power, the wires A and B, and the unit identifier 2",
      since: new Date().toISOString(),
    },
  ];
}

let running: Awaited<ReturnType<typeof startChromium>>;
beforeAll(async () => {
  running = await startChromium();
});
afterAll(() => running.close());

describe.each(looks)("at $name", (look) => {
  const empty = new MockGateway();
  const full = new MockGateway();
  let emptyBase = "";
  let fullBase = "";
  beforeAll(async () => {
    if (shots) await mkdir(shots, { recursive: true });
    empty.codeRequired = true;
    empty.language = full.language = look.locale ?? "en";
    emptyBase = await empty.start();
    fullBase = await full.start();
    await claim(fullBase, look.locale ?? "en");
    fill(full);
  });
  afterAll(async () => {
    await empty.stop();
    await full.stop();
  });

  it("claims and shows the first steps", async () => {
    const b = await openBrowser(running, emptyBase, look);
    const look1 = (name: string) => judge(b.page, `${look.name}-${name}`);
    await b.page.goto("/");
    await b.page.fill(at("setup-name"), "anna");
    await b.page.fill(at("setup-password"), "short");
    await b.page.click(at("setup-submit"));
    await b.page.waitForSelector(at("problems"));
    await look1("setup-wrong");
    await b.page.fill(at("setup-code"), "1234-5678");
    await b.page.fill(at("setup-password"), "correct horse battery");
    await b.page.click(at("setup-submit"));
    await b.page.waitForSelector(at("first-device"));
    await look1("first-steps");
    for (const screen of ["devices", "uplinks"]) {
      await b.page.goto(`/#/${screen}`);
      await b.page.waitForSelector(".empty");
      await look1(`${screen}-empty`);
    }
    expect(b.faults).toEqual([]);
    await b.close();
  });

  it("shows every screen", async () => {
    const b = await openBrowser(running, fullBase, look);
    const look1 = (name: string) => judge(b.page, `${look.name}-${name}`);
    await b.page.goto("/");
    await b.page.waitForSelector(at("login"));
    await look1("login");
    await b.page.fill(at("login-name"), "anna");
    await b.page.fill(at("login-password"), "correct horse battery");
    await b.page.click(at("login-submit"));
    await b.page.waitForSelector('[data-testid="value-main-meter-power"][data-quality="good"]');
    await look1("overview");
    const screens: [name: string, path: string, wait: string][] = [
      ["devices", "/devices", at("device-main-meter")],
      ["device", "/devices/main-meter", at("write-main-meter-setpoint")],
      ["relays", "/devices/relays", at("switch-relays-pump-on")],
      ["device-edit", "/devices/main-meter/edit", at("point-2")],
      ["line-edit", "/devices/scale/edit", at("device-regex")],
      ["device-add", "/devices/new", at("wire-choice-new")],
      ["wire", "/wires/cabinet", at("port-/dev/ttyUSB0")],
      ["uplinks", "/uplinks", at("uplink-cloud")],
      ["uplink-edit", "/uplinks/cloud", at("out-0-filter")],
      ["uplink-add", "/uplinks/new", at("out-0-filter")],
      ["account", "/account", at("logout")],
    ];
    for (const [name, path, wait] of screens) {
      await b.page.goto(`/#${path}`);
      await b.page.waitForSelector(wait);
      await look1(name);
    }
    expect(b.faults).toEqual([]);
    await b.close();
  });
});

async function judge(page: Awaited<ReturnType<typeof openBrowser>>["page"], name: string): Promise<void> {
  if (shots) await page.screenshot({ path: `${shots}/${name}.png`, fullPage: true });
  await expectAccessible(page, name);
}

async function claim(base: string, language: string): Promise<void> {
  await fetch(`${base}/api/v1/setup`, {
    method: "POST",
    body: JSON.stringify({ name: "anna", password: "correct horse battery", language }),
  });
}
