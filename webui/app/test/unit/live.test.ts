import { describe, expect, it } from "vitest";
import { Picture, valueKey, waitBefore } from "../../src/live";
import type { Status, Value } from "../../src/types";

const value = (point: string, v: number): Value => ({
  device: "meter",
  point,
  value: v,
  unit: "V",
  quality: "good",
  error: "",
  time: "2026-11-22T10:00:00Z",
  writable: false,
});
const status = (id: string): Status => ({
  id,
  kind: "modbus",
  state: "online",
  since: "2026-11-22T10:00:00Z",
  reason: "",
});
const read = (p: Picture, point: string) => p.values.value.get(valueKey("meter", point))?.value.value;

describe("Picture", () => {
  it("changes a value in place, so that only its row is drawn again", () => {
    const p = new Picture();
    p.apply({ values: [value("a", 1), value("b", 2)] }, true);
    const map = p.values.value;
    p.apply({ values: [value("a", 3)] }, false);
    expect(p.values.value).toBe(map);
    expect([read(p, "a"), read(p, "b")]).toEqual([3, 2]);
  });

  it("adds a value that is new", () => {
    const p = new Picture();
    p.apply({ values: [value("a", 1)] }, true);
    p.apply({ values: [value("b", 2)] }, false);
    expect([read(p, "a"), read(p, "b")]).toEqual([1, 2]);
  });

  it("takes the last of two changes of one value", () => {
    const p = new Picture();
    p.apply({ values: [value("a", 1), value("a", 2)] }, false);
    expect(read(p, "a")).toBe(2);
  });

  it("drops what a full event does not hold", () => {
    const p = new Picture();
    p.apply({ values: [value("a", 1), value("b", 2)] }, true);
    p.apply({ values: [value("b", 3)] }, true);
    expect([read(p, "a"), read(p, "b")]).toEqual([undefined, 3]);
  });

  it("replaces bridges, uplinks and alarms whole", () => {
    const p = new Picture();
    p.apply({ bridges: [status("x"), status("y")], uplinks: [status("u")] }, true);
    p.apply({ bridges: [status("y")], alarms: [] }, false);
    expect([...p.bridges.value.keys()]).toEqual(["y"]);
    expect([...p.uplinks.value.keys()]).toEqual(["u"]);
  });
});

describe("waitBefore", () => {
  it.each([
    [0, 0, 500],
    [0, 1, 1000],
    [3, 0.5, 6000],
    [9, 0, 15_000],
    [50, 1, 30_000],
  ])("attempt %i with jitter %d waits %i ms", (attempt, jitter, ms) => expect(waitBefore(attempt, jitter)).toBe(ms));
});
