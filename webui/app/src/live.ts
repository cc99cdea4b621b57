// What the gateway says while the page is open: one event stream a tab, closed
// while the tab is hidden, committed to the screen at most four times a second.
import { batch, signal, type Signal } from "@preact/signals";
import { api, ApiError, type Events } from "./api";
import type { Alarm, Status, Value } from "./types";

const commitEvery = 250; // ms
const quietAfter = 35_000; // ms without an event until the stream counts as dead: the gateway beats every 15 s
const patience = 1500; // ms before the page says that it is not live
const longestWait = 30_000; // ms between two attempts to connect

/** The live picture. Its maps are replaced when something comes or goes; a value's own signal changes in place. */
export class Picture {
  readonly values = signal<ReadonlyMap<string, Signal<Value>>>(new Map());
  readonly bridges = signal<ReadonlyMap<string, Status>>(new Map());
  readonly uplinks = signal<ReadonlyMap<string, Status>>(new Map());
  readonly alarms = signal<Alarm[]>([]);

  /** apply takes events over: values as changes (all of them when allValues), everything else whole. */
  apply(events: Partial<Events>, allValues: boolean): void {
    batch(() => {
      if (events.values) this.mergeValues(events.values, allValues);
      if (events.bridges) this.bridges.value = byId(events.bridges);
      if (events.uplinks) this.uplinks.value = byId(events.uplinks);
      if (events.alarms) this.alarms.value = events.alarms;
    });
  }

  private mergeValues(items: Value[], all: boolean): void {
    const old = this.values.peek();
    const next = new Map(all ? [] : old);
    for (const v of items) {
      const key = valueKey(v.device, v.point);
      const known = old.get(key);
      if (known) {
        known.value = v;
        next.set(key, known);
      } else {
        next.set(key, signal(v));
      }
    }
    const same = next.size === old.size && [...next.keys()].every((key) => old.has(key));
    if (!same) this.values.value = next;
  }
}

export function valueKey(device: string, point: string): string {
  return `${device}/${point}`;
}

function byId(items: Status[]): ReadonlyMap<string, Status> {
  return new Map(items.map((s) => [s.id, s]));
}

/** waitBefore gives the milliseconds before the attempt with that number (0 is the first), jitter within [0, 1). */
export function waitBefore(attempt: number, jitter: number): number {
  const whole = Math.min(longestWait, 1000 * 2 ** attempt);
  return whole / 2 + (whole / 2) * jitter;
}

/** Stream keeps a Picture. start and stop may be called in any order, any number of times. */
export class Stream {
  readonly picture = new Picture();
  readonly lost = signal(false); // the banner "not live"

  private wanted = false;
  private source: EventSource | undefined;
  private attempt = 0;
  private retry: number | undefined;
  private commit: number | undefined;
  private watch: number | undefined;
  private lostSoon: number | undefined;
  private pending: Partial<Events> = {};
  private allValues = false; // the pending values are all that there are
  private lastCommit = 0;
  private lastEvent = 0;

  start(): void {
    this.wanted = true;
    if (!this.source && !document.hidden) this.open();
  }

  stop(): void {
    this.wanted = false;
    this.close();
    this.found();
  }

  /** visibility closes the stream of a hidden tab and opens it again. */
  visibility(): void {
    if (!this.wanted) return;
    if (document.hidden) {
      this.close();
    } else {
      this.attempt = 0;
      this.start();
    }
  }

  retryNow(): void {
    if (!this.wanted || document.hidden) return;
    this.attempt = 0;
    this.close();
    this.open();
  }

  private open(): void {
    const source = api.events();
    this.source = source;
    this.lastEvent = Date.now();
    let first = true;
    source.addEventListener("values", (e) => {
      const { items, all } = JSON.parse(String(e.data)) as { items: Value[]; all?: boolean };
      const whole = first || all === true; // points came or went: what is not among them is gone
      this.allValues ||= whole;
      this.take({ values: whole ? items : [...(this.pending.values ?? []), ...items] });
      first = false;
    });
    for (const kind of ["bridges", "uplinks", "alarms"] as const) {
      source.addEventListener(kind, (e) => {
        const { items } = JSON.parse(String(e.data)) as { items: Status[] & Alarm[] };
        this.take({ [kind]: items });
      });
    }
    for (const kind of ["beat", "jobs", "log"]) source.addEventListener(kind, () => this.heard());
    source.onerror = () => this.failed();
    this.watch = window.setInterval(() => this.check(), 5000);
  }

  private close(): void {
    this.source?.close();
    this.source = undefined;
    window.clearTimeout(this.retry);
    window.clearTimeout(this.commit);
    window.clearInterval(this.watch);
    this.commit = undefined;
    this.pending = {};
    this.allValues = false;
  }

  private heard(): void {
    this.lastEvent = Date.now();
    this.attempt = 0;
    this.found();
  }

  private take(events: Partial<Events>): void {
    this.heard();
    this.pending = { ...this.pending, ...events };
    this.commit ??= window.setTimeout(() => this.flush(), Math.max(0, this.lastCommit + commitEvery - Date.now()));
  }

  private flush(): void {
    this.commit = undefined;
    this.lastCommit = Date.now();
    const { pending, allValues } = this;
    this.pending = {};
    this.allValues = false;
    this.picture.apply(pending, allValues);
  }

  private found(): void {
    window.clearTimeout(this.lostSoon);
    this.lostSoon = undefined;
    this.lost.value = false;
  }

  private failed(): void {
    this.close();
    this.lostSoon ??= window.setTimeout(() => (this.lost.value = true), patience);
    const wait = waitBefore(this.attempt++, Math.random());
    this.retry = window.setTimeout(() => void this.reopen(), wait);
  }

  private async reopen(): Promise<void> {
    try {
      await api.system(); // EventSource hides the status; this call sees the end of a session
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) this.failed();
      return;
    }
    if (this.wanted && !document.hidden && !this.source) this.open();
  }

  // A cable that was pulled, or a router that forgot, ends no connection, and calls may go through while the stream
  // is dead: only its own silence tells.
  private check(): void {
    if (this.source && Date.now() - this.lastEvent >= quietAfter) this.failed();
  }
}

export const live = new Stream();

/** The present, to the second, by this machine's clock; drives the ages. */
export const now = signal(Date.now());

/** watchTab keeps the clock and the stream in step with the tab's visibility. */
export function watchTab(): void {
  window.setInterval(() => {
    if (!document.hidden) now.value = Date.now();
  }, 1000);
  document.addEventListener("visibilitychange", () => {
    now.value = Date.now();
    live.visibility();
  });
  window.addEventListener("online", () => live.retryNow());
}
