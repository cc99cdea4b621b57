// A person claims the gateway, adds a device by form, sees its value, adds the
// cloud, and sees it connected. It runs against the gateway at FG_URL when that
// is given (README.md lists what else it reads), else against one in memory.
import { afterAll, beforeAll, expect, it } from "vitest";
import { MockGateway } from "../mock/gateway";
import { at, expectAccessible, openBrowser, startChromium, type Browser } from "./browser";
import { hands, person } from "./desk";

interface TestPoint {
  id: string;
  table?: string;
  address: string;
  type?: string;
  unit?: string;
}

const env = process.env;
const name = env.FG_NAME ?? person.name;
const password = env.FG_PASSWORD ?? person.password;
const unit = env.FG_UNIT ?? "1";
const points = JSON.parse(
  env.FG_POINTS ?? '[{"id":"power","table":"input","address":"52","type":"float32","unit":"W"}]',
) as TestPoint[];
const [modbusHost = "127.0.0.1", modbusPort = "502"] = (env.FG_MODBUS_TCP ?? "127.0.0.1:502").split(":");
const [cloudHost = "127.0.0.1", cloudPort = "1883"] = (env.FG_UPLINK ?? "127.0.0.1:1883").split(":");
const wait = 15_000;

const gateway = env.FG_URL; // not BASE_URL, which Vitest sets itself

let running: Awaited<ReturnType<typeof startChromium>>;
let mock: MockGateway | undefined;
let b: Browser;

beforeAll(async () => {
  running = await startChromium();
  mock = gateway ? undefined : new MockGateway();
  b = await openBrowser(running, gateway ?? (await mock?.start()) ?? "", { width: Number(env.FG_WIDTH ?? 1280) });
});
afterAll(async () => {
  await running.close();
  await mock?.stop();
});

const { fill, click, seen } = hands(() => b, wait);

it("claims the gateway, or logs in", async () => {
  await b.page.goto("/");
  const first = await seen(`${at("setup")}, ${at("login")}`);
  const claim = (await first.getAttribute("data-testid")) === "setup";
  if (claim && (await b.page.$(at("setup-code")))) await fill("setup-code", env.FG_SETUP_CODE ?? "");
  await fill(claim ? "setup-name" : "login-name", name);
  await fill(claim ? "setup-password" : "login-password", password);
  await click(claim ? "setup-submit" : "login-submit");
  await seen(at("health"));
  await expectAccessible(b.page, "overview at first");
});

it("tells what to do when nothing answers, then finds the device", async () => {
  await click("nav-devices");
  await click("device-add");
  await seen(at("device-form"));
  if (await b.page.$(at("wire-choice-new"))) await click("wire-choice-new");
  await click("kind-modbus");
  if (env.FG_SERIAL) await chooseSerial(env.FG_SERIAL);
  else await chooseTCP();
  await fill("wire-id", "cabinet");
  await fill("device-id", "main-meter");
  await fill("device-unit", unit);
  for (const [i, point] of points.entries()) await fillPoint(i, point);

  if (env.FG_SERIAL)
    await fill("device-unit", "99"); // a pseudo-terminal has no speed that could be wrong
  else await fill("wire-port", "1");
  await click("device-test");
  const wrong = await seen(`${at("test-result")}[data-step="done"] .note.bad`);
  expect((await wrong.innerText()).length).toBeGreaterThan(40);
  await expectAccessible(b.page, "a failed test");

  if (env.FG_SERIAL) await fill("device-unit", unit);
  else await fill("wire-port", modbusPort);
  await click("device-test");
  for (const point of points) await seen(at(`reading-main-meter-${point.id}`));
  await expectAccessible(b.page, "a test that went well");
});

it("saves the device and shows its live values", async () => {
  await click("device-save");
  for (const point of points) {
    const value = await seen(`${at(`value-main-meter-${point.id}`)}[data-quality="good"]`);
    expect(await value.innerText()).toMatch(/\d/);
  }
});

it("adds the uplink and shows it connected", async () => {
  await click("nav-uplinks");
  await click("uplink-add");
  await fill("uplink-host", cloudHost);
  await b.page.uncheck(at("uplink-tls"));
  await fill("uplink-port", cloudPort);
  if (env.FG_UPLINK_USER) await fill("uplink-username", env.FG_UPLINK_USER);
  if (env.FG_UPLINK_PASSWORD) await fill("uplink-password", env.FG_UPLINK_PASSWORD);
  await click("uplink-test");
  await seen(`${at("test-result")} .note.good`);
  await click("uplink-save");
  await seen(`${at("uplink-state-cloud")}[data-state="connected"]`);
});

it("says on the overview that all is well, and nothing strange happened", async () => {
  await click("nav-overview");
  await seen(`${at("health")}[data-tone="good"]`);
  for (const point of points) await seen(`${at(`value-main-meter-${point.id}`)}[data-quality="good"]`);
  await expectAccessible(b.page, "overview");
  expect(b.faults).toEqual([]);
});

async function chooseSerial(port: string): Promise<void> {
  await click("medium-serial");
  await seen(at("port-other"));
  await click("port-other");
  await fill("wire-serial-port", port);
  await b.page.selectOption(at("wire-baud"), env.FG_BAUD ?? "9600");
  await b.page.selectOption(at("wire-format"), env.FG_FORMAT ?? "8N1");
}

async function chooseTCP(): Promise<void> {
  await click("medium-tcp");
  await fill("wire-host", modbusHost);
}

async function fillPoint(i: number, point: TestPoint): Promise<void> {
  if (!(await b.page.$(at(`point-${i}`)))) await click("point-add");
  await fill(`point-id-${i}`, point.id);
  await b.page.selectOption(at(`point-table-${i}`), point.table ?? "holding");
  await fill(`point-address-${i}`, point.address);
  if (point.type) await b.page.selectOption(at(`point-type-${i}`), point.type);
  if (point.unit) await fill(`point-unit-${i}`, point.unit);
}
