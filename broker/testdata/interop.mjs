// One conversation of MQTT.js in Node: what it gets is printed, a word a line.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [modules, url, version, ca, cert, key] = process.argv.slice(2);
const mqtt = createRequire(`${modules}/`)("mqtt");
const files = url.startsWith("mqtts:") || url.startsWith("wss:") ? { ca, cert, key } : {};
const options = {
  clientId: `node-${version}`,
  protocolVersion: Number(version),
  ...(version === "3" ? { protocolId: "MQIsdp" } : {}),
  ...Object.fromEntries(Object.entries(files).map(([name, file]) => [name, readFileSync(file)])),
  reconnectPeriod: 0,
  connectTimeout: 10_000,
};
const limit = setTimeout(() => {
  console.error(`only came: ${got}`);
  process.exit(1);
}, 20_000);

const client = await mqtt.connectAsync(url, options, false);
const got = [];
let arrived = () => {};
client.on("message", (_, payload, { retain }) => {
  got.push(`${retain ? "retained " : ""}${payload}`);
  arrived();
});
const until = (n) =>
  new Promise((resolve) => {
    arrived = () => got.length >= n && resolve();
    arrived();
  });
await client.subscribeAsync("n/+", { qos: 2 });
for (const [qos, word] of ["zero", "one", "two"].entries()) await client.publishAsync("n/a", word, { qos });
await until(3);
await client.publishAsync("n/kept/x", "kept", { qos: 1, retain: true });
await client.subscribeAsync("n/kept/x", { qos: 1 });
await until(4);
await client.endAsync();
clearTimeout(limit);
console.log(got.join("\n"));
