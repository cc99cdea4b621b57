// The MQTT client of docs/browser.md, MQTT.js and the Paho client in Chromium. They need a gateway, started by the
// caller (cmd/fieldgate): FG_CLIENT its admin page, FG_WS a listener without origins, FG_WS_OPEN one that allows
// http://localhost:*, FG_WSS a secure one; account panel / "the panel's password".
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startChromium } from "./browser";
import { run, versions } from "./libraries";
import type { BrowserContext, Page } from "playwright-core";
import type * as Module from "../../client/mqtt";

const { FG_CLIENT = "", FG_WS = "", FG_WS_OPEN = "", FG_WSS = "" } = process.env;
const login = { username: "panel", password: "the panel's password" };

/** example gives the page of docs/browser.md with the test's addresses. */
function example(): string {
  const text = readFileSync(join(import.meta.dirname, "../../../../docs/browser.md"), "utf8");
  const page = /```html\n([^]*?)```/.exec(text)?.[1] ?? "";
  expect(page).toContain("http://gateway.local:8080/client/mqtt.js");
  expect(page).toContain("ws://gateway.local:8083/mqtt");
  return page.replace("http://gateway.local:8080", FG_CLIENT).replace("ws://gateway.local:8083/mqtt", FG_WS_OPEN);
}

declare global {
  interface Window {
    got: string[];
    states: string[];
    client: Module.Client;
    connect: typeof Module.connect;
  }
}

describe.runIf(FG_CLIENT)("in a page of somebody else", () => {
  let running: Awaited<ReturnType<typeof startChromium>>;
  let pages: Server;
  let base: string;
  let context: BrowserContext;
  let page: Page;
  let faults: string[];

  beforeAll(async () => {
    running = await startChromium();
    const headers = { "Content-Type": "text/html" };
    const strict = {
      ...headers,
      "Content-Security-Policy": `default-src 'none'; script-src ${FG_CLIENT}; connect-src *`,
    };
    pages = createServer((request, response) => {
      response.writeHead(200, request.url === "/strict" ? strict : headers);
      response.end(request.url === "/example" ? example() : "<!doctype html><title>empty</title>");
    });
    await new Promise<void>((resolve) => pages.listen(0, "127.0.0.1", resolve));
    base = `http://localhost:${(pages.address() as AddressInfo).port}`; // another host name than the gateway's
  });
  afterAll(async () => {
    await running.close();
    pages.close();
  });
  beforeEach(async () => {
    context = await running.newContext({ baseURL: base, ignoreHTTPSErrors: true });
    context.setDefaultTimeout(15_000);
    page = await context.newPage();
    faults = [];
    page.on("pageerror", (e) => faults.push(e.message));
  });
  afterEach(async () => {
    expect(faults).toEqual([]);
    await context.close();
  });

  /** load opens a page and imports the client there. */
  async function load(path = "/", p = page): Promise<void> {
    await p.goto(path);
    // As text: vitest would make the import its own.
    const module = JSON.stringify(`${FG_CLIENT}/client/mqtt.js`);
    await p.evaluate(
      `import(${module}).then(({ connect }) => Object.assign(window, { connect, got: [], states: [] }))`,
    );
  }

  /** listen subscribes in a page of its own and gives what comes. */
  async function listen(filter: string): Promise<() => Promise<string[]>> {
    const other = await context.newPage();
    await load("/", other);
    await other.evaluate(
      async ([options, filter]) => {
        window.client = await window.connect(options);
        await window.client.subscribe(filter, (m) => window.got.push(`${m.topic} ${m.text()}`));
      },
      [{ ...login, url: FG_WS_OPEN }, filter] as const,
    );
    return () => other.evaluate(() => window.got);
  }

  /** publish sends one message from a page of its own. */
  async function publish(topic: string, payload: string): Promise<void> {
    const other = await context.newPage();
    await load("/", other);
    await other.evaluate(
      async ([options, topic, payload]) => {
        const client = await window.connect(options);
        await client.publish(topic, payload, { qos: 2 });
        await client.disconnect();
      },
      [{ ...login, url: FG_WS_OPEN }, topic, payload] as const,
    );
    await other.close();
  }

  it("the page of docs/browser.md shows values, sets one, and leaves", async () => {
    const commands = await listen("fieldgate/main-meter/setpoint/set");
    const panels = await listen("panels/hall");
    await page.goto("/example");
    await expect.poll(() => page.innerText("#state")).toBe("online");
    await publish("fieldgate/main-meter/power", '{"value":230.1,"unit":"W","quality":"good"}');
    await expect.poll(() => page.innerText("#values")).toContain("230.1 W");
    await publish("fieldgate/main-meter/power", '{"value":null,"unit":"W","quality":"bad"}');
    await expect.poll(() => page.innerText("#values")).toContain("bad");
    await page.click("#set button");
    await expect.poll(commands).toEqual(["fieldgate/main-meter/setpoint/set 21.5"]);
    await page.click("#leave");
    await expect.poll(() => page.innerText("#state")).toBe("closed");
    expect((await panels()).at(-1)).toBe("panels/hall left");
  });

  it.each([
    { name: "ws, 5.0", url: FG_WS_OPEN, version: 5 as const },
    { name: "ws, 3.1.1", url: FG_WS_OPEN, version: 4 as const },
    { name: "wss, 5.0", url: FG_WSS, version: 5 as const },
    { name: "wss, 3.1.1", url: FG_WSS, version: 4 as const },
  ])("exchanges messages of every QoS over $name", async ({ url, version }) => {
    await load();
    const got = await page.evaluate(
      async (options) => {
        const client = await window.connect(options);
        const got: string[] = [];
        const all = new Promise<void>((resolve) => {
          void client.subscribe(
            "t/#",
            (m) => {
              got.push(`${m.topic} ${m.text()}`);
              if (m.topic === "t/last") resolve();
            },
            { qos: 2 },
          );
        });
        for (const qos of [0, 1, 2] as const) await client.publish(`t/${qos}`, { qos }, { qos });
        await client.publish("t/bytes", new Uint8Array([65, 66]));
        await client.publish("t/last", 21.5);
        await all;
        await client.unsubscribe("t/#");
        await client.publish("t/unheard", "x");
        const failure = await client
          .subscribe("a/#/b", () => undefined)
          .then(
            () => "",
            (e: unknown) => (e as Error).message,
          );
        await client.disconnect();
        const after = await client.publish("t/late", "x").catch((e: unknown) => (e as Error).message);
        return { got, failed: failure !== "", after, connected: client.connected };
      },
      { ...login, url, version },
    );
    expect(got).toEqual({
      got: ['t/0 {"qos":0}', 't/1 {"qos":1}', 't/2 {"qos":2}', "t/bytes AB", "t/last 21.5"],
      failed: true,
      after: "the client is disconnected",
      connected: false,
    });
  });

  it.each([
    { name: "a wrong password", options: { ...login, password: "x", url: FG_WS_OPEN }, says: /refused|authori/i },
    { name: "an origin that is not listed", options: { ...login, url: FG_WS }, says: /pages of this origin/ },
    { name: "a path that is not there", options: { ...login, url: FG_WS_OPEN + "/no" }, says: /no connection/ },
    { name: "nobody there", options: { url: "ws://127.0.0.1:1/mqtt" }, says: /no connection/ },
    { name: "no address", options: { url: "http://x" }, says: /must begin with ws/ },
    { name: "an impossible timeout", options: { url: FG_WS_OPEN, connectTimeout: 0 }, says: /must be 1 to/ },
  ])("says what is wrong with $name", async ({ options, says }) => {
    await load();
    const said = await page.evaluate(
      (options) =>
        window.connect(options).then(
          () => "connected",
          (e: unknown) => (e as Error).message,
        ),
      options,
    );
    expect(said).toMatch(says);
  });

  it("works under a policy that forbids workers", async () => {
    await load("/strict");
    const state = await page.evaluate(
      async ([options]) => {
        const client = await window.connect({ ...options, heartbeat: 4000 }); // the gateway bears 6 s of silence
        await new Promise((resolve) => setTimeout(resolve, 7000));
        const { connected } = client;
        await client.disconnect();
        return connected;
      },
      [{ ...login, url: FG_WS_OPEN }] as const,
    );
    expect(state).toBe(true);
  });

  it("has its will published when the page goes away, and not after disconnect", async () => {
    const wills = await listen("will/#");
    for (const polite of [true, false]) {
      await load();
      await page.evaluate(
        async ([options, polite]) => {
          const client = await window.connect({ ...options, will: { topic: `will/${polite}`, payload: "gone" } });
          if (polite) await client.disconnect();
        },
        [{ ...login, url: FG_WS_OPEN }, polite] as const,
      );
      await page.goto("about:blank");
    }
    await expect.poll(wills).toEqual(["will/false gone"]);
  });

  it("comes back after a lost connection with its subscriptions", async () => {
    await load();
    await page.evaluate(
      async (options) => {
        const RealSocket = WebSocket;
        const sockets: WebSocket[] = [];
        window.WebSocket = class extends RealSocket {
          constructor(url: string | URL, protocols?: string | string[]) {
            super(url, protocols);
            sockets.push(this);
          }
        };
        window.client = await window.connect({ ...options, reconnect: 50, onState: (s) => window.states.push(s) });
        await window.client.subscribe("back", (m) => window.got.push(m.text()));
        sockets.at(-1)?.close();
        await window.client.publish("back", "waited");
        await window.client.publish("back", "again");
      },
      { ...login, url: FG_WS_OPEN },
    );
    await expect.poll(() => page.evaluate(() => window.got)).toContain("again");
    expect(await page.evaluate(() => window.states)).toEqual(["online", "offline", "online"]);
    await page.evaluate(() => window.client.disconnect());
  });

  describe("with a server that goes silent", () => {
    let server: Server;
    let url: string;
    let sockets: Duplex[];
    let frames: Buffer[]; // of the client, after its CONNECT
    let answers: boolean;

    beforeEach(async () => {
      [sockets, frames, answers] = [[], [], true];
      server = createServer();
      server.on("upgrade", (request, stream) => {
        const socket = stream;
        sockets.push(socket);
        socket.on("error", () => undefined);
        const accept = createHash("sha1")
          .update(`${request.headers["sec-websocket-key"] ?? ""}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
          .digest("base64");
        socket.write(
          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
            `Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
        );
        let first = true;
        socket.on("data", (data: Buffer) => {
          if (first && answers) socket.write(Buffer.from([0x82, 4, 0x20, 2, 0, 0])); // CONNACK of 3.1.1
          if (!first) frames.push(data);
          first = false;
        });
      });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/mqtt`;
    });
    afterEach(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });

    it("connect ends after its timeout and does not try again", async () => {
      answers = false;
      await load();
      const said = await page.evaluate(
        (url) =>
          window.connect({ url, version: 4, connectTimeout: 200, reconnect: 10 }).then(
            () => "connected",
            (e: unknown) => (e as Error).message,
          ),
        url,
      );
      expect(said).toMatch(/no answer within 200 ms|connack timeout/);
      await new Promise((resolve) => setTimeout(resolve, 300)); // many times the reconnect pause
      expect(sockets).toHaveLength(1);
    });

    it("a heartbeat without an answer counts as a lost connection", async () => {
      await load();
      await page.evaluate(async (url) => {
        window.client = await window.connect({
          url,
          version: 4,
          heartbeat: 1000,
          reconnect: 0,
          onState: (s, why) => window.states.push(`${s} ${why ?? ""}`),
        });
      }, url);
      await expect.poll(() => page.evaluate(() => window.states), { timeout: 10_000 }).toHaveLength(2);
      expect((await page.evaluate(() => window.states))[1]).toMatch(/^offline/);
      expect(frames.length).toBeGreaterThan(0); // PINGREQ
    });

    it("disconnect tries again up to its limit, then says so", async () => {
      await load();
      const result = await page.evaluate(async (url) => {
        const client = await window.connect({ url, version: 4, disconnectTimeout: 50, disconnectAttempts: 4 });
        const waiting = client.publish("t", "never acknowledged").catch((e: unknown) => (e as Error).message);
        await new Promise((resolve) => setTimeout(resolve, 50)); // it is under way
        const began = performance.now();
        const said = await client.disconnect().catch((e: unknown) => (e as Error).message);
        return { said, waiting: await waiting, long: performance.now() - began >= 199 };
      }, url);
      expect(result).toEqual({
        said: "the connection did not close: 4 attempts of 50 ms",
        waiting: "the client is disconnected",
        long: true,
      });
      expect(sockets).toHaveLength(1);
    });
  });

  it.each(
    [
      { way: "ws", url: FG_WS_OPEN },
      { way: "wss", url: FG_WSS },
    ].flatMap((way) => versions.map((v) => ({ ...way, ...v }))),
  )("$library unchanged, version $version over $way", async ({ library, version, url }) => {
    await page.goto("/");
    expect(await run(page, library, { url, version, login })).toEqual(["zero", "one", "two", "retained kept"]);
  });
});
