// The state of the whole gateway, in one sentence.
import type { Messages } from "../i18n";
import type { Alarm, Device, Uplink } from "../types";

export interface Health {
  tone: "good" | "stale" | "bad" | "waiting";
  words: string;
  detail: string;
}

/** health puts the whole gateway into one sentence. */
export function health(devices: Device[], uplinks: Uplink[], alarms: Alarm[], t: Messages): Health {
  const sick = devices.filter((d) => ["offline", "degraded", "failed"].includes(d.status?.state ?? "")).length;
  const cut = uplinks.filter((u) =>
    ["disconnected", "connecting", "failed", "offline"].includes(u.status?.state ?? ""),
  ).length;
  const trouble = sick + cut > 0 ? t.overview.trouble(sick, cut) : "";
  if (alarms.length > 0) return { tone: "bad", words: t.overview.alarms(alarms.length), detail: trouble };
  if (trouble !== "") return { tone: sick > 0 ? "bad" : "stale", words: trouble, detail: "" };
  if (devices.length + uplinks.length === 0) return { tone: "waiting", words: t.overview.nothingYet, detail: "" };
  const good = devices.filter((d) => d.status?.state === "online").length;
  const connected = uplinks.filter((u) => u.status?.state === "connected" || u.status?.state === "online").length;
  if (good + connected === 0) return { tone: "waiting", words: t.overview.waiting, detail: "" };
  return { tone: "good", words: t.overview.healthy, detail: t.overview.healthyDetail(good, connected) };
}
