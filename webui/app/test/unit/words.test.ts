import { describe, expect, it } from "vitest";
import { ApiError, problem } from "../../src/api";
import { catalogues, fromBrowser } from "../../src/i18n";
import { en } from "../../src/i18n/en";
import { zh } from "../../src/i18n/zh";
import { health } from "../../src/model/health";
import type { Alarm, Device, State, Uplink } from "../../src/types";
import { age, bytes, callText, faultText, scalar } from "../../src/words";

// The compiler asks for every key; here the words themselves are looked at.
describe("the catalogues", () => {
  const flat = (o: object, at = ""): [string, unknown][] =>
    Object.entries(o).flatMap(([k, v]): [string, unknown][] =>
      typeof v === "object" && v !== null ? flat(v as object, `${at}${k}.`) : [[at + k, v]],
    );
  const english = new Map(flat(en));

  it("have the same keys with the same kinds of words", () => {
    for (const c of Object.values(catalogues)) {
      const kinds = flat(c).map(([k, v]) => `${k}: ${typeof v}`);
      expect(kinds.sort()).toEqual(
        flat(en)
          .map(([k, v]) => `${k}: ${typeof v}`)
          .sort(),
      );
    }
  });

  it("leave nothing empty, and nothing English in Chinese", () => {
    const same = new Set(["wire.kinds.modbus", "parts.mqtt", "topics.views.json", "home.tab"]);
    for (const [key, text] of flat(zh)) {
      if (typeof text !== "string") continue;
      expect(text.trim(), key).not.toBe("");
      if (!same.has(key)) expect(text, key).not.toBe(english.get(key));
    }
  });

  it("fill in what they are given", () => {
    for (const c of Object.values(catalogues)) {
      expect(c.devices.deleteTitle("main-meter")).toContain("main-meter");
      expect(c.own.out_of_range(1, 247)).toMatch(/1.*247/);
      expect(c.control.done("21.5 °C", 38)).toMatch(/21\.5 °C.*38/);
    }
  });
});

it.each([
  [["zh-TW", "en"], "zh-CN"],
  [["de", "en-GB", "zh"], "en"],
  [["de"], "en"],
  [[], "en"],
])("speaks to a browser of %j in %s", (wanted, language) => expect(fromBrowser(wanted)).toBe(language));

it.each([
  [-500, "now"],
  [999, "now"],
  [1000, "1 s"],
  [99_000, "99 s"],
  [120_000, "2 min"],
  [3 * 3600_000, "3 h"],
  [24 * 3600_000 * 3, "3 days"],
])("%i ms is %s", (ms, text) => expect(age(ms, en)).toBe(text));

it.each([
  [230.10000000000002, "230.1"],
  [9007199254740991, "9007199254740991"],
  [9007199254740993, "≈ 9007199254740992"], // the browser rounded it, and nobody shall take its digits for exact
  [0, "0"],
  [true, "On"],
  [false, "Off"],
  [null, "–"],
  ["12 kg", "12 kg"],
  [1234567.89, "1234568"],
  [-0.0000123, "-0.0000123"],
])("shows %j as %s", (v, text) => expect(scalar(v, en)).toBe(text));

it.each([
  [0, "0 B"],
  [999, "999 B"],
  [1500, "1.5 KB"],
  [3_200_000, "3.2 MB"],
  [12_345_678, "12 MB"],
])("%i is %s", (n, text) => expect(bytes(n)).toBe(text));

describe("faults", () => {
  it("of the gateway are sentences in English", () => {
    const f = { pointer: "/unit", code: "out_of_range", detail: "must be 1 to 247" };
    expect(faultText(f, en, true)).toBe("Must be 1 to 247.");
    expect(faultText(f, zh, false)).toBe("超出范围 (must be 1 to 247)");
  });

  it("of the page are in the person's language", () => {
    const f = { pointer: "/unit", code: "out_of_range", detail: "", range: [0, 255] as [number, number] };
    expect(faultText(f, zh, false)).toBe("必须在 0 至 255 之间。");
  });

  it("of an unknown code show the code", () => {
    expect(faultText({ pointer: "", code: "odd_thing", detail: "" }, en, true)).toBe("odd thing");
  });
});

describe("a failed call", () => {
  it("reads problem+json", () => {
    const p = problem(422, {
      code: "invalid",
      detail: "2 fields are wrong",
      errors: [{ pointer: "/a" }, { detail: "b" }],
    });
    expect(p.faults).toEqual([
      { pointer: "/a", code: "invalid", detail: "" },
      { pointer: "", code: "invalid", detail: "b" },
    ]);
    expect(callText(p, en, true)).toBe("2 fields are wrong.");
  });

  it.each([undefined, null, "<html>", 5, { errors: "x" }])("survives the body %j", (body) => {
    expect(callText(problem(502, body), en, true)).toBe("It did not work (502).");
  });

  it("without an answer says what to check", () => {
    expect(callText(new ApiError(0, "unreachable", ""), en, true)).toContain("network");
  });
});

describe("health", () => {
  const device = (state: State): Device => ({ id: "d", status: { state, since: "", reason: "" } });
  const uplink = (state: State): Uplink => ({
    id: "u",
    url: "",
    status: { id: "u", kind: "uplink", state, since: "", reason: "" },
  });
  const alarm: Alarm = { part: "spool", code: "internal", message: "m", since: "" };
  const rows: [name: string, Device[], Uplink[], Alarm[], tone: string, words: string][] = [
    ["nothing set up", [], [], [], "waiting", "Nothing is set up yet."],
    ["all well", [device("online")], [uplink("connected")], [], "good", "All is well."],
    ["a sick device", [device("online"), device("offline")], [], [], "bad", "1 device does not answer properly."],
    ["a cut uplink", [device("online")], [uplink("disconnected")], [], "stale", "1 uplink is not connected."],
    ["an alarm", [device("online")], [], [alarm], "bad", "1 thing needs you."],
    ["all paused", [device("disabled")], [uplink("disabled")], [], "waiting", "Waiting for the first values…"],
  ];
  it.each(rows)("%s", (_, devices, uplinks, alarms, tone, words) => {
    expect(health(devices, uplinks, alarms, en)).toMatchObject({ tone, words });
  });
});
