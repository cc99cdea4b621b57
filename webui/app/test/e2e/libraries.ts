// MQTT.js and the Paho JavaScript client, unchanged, as a page loads them with a script tag.
import { join } from "node:path";
import type { Page } from "playwright-core";

const modules = join(import.meta.dirname, "../../node_modules");
const libraries = {
  "MQTT.js": { script: "mqtt/dist/mqtt.min.js", converse: useMQTTjs },
  Paho: { script: "paho-mqtt/paho-mqtt-min.js", converse: usePaho },
};

export type Library = keyof typeof libraries;

export interface Way {
  url: string;
  version: number; // 3 is MQTT 3.1, 4 is 3.1.1, 5 is 5.0
  login?: { username: string; password: string };
}

/** versions are all that the libraries speak. */
export const versions: { library: Library; version: number }[] = [
  ...[3, 4, 5].map((version) => ({ library: "MQTT.js" as const, version })),
  ...[3, 4].map((version) => ({ library: "Paho" as const, version })),
];

/** run lets the library exchange a message of each QoS and a retained one, and gives what came. */
export async function run(page: Page, library: Library, way: Way): Promise<string[]> {
  const { script, converse } = libraries[library];
  await page.addScriptTag({ path: join(modules, script) });
  return page.evaluate(converse, way);
}

/* eslint-disable @typescript-eslint/no-explicit-any, @typescript-eslint/no-unsafe-assignment, @typescript-eslint/no-unsafe-call, @typescript-eslint/no-unsafe-member-access, @typescript-eslint/no-unsafe-argument, @typescript-eslint/no-unsafe-return --
   these two run in the browser */
async function useMQTTjs({ url, version, login }: Way): Promise<string[]> {
  const old = version === 3 ? { protocolId: "MQIsdp" } : {};
  const options = { ...login, protocolVersion: version, reconnectPeriod: 0, ...old };
  const client = await (window as any).mqtt.connectAsync(url, options, false);
  const topic = `lib/${Math.random()}`;
  const got: string[] = [];
  let arrived = (): void => undefined;
  client.on("message", (_: string, payload: Uint8Array, { retain }: { retain: boolean }) => {
    got.push((retain ? "retained " : "") + new TextDecoder().decode(payload));
    arrived();
  });
  const until = (n: number) =>
    new Promise<void>((resolve) => {
      arrived = () => {
        if (got.length >= n) resolve();
      };
      arrived();
    });
  await client.subscribeAsync(`${topic}/+`, { qos: 2 });
  for (const [qos, text] of ["zero", "one", "two"].entries()) await client.publishAsync(`${topic}/a`, text, { qos });
  await until(3);
  await client.publishAsync(`${topic}/kept/x`, "kept", { qos: 1, retain: true });
  await client.subscribeAsync(`${topic}/kept/x`, { qos: 1 });
  await until(4);
  await client.endAsync();
  return got;
}

async function usePaho({ url, version, login }: Way): Promise<string[]> {
  const { Client, Message } = (window as any).Paho;
  const client = new Client(url, `paho-${Math.random()}`);
  const topic = `lib/${Math.random()}`;
  const got: string[] = [];
  let arrived = (): void => undefined;
  client.onMessageArrived = (m: any) => {
    got.push(`${m.retained ? "retained " : ""}${m.payloadString}`);
    arrived();
  };
  const until = (n: number) =>
    new Promise<void>((resolve) => {
      arrived = () => {
        if (got.length >= n) resolve();
      };
      arrived();
    });
  const ask = (call: (o: object) => void) =>
    new Promise((onSuccess, onFailure) =>
      call({ onSuccess, onFailure: (e: any) => onFailure(new Error(e.errorMessage)) }),
    );
  const user = login ? { userName: login.username, password: login.password } : {};
  await ask((o) => client.connect({ ...o, ...user, mqttVersion: version, timeout: 10 }));
  await ask((o) => client.subscribe(`${topic}/+`, { ...o, qos: 2 }));
  for (const [qos, text] of ["zero", "one", "two"].entries()) client.send(`${topic}/a`, text, qos);
  await until(3);
  const kept = new Message("kept");
  Object.assign(kept, { destinationName: `${topic}/kept/x`, qos: 1, retained: true });
  client.send(kept);
  await ask((o) => client.subscribe(`${topic}/kept/x`, { ...o, qos: 1 }));
  await until(4);
  client.disconnect();
  return got;
}
