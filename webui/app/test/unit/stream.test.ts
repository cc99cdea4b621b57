// The event stream of a tab when it goes quiet, and when points go.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Stream, valueKey } from "../../src/live";
import type { Value } from "../../src/types";

class FakeSource {
  static opened: FakeSource[] = [];
  onerror: (() => void) | null = null;
  closed = false;
  private readonly listeners = new Map<string, (e: { data: string }) => void>();

  constructor(readonly url: string) {
    FakeSource.opened.push(this);
  }

  addEventListener(name: string, f: (e: { data: string }) => void): void {
    this.listeners.set(name, f);
  }

  close(): void {
    this.closed = true;
  }

  tell(name: string, data: unknown): void {
    this.listeners.get(name)?.({ data: JSON.stringify(data) });
  }
}

const value = (point: string): Value => ({
  device: "meter",
  point,
  value: 1,
  unit: "V",
  quality: "good",
  error: "",
  time: "2026-11-22T10:00:00Z",
  writable: false,
});

let live: Stream;
const source = (): FakeSource => {
  const last = FakeSource.opened.at(-1);
  if (!last) throw new Error("no stream was opened");
  return last;
};
const points = (): string[] => [...live.picture.values.value.keys()];

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("window", globalThis);
  vi.stubGlobal("document", { hidden: false });
  vi.stubGlobal("EventSource", FakeSource);
  vi.stubGlobal("fetch", () => Promise.resolve(new Response("{}"))); // calls go through whatever the stream does
  FakeSource.opened = [];
  live = new Stream();
  live.start();
});

afterEach(() => {
  live.stop();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

describe("a stream that is silent", () => {
  it("counts as dead, though calls go through, and is opened again", async () => {
    const first = source();
    first.tell("values", { items: [value("power")], all: true });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(first.closed).toBe(true);
    expect(FakeSource.opened.length).toBeGreaterThan(1);
  });

  it("says so on the page until something comes", async () => {
    vi.stubGlobal("fetch", () => Promise.reject(new Error("gone")));
    source().tell("values", { items: [value("power")], all: true });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(live.lost.value).toBe(true);
  });

  it.each(["beat", "log", "jobs"])("lives while %s comes", async (name) => {
    for (let i = 0; i < 20; i++) {
      await vi.advanceTimersByTimeAsync(15_000);
      source().tell(name, {});
    }
    expect(FakeSource.opened).toHaveLength(1);
    expect(live.lost.value).toBe(false);
  });
});

describe("points that are gone", () => {
  it("go from the page, and those that stay keep their signal", async () => {
    source().tell("values", { items: [value("power"), value("old")], all: true });
    await vi.advanceTimersByTimeAsync(1000);
    expect(points()).toEqual([valueKey("meter", "power"), valueKey("meter", "old")]);
    const kept = live.picture.values.value.get(valueKey("meter", "power"));
    source().tell("values", { items: [value("power")] });
    source().tell("values", { items: [value("power"), value("new")], all: true });
    source().tell("values", { items: [value("new")] });
    await vi.advanceTimersByTimeAsync(1000);
    expect(points()).toEqual([valueKey("meter", "power"), valueKey("meter", "new")]);
    expect(live.picture.values.value.get(valueKey("meter", "power"))).toBe(kept);
  });
});
