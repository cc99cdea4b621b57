// The packets of one client while they go to and fro.
import { useEffect, useRef, useState } from "preact/hooks";
import { admin } from "../admin-api";
import type { Packet } from "../admin-types";
import { language, useText, type Messages } from "../i18n";
import { mayChange } from "../session";
import { bytes } from "../words";
import { CheckField } from "./field";
import { Told } from "./mark";

const kept = 500; // packets on the screen
const commitEvery = 250; // ms

interface Shown extends Packet {
  key: number;
}

interface Watch {
  packets: Shown[];
  dropped: number;
  running: boolean;
  ended: string; // why, when it has ended by itself
}

const idle: Watch = { packets: [], dropped: 0, running: false, ended: "" };

/** useTrace commits what the stream brings at most four times a second, the newest first. */
function useTrace(id: string, lost: string) {
  const [watch, set] = useState<Watch>(idle);
  const source = useRef<EventSource | undefined>(undefined);
  const pending = useRef<Shown[]>([]);
  const keys = useRef(0);
  const stop = (ended = ""): void => {
    source.current?.close();
    source.current = undefined;
    set((w) => ({ ...w, running: false, ended }));
  };
  useEffect(() => {
    const timer = window.setInterval(() => {
      if (pending.current.length === 0) return;
      const news = pending.current.reverse();
      pending.current = [];
      set((w) => ({ ...w, packets: [...news, ...w.packets].slice(0, kept) }));
    }, commitEvery);
    return () => {
      window.clearInterval(timer);
      source.current?.close();
    };
  }, []);
  const start = (payloads: boolean): void => {
    stop();
    set({ ...idle, running: true });
    const stream = admin.trace(id, payloads);
    source.current = stream;
    stream.addEventListener("packets", (e) => {
      const { items, dropped } = JSON.parse(String(e.data)) as { items: Packet[]; dropped: number };
      for (const packet of items) pending.current.push({ ...packet, key: keys.current++ });
      pending.current.splice(0, pending.current.length - kept);
      if (dropped > 0) set((w) => ({ ...w, dropped: w.dropped + dropped }));
    });
    stream.addEventListener("end", (e) => stop((JSON.parse(String(e.data)) as { cause: string }).cause));
    stream.onerror = () => stop(lost);
  };
  const clear = (): void => {
    pending.current = [];
    set((w) => ({ ...w, packets: [], dropped: 0 }));
  };
  return { watch, start, stop, clear };
}

export function Trace({ id }: { id: string }) {
  const t = useText();
  const [payloads, setPayloads] = useState(false);
  const { watch, start, stop, clear } = useTrace(id, t.clients.traceLost);
  return (
    <section class="card form-step" aria-labelledby="trace-title">
      <h2 id="trace-title">{t.clients.traceTitle}</h2>
      <p class="muted">{t.clients.traceText}</p>
      {mayChange.value && !watch.running && (
        <CheckField
          label={t.clients.tracePayloads}
          at="/payloads"
          value={payloads}
          set={setPayloads}
          testid="trace-payloads"
        />
      )}
      <div class="actions">
        {watch.running ? (
          <button type="button" class="button" data-testid="trace-stop" onClick={() => stop()}>
            {t.clients.traceStop}
          </button>
        ) : (
          <button type="button" class="button" data-testid="trace-start" onClick={() => start(payloads)}>
            {t.clients.traceStart}
          </button>
        )}
        {watch.packets.length > 0 && (
          <button type="button" class="button" onClick={clear}>
            {t.clients.traceClear}
          </button>
        )}
      </div>
      <div role="status">
        {watch.running && watch.packets.length === 0 && <p class="muted">{t.clients.traceWaiting}</p>}
        {watch.ended && <p class="note stale">{t.clients.traceEnded(watch.ended)}</p>}
        {watch.dropped > 0 && <p class="muted">{t.clients.traceDropped(watch.dropped)}</p>}
      </div>
      {watch.packets.length > 0 && (
        <div class="packets" tabIndex={0} role="group" aria-label={t.clients.traceTable}>
          <ul class="plain" data-testid="packets">
            {watch.packets.map((p) => (
              <li key={p.key} data-type={p.type ?? "closed"}>
                <time dateTime={p.time}>{timeOf(p.time)}</time>
                <span>{t.clients.direction[p.direction]}</span>
                <span class="words">
                  <strong>{p.type}</strong> {describe(p, t)}
                  {p.error && <Told text={p.error} />}
                  {typeof p.payload === "string" && p.payload !== "" && <code> {p.payload}</code>}
                </span>
              </li>
            ))}
          </ul>
        </div>
      )}
    </section>
  );
}

function timeOf(time: string): string {
  const d = new Date(time);
  return `${d.toLocaleTimeString(language.value)}.${String(d.getMilliseconds()).padStart(3, "0")}`;
}

/** describe tells what a packet carries, in the words of MQTT. */
function describe(p: Packet, t: Messages): string {
  const words: string[] = [];
  if (p.topic !== undefined) words.push(p.topic);
  if (p.qos !== undefined) words.push(t.clients.qos(p.qos));
  if (p.packet_id) words.push(`#${p.packet_id}`);
  if (p.retain) words.push("retain");
  if (p.dup) words.push("dup");
  if (p.payload_bytes !== undefined) words.push(bytes(p.payload_bytes));
  for (const f of p.filters ?? []) words.push(`${f.filter} (${t.clients.qos(f.qos)})`);
  for (const r of p.reasons ?? []) words.push(r.text);
  if (p.connect) words.push(`MQTT ${p.connect.protocol}`, p.connect.username ?? "");
  return words.filter(Boolean).join(", ");
}
