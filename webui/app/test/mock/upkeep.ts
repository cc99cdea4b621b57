// Tables of points, presets and Home Assistant of docs/api.md for the gateway in memory.
import type { HomeAssistant, ImportResult, Point, Preset, RowFault } from "../../src/types";

export const usualHome: HomeAssistant = { enabled: false, prefix: "homeassistant", node_id: "fieldgate" };

export const presets: Preset[] = [
  {
    id: "aws-iot-core",
    name: { en: "AWS IoT Core", zh: "AWS IoT Core" },
    advice: {
      en: "The client identifier must be one that the policy of the certificate allows.",
      zh: "客户端标识符须为证书策略所允许。",
    },
    fill: [
      { pointer: "/url", example: "mqtts://a1b2-ats.iot.eu-central-1.amazonaws.com:8883" },
      { pointer: "/client_id", example: "site-7" },
      { pointer: "/tls/cert_file", example: "/etc/fieldgate/aws.pem.crt" },
    ],
    settings: {
      version: 5,
      tls: { ca_file: "" },
      out: [{ filter: "fieldgate/#", qos: 1, local_prefix: "fieldgate/", remote_prefix: "site-7/" }],
      in: [{ filter: "site-7/+/+/set", qos: 1, remote_prefix: "site-7/", local_prefix: "fieldgate/" }],
    },
  },
  {
    id: "local-broker",
    name: { en: "A broker in the own network", zh: "本地网络中的服务器" },
    advice: { en: "Without TLS everybody in the network can read the password.", zh: "不使用 TLS 时密码可被读到。" },
    fill: [{ pointer: "/url", example: "mqtt://homeassistant.local:1883" }],
    settings: { version: 5, out: [{ filter: "fieldgate/#", qos: 1 }] },
  },
];

const columns = ["id", "table", "address", "type", "unit"] as const;

export function writeTable(points: Point[]): string {
  const rows = points.map((p) => columns.map((c) => String(p[c] ?? "")).join(","));
  return [columns.join(","), ...rows, ""].join("\r\n");
}

/** readTable knows the columns above; an address that is no number is its only fault. */
export function readTable(
  csv: string,
  before: Point[],
  replace: boolean,
  dry: boolean,
): { result: ImportResult; points: Point[] } {
  const [head = "", ...lines] = csv.split(/\r?\n/).filter((l) => l.trim() !== "");
  const names = head.split(/[,;]/);
  const errors: RowFault[] = [];
  const read = lines.map((line, i) => {
    const p = Object.fromEntries(
      line
        .split(/[,;]/)
        .map((cell, c) => [names[c] ?? "", cell])
        .filter(([, cell]) => cell !== ""),
    ) as unknown as Point;
    if (p.address !== undefined && !/^\d+$/.test(String(p.address)))
      errors.push({ row: i + 2, column: "address", code: "invalid", detail: "must be 0 to 65535" });
    return {
      ...before.find((b) => b.id === p.id),
      ...p,
      ...(p.address !== undefined && { address: Number(p.address) }),
    };
  });
  const known = (p: Point) => before.find((b) => b.id === p.id);
  const same = (p: Point) => JSON.stringify(known(p)) === JSON.stringify(p);
  const kept = before.filter((b) => !read.some((p) => p.id === b.id));
  const ids = (list: Point[]) => list.map((p) => p.id);
  const result: ImportResult = {
    ok: errors.length === 0,
    dry_run: dry,
    rows: lines.length,
    added: ids(read.filter((p) => !known(p))),
    changed: ids(read.filter((p) => known(p) && !same(p))),
    unchanged: ids([...read.filter(same), ...(replace ? [] : kept)]),
    removed: replace ? ids(kept) : [],
    errors,
  };
  return { result, points: replace ? read : [...read, ...kept] };
}
