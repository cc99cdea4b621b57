// What the gateway says while the page is open: one event stream a tab, closed
// while the tab is hidden, committed to the screen at most four times a second.
import { batch, signal, type Signal } from "@preact/signals";
import { api, ApiError, type Events } from "./api";
import type { Alarm, Status, Value } from "./types";

const commitEvery = 250; // ms
const quietAfter = 20_000; // ms without an event until we ask whether the gateway is still there
const longestWait = 30_000; // ms between two attempts to connect

/** The live picture. Its maps are replaced when something comes or goes; a value's own signal changes in place. */
export class Picture {
  readonly values = signal<ReadonlyMap<string, Signal<Value>>>(new Map());
  readonly bridges = signal<ReadonlyMap<string, Status>>(new Map());
  readonly uplinks = signal<ReadonlyMap<string, Status>>(new Map());
  readonly alarms = signal<Alarm[]>([]);
  readonly complete = signal(false); // the first of each kind of event has come

  /** apply merges events; fresh names the kinds whose event is the first of a connection and so holds all. */
  apply(events: Partial<Events>, fresh: ReadonlySet<keyof Events>): void {
    batch(() => {
      if (events.values) this.mergeValues(events.values, fresh.has("values"));
      if (events.bridges) this.bridges.value = mergeById(this.bridges.peek(), events.bridges, fresh.has("bridges"));
      if (events.uplinks) this.uplinks.value = mergeById(this.uplinks.peek(), events.uplinks, fresh.has("uplinks"));
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

  /** forget drops a part that was removed, before the gateway's next full event says so. */
  forget(kind: "bridges" | "uplinks", id: string): void {
    const next = new Map(this[kind].peek());
    next.delete(id);
    this[kind].value = next;
  }
}

export function valueKey(device: string, point: string): string {
  return `${device}/${point}`;
}

function mergeById(old: ReadonlyMap<string, Status>, items: Status[], all: boolean): ReadonlyMap<string, Status> {
  const next = new Map(all ? [] : old);
  for (const s of items) next.set(s.id, { ...next.get(s.id), ...s });
  return next;
}

/** waitBefore gives the milliseconds before the attempt with that number (0 is the first), jitter within [0, 1). */
export function waitBefore(attempt: number, jitter: number): number {
  const whole = Math.min(longestWait, 1000 * 2 ** attempt);
  return whole / 2 + (whole / 2) * jitter;
}

const kinds: (keyof Events)[] = ["values", "bridges", "uplinks", "alarms"];

/** The stream that keeps a Picture. start and stop may be called in any order, any number of times. */
class Stream {
  readonly picture = new Picture();
  readonly lost = signal(false); // the banner "not live"

  private wanted = false;
  private source: EventSource | undefined;
  private attempt = 0;
  private retry: number | undefined;
  private commit: number | undefined;
  private watch: number | undefined;
  private pending: Partial<Events> = {};
  private fresh = new Set<keyof Events>();
  private lastCommit = 0;
  private lastEvent = 0;

  start(): void {
    this.wanted = true;
    if (!this.source && !document.hidden) this.open();
  }

  stop(): void {
    this.wanted = false;
    this.close();
    this.lost.value = false;
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

  /** again drops the connection and asks for everything anew, after a change that this tab made itself. */
  again(): void {
    if (!this.wanted || document.hidden) return;
    this.close();
    this.open();
  }

  retryNow(): void {
    this.attempt = 0;
    this.again();
  }

  private open(): void {
    const source = api.events();
    const first = new Set(kinds);
    this.source = source;
    this.lastEvent = Date.now();
    for (const kind of kinds) {
      source.addEventListener(kind, (e) => this.take(kind, String(e.data), first));
    }
    source.onerror = () => this.failed();
    this.watch = window.setInterval(() => void this.check(), 5000);
  }

  private close(): void {
    this.source?.close();
    this.source = undefined;
    window.clearTimeout(this.retry);
    window.clearTimeout(this.commit);
    window.clearInterval(this.watch);
    this.commit = undefined;
    this.pending = {};
    this.fresh.clear();
  }

  private take(kind: keyof Events, text: string, first: Set<keyof Events>): void {
    this.lastEvent = Date.now();
    this.attempt = 0;
    this.lost.value = false;
    const { items } = JSON.parse(text) as { items: Value[] & Status[] & Alarm[] };
    if (first.delete(kind)) {
      this.fresh.add(kind);
      this.pending[kind] = items;
    } else if (kind === "alarms") {
      this.pending.alarms = items;
    } else {
      this.pending[kind] = [...(this.pending[kind] ?? []), ...items] as Value[] & Status[];
    }
    if (first.size === 0) this.picture.complete.value = true;
    this.commit ??= window.setTimeout(() => this.flush(), Math.max(0, this.lastCommit + commitEvery - Date.now()));
  }

  private flush(): void {
    this.commit = undefined;
    this.lastCommit = Date.now();
    const { pending, fresh } = this;
    this.pending = {};
    this.fresh = new Set();
    this.picture.apply(pending, fresh);
  }

  private failed(): void {
    this.close();
    this.lost.value = true;
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

  // A cable that was pulled ends no connection: when all is quiet, ask.
  private async check(): Promise<void> {
    const source = this.source;
    if (!source || Date.now() - this.lastEvent < quietAfter) return;
    try {
      await api.system();
      this.lastEvent = Date.now();
    } catch {
      if (this.source === source) this.failed();
    }
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
