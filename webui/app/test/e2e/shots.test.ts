// Every screen at phone and laptop width, light and dark, in both languages: axe
// finds nothing, nothing scrolls sideways. With SHOTS=folder it leaves pictures to look at.
import { mkdir } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { client, payload, retained, type AdminMock } from "../mock/admin";
import { MockGateway } from "../mock/gateway";
import { at, expectAccessible, openBrowser, startChromium, type Look } from "./browser";
import { claimed, hands, person } from "./desk";

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
  fillAdmin(g.admin);
  g.alarms = [
    {
      part: "bridge/cabinet",
      code: "unreachable",
      message: "relays gives no answer: check its power, the wires A and B, and the unit identifier 2",
      since: new Date().toISOString(),
    },
  ];
}

const now = new Date().toISOString();

function fillAdmin(a: AdminMock): void {
  a.accounts = [
    { username: "pump", enabled: true, password_set: true },
    { username: "old-panel", enabled: false, password_set: true },
  ];
  a.rules = [
    { id: "own", filter: "site/%u/#", allow: ["read", "write"] },
    { id: "no-relays", account: "pump", filter: "fieldgate/relays/+/set", deny: ["write"] },
  ];
  a.clients = [client("pump/1", "pump"), client("panel-in-the-boiler-room", "panel")];
  a.queues.set("pump/1", [{ id: "1", topic: "a/b", qos: 1, accepted: now, inflight: true, ...payload('{"v":1}') }]);
  a.packets = [
    { time: now, direction: "in", type: "PUBLISH", topic: "site/pump/rpm", qos: 1, payload_bytes: 4, payload: "1500" },
    { time: now, direction: "out", type: "PUBACK", packet_id: 7, reasons: [{ code: 0, text: "success" }] },
    { time: now, direction: "closed", error: "keep alive exceeded" },
  ];
  for (const r of [
    retained("fieldgate/main-meter/power", payload('{"value":230.1,"unit":"W","quality":"good"}')),
    retained("note", payload("The pump was changed on Monday")),
  ])
    a.retained.set(r.topic, r);
  a.people = [
    { name: "anna", role: "admin", language: "en", created: now },
    { name: "vera", role: "viewer", language: "en", created: now },
  ];
  a.tokens = [{ id: "t1", name: "scada", role: "viewer", author: "anna", created: now }];
  a.revisions = [
    { revision: 2, time: now, author: "anna", summary: "change bridge cabinet" },
    { revision: 1, time: now, author: "anna", summary: "add bridge cabinet, add uplink cloud" },
  ];
  a.settings = "bridges:\n  - id: cabinet\n    kind: modbus\n";
  a.logs = ["info", "warn", "error"].map((level, i) => ({
    seq: String(i + 1),
    time: now,
    level: level as "info",
    part: "mqtt",
    message: "login refused",
    attributes: { remote: "192.0.2.9", client_id: "pump/1" },
  }));
  const entry = { time: now, address: "192.0.2.9" };
  a.audit = [
    { ...entry, id: "3", author: "", role: "", operation: "login-refused", path: "/session" },
    { ...entry, id: "2", author: "anna", role: "admin", operation: "login", path: "/session" },
    { ...entry, id: "1", author: "anna", role: "admin", operation: "patch-bridge", path: "/bridges/cabinet" },
  ];
}

let running: Awaited<ReturnType<typeof startChromium>>;
beforeAll(async () => {
  running = await startChromium();
});
afterAll(() => running.close());

describe.each(looks)("at $name", { timeout: 300_000 }, (look) => {
  const empty = new MockGateway();
  const full = new MockGateway();
  let emptyBase = "";
  let fullBase = "";
  beforeAll(async () => {
    if (shots) await mkdir(shots, { recursive: true });
    empty.codeRequired = true;
    empty.language = full.language = look.locale ?? "en";
    emptyBase = await empty.start();
    fullBase = await claimed(full, look.locale ?? "en");
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
    await b.page.fill(at("setup-name"), person.name);
    await b.page.fill(at("setup-password"), "short");
    await b.page.click(at("setup-submit"));
    await b.page.waitForSelector(at("problems"));
    await look1("setup-wrong");
    await b.page.fill(at("setup-code"), "1234-5678");
    await b.page.fill(at("setup-password"), person.password);
    await b.page.click(at("setup-submit"));
    await b.page.waitForSelector(at("first-device"));
    await look1("first-steps");
    const screens = ["devices", "uplinks", "mqtt/clients", "mqtt/topics", "mqtt/home-assistant"];
    for (const screen of [...screens, "mqtt/accounts", "system/settings", "system/log", "system/audit"]) {
      await b.page.goto(`/#/${screen}`);
      await b.page.waitForSelector(".empty");
      await look1(`${screen.replace("/", "-")}-empty`);
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
    await hands(() => b).login();
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
      ["points-table", "/devices/main-meter/points", at("table-text")],
      ["frames", "/wires/cabinet/frames", at("frame")],
      ["by-hand", "/wires/cabinet/hand", at("hand-write-submit")],
      ["templates", "/templates", at("template-acme-em3")],
      ["template-new", "/templates/new", at("template-yaml")],
      ["mqtt", "/mqtt/connect", at("connect-0")],
      ["clients", "/mqtt/clients", at("client-open-pump/1")],
      ["client", "/mqtt/clients/pump%2F1", at("trace-start")],
      ["topics", "/mqtt/topics", at("topic-show-note")],
      ["home-assistant", "/mqtt/home-assistant", at("ha-relays")],
      ["accounts", "/mqtt/accounts", at("account-pump")],
      ["rules", "/mqtt/rules", at("rule-own")],
      ["rule-edit", "/mqtt/rules/own", at("rule-save")],
      ["gateway", "/system/gateway", at("restart")],
      ["log", "/system/log", at("log")],
      ["people", "/system/people", at("person-vera")],
      ["settings", "/system/settings", at("revision-1")],
      ["backup", "/system/backup", at("backup-make")],
      ["certificate", "/system/certificate", at("certificate")],
      ["audit", "/system/audit", at("audit")],
    ];
    for (const [name, path, wait] of screens) {
      await b.page.goto(`/#${path}`);
      await b.page.waitForSelector(wait);
      await look1(name);
    }
    expect(b.faults).toEqual([]);
    await b.close();
  });

  // One look in each language is enough for what stands on the screens above but for its content.
  it.runIf(/phone-dark-zh|laptop-dark-en/.test(look.name))(
    "shows what a person opens, what is wrong, and what goes on",
    async () => {
      const b = await openBrowser(running, fullBase, look);
      const look1 = (name: string) => judge(b.page, `${look.name}-${name}`);
      const { click, fill, seen, open, login, unfold } = hands(() => b);
      await b.page.goto("/");
      await login();
      full.unsynced = true;
      await open("/devices/main-meter");
      await seen(at("unsynced-main-meter-power"));
      await b.page.click(`${at("history-main-meter-power")} > summary`);
      await seen(at("chart"));
      await look1("device-unsynced");
      full.unsynced = false;
      await open("/devices/main-meter/points");
      await fill("table-text", "id,address\nvoltage,zero\npower,x\n");
      await click("table-preview");
      await seen(at("table-wrong"));
      await look1("points-table-wrong");
      await fill("table-text", "id,table,address,type\nvoltage,input,0,float32\ncurrent,input,6,float32\n");
      await click("table-replace");
      await click("table-preview");
      await seen(at("table-removed"));
      await look1("points-table-plan");
      await open("/devices/new/on/cabinet");
      await click("ask-yes"); // the typed table is left
      await unfold("scan-open");
      await click("scan-start");
      await seen(`${at("scan")}[data-state="done"]`);
      await look1("scan");
      await open("/wires/cabinet/hand");
      await b.page.selectOption(at("hand-read-what"), "8");
      await click("hand-read-submit");
      await seen(at("hand-said-bus_crc_errors"));
      await fill("hand-write-address", "104");
      await fill("hand-write-unit", "99");
      await fill("hand-write-value", "215");
      await b.page.selectOption(at("hand-write-code"), "23");
      await click("hand-write-submit");
      await seen("dialog");
      await look1("by-hand-ask");
      await click("ask-yes");
      await seen(`${at("hand-write-result")}[data-ok="false"]`);
      await b.page.selectOption(at("hand-read-what"), "holding");
      await fill("hand-read-address", "104");
      await fill("hand-read-quantity", "4");
      await click("hand-read-submit");
      await seen(at("hand-registers"));
      await look1("by-hand-done");
      await open("/uplinks/new");
      await b.page.selectOption(at("uplink-preset"), "aws-iot-core");
      await seen(at("preset-advice"));
      await look1("uplink-preset");
      await open("/mqtt/clients/pump%2F1");
      if (await b.page.$(at("ask-yes"))) await click("ask-yes"); // the form is left
      await click("queue-show");
      await click("trace-start");
      await seen('[data-type="PUBLISH"]');
      await look1("client-open");
      await open("/mqtt/topics");
      await click("topic-show-note");
      await seen(at("payload-note"));
      await look1("topics-open");
      await open("/system/settings");
      await click("revision-show-1");
      await seen(at("revision-text-1"));
      await click("revision-compare-1");
      await seen(at("diff"));
      await look1("settings-open");
      await open("/system/certificate");
      await click("certificate-replace");
      await click("certificate-form-submit");
      await seen(at("fault-/key"));
      await look1("certificate-wrong");
      await open("/system/backup");
      await b.page.setInputFiles(at("restore-file"), {
        name: "site-7.backup",
        mimeType: "application/gzip",
        buffer: Buffer.from("backup"),
      });
      await click("restore-go");
      await seen("dialog");
      await look1("restore-ask");
      await click("ask-no");
      await open("/system/gateway");
      await unfold("host-file");
      full.away = true;
      await click("restart");
      await click("ask-yes");
      await seen(at("restarting"));
      await look1("restarting");
      full.away = false;
      await b.page.waitForSelector(at("restarting"), { state: "detached" });
      expect(b.faults).toEqual([]);
      await b.close();
    },
  );
});

async function judge(page: Awaited<ReturnType<typeof openBrowser>>["page"], name: string): Promise<void> {
  if (shots) await page.screenshot({ path: `${shots}/${name}.png`, fullPage: true });
  await expectAccessible(page, name);
}
