// What goes over a wire, as it goes: decoded frames of a bridge's monitor.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { api } from "../api";
import { language, useText, type Messages } from "../i18n";
import { copyText } from "../parts/copy";
import { Icon } from "../parts/icon";
import { Empty } from "../parts/load";
import { Page } from "../parts/page";
import { saveText } from "../parts/save-text";
import { tell } from "../parts/toast";
import { href } from "../router";
import type { Frame, Frames } from "../tool-types";
import { codeWord, wordOf } from "../words";

const kept = 500; // frames on the screen; older ones go
const commitEvery = 250; // ms
const reconnectAfter = 2000; // ms

interface Row extends Frame {
  key: number;
}

/** FramesScreen shows the frames of a wire; a pause keeps the picture while the wire goes on. */
export function FramesScreen({ id }: { id: string }) {
  const t = useText();
  const [paused, setPaused] = useState(false);
  const [unit, setUnit] = useState("");
  const [faulty, setFaulty] = useState(false);
  const { rows, dropped, lost, clear } = useFrames(id, paused);
  const units = [...new Set(rows.map((r) => r.unit))].sort((a, b) => a - b);
  const shown = rows.filter((r) => (unit === "" || r.unit === Number(unit)) && (!faulty || isFaulty(r)));

  const copy = async (): Promise<void> => {
    const text = shown.map(asText).join("\n");
    if (await copyText(text)) tell(t.field.copied);
    else saveText(`${id}-frames.txt`, text);
  };

  return (
    <Page title={t.field.framesTitle(id)} back={href("wires", id)}>
      <p class="muted">{t.field.framesText}</p>
      <div class="actions frames-bar">
        <button
          type="button"
          class="button"
          aria-pressed={paused}
          onClick={() => setPaused(!paused)}
          data-testid="frames-pause"
        >
          <Icon name={paused ? "play" : "pause"} />
          {paused ? t.resume : t.pause}
        </button>
        <button type="button" class="button" onClick={() => void copy()} data-testid="frames-copy">
          <Icon name="copy" />
          {t.field.copyFrames}
        </button>
        <button type="button" class="button" onClick={clear} data-testid="frames-clear">
          {t.field.clearFrames}
        </button>
        <label class="inline">
          {t.field.onlyUnit}
          <select value={unit} onChange={(e) => setUnit(e.currentTarget.value)} data-testid="frames-unit">
            <option value="">{t.field.allUnits}</option>
            {units.map((u) => (
              <option key={u} value={String(u)}>
                {u}
              </option>
            ))}
          </select>
        </label>
        <label class="inline">
          <input
            type="checkbox"
            checked={faulty}
            onChange={(e) => setFaulty(e.currentTarget.checked)}
            data-testid="frames-faulty"
          />
          {t.field.onlyFaulty}
        </label>
      </div>
      {lost && (
        <p class="note stale" role="status">
          {t.field.framesLost}
        </p>
      )}
      {dropped > 0 && <p class="note stale">{t.field.framesDropped(dropped)}</p>}
      {shown.length === 0 ? (
        <Empty icon="cable" title={t.field.noFrames} />
      ) : (
        <ol class="frames" aria-label={t.field.framesTitle(id)} data-testid="frames" data-count={shown.length}>
          {shown.map((r) => (
            <FrameRow key={r.key} frame={r} />
          ))}
        </ol>
      )}
    </Page>
  );
}

/** useFrames keeps the newest frames, the newest first; while paused it keeps what there is. */
function useFrames(id: string, paused: boolean) {
  const [state, set] = useState<{ rows: Row[]; dropped: number }>({ rows: [], dropped: 0 });
  const [lost, setLost] = useState(false);
  const stop = useRef(paused);
  stop.current = paused;
  useEffect(() => {
    let next = 0;
    let waiting: Row[] = [];
    let missed = 0;
    let commit: number | undefined;
    let retry: number | undefined;
    let source: EventSource | undefined;
    const flush = (): void => {
      commit = undefined;
      const rows = waiting;
      const more = missed;
      waiting = [];
      missed = 0;
      set((s) => ({ rows: [...rows.reverse(), ...s.rows].slice(0, kept), dropped: s.dropped + more }));
    };
    const open = (): void => {
      source = api.frames(id);
      source.onopen = () => setLost(false);
      source.addEventListener("frames", (e) => {
        if (stop.current) return;
        const { items, dropped } = JSON.parse(String(e.data)) as Frames;
        waiting = [...waiting, ...(items ?? []).map((f) => ({ ...f, key: next++ }))].slice(-kept);
        missed += dropped;
        commit ??= window.setTimeout(flush, commitEvery);
      });
      source.onerror = () => {
        source?.close();
        setLost(true);
        retry = window.setTimeout(open, reconnectAfter);
      };
    };
    open();
    return () => {
      source?.close();
      window.clearTimeout(commit);
      window.clearTimeout(retry);
    };
  }, [id]);
  return { ...state, lost, clear: () => set({ rows: [], dropped: 0 }) };
}

function isFaulty(f: Frame): boolean {
  return f.problem !== "" || f.exception > 0;
}

/** FrameRow is drawn once: the hundreds that stand there already cost nothing when more come. */
function FrameRow({ frame }: { frame: Frame }) {
  const t = useText();
  return useMemo(() => drawn(frame, t), [frame, t]);
}

function drawn(f: Frame, t: Messages) {
  const bad = isFaulty(f);
  return (
    <li
      class={bad ? "wire-frame bad" : `wire-frame ${f.direction}`}
      data-testid="frame"
      data-problem={f.problem}
      data-unit={f.unit}
    >
      <p class="frame-head">
        <time dateTime={f.time}>{clock(f.time)}</time>
        <span class="frame-direction">
          <span aria-hidden="true">{f.direction === "request" ? "→" : f.direction === "answer" ? "←" : "·"} </span>
          {t.field.directions[f.direction]}
        </span>
        {f.unit > 0 || f.function > 0 ? <span>{t.devices.unit(f.unit)}</span> : null}
        <span>{meaning(f, t)}</span>
        {f.direction === "answer" && f.ms > 0 && <span class="muted">{Math.round(f.ms * 10) / 10} ms</span>}
      </p>
      {bad && (
        <p class="wrong">
          <Icon name="bad" />
          {fault(f, t)}
        </p>
      )}
      <code class="frame-bytes">{content(f)}</code>
      {!bad && f.words !== "" && <p class="muted frame-values">= {f.words}</p>}
      {(f.values ?? []).length > 0 && <p class="muted frame-values">= {(f.values ?? []).join(" ")}</p>}
    </li>
  );
}

function meaning(f: Frame, t: Messages): string {
  if (f.function === 0) return "";
  const name = wordOf(t.field.functions, String(f.function)) ?? f.name;
  return f.quantity > 0 ? `${name}, ${t.field.from(f.address, f.quantity)}` : name;
}

function fault(f: Frame, t: Messages): string {
  const what =
    f.problem !== "" ? (wordOf(t.field.problems, f.problem) ?? f.problem) : codeWord(`exception_${f.exception}`, t);
  return language.value === "en" && f.words !== "" ? f.words : what;
}

function clock(time: string): string {
  const d = new Date(time);
  const two = (n: number, digits = 2): string => String(n).padStart(digits, "0");
  return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}.${two(d.getMilliseconds(), 3)}`;
}

/** content is the text of a line device's frame, or the bytes. */
function content(f: Frame): string {
  return f.text !== undefined && f.text !== "" ? f.text : spaced(f.hex);
}

function spaced(hex: string): string {
  return hex.replace(/(..)(?=.)/g, "$1 ");
}

function asText(f: Frame): string {
  const head = [f.time, f.direction, f.unit, f.name, f.quantity > 0 ? `${f.address}+${f.quantity}` : ""];
  return [...head, content(f), f.problem, f.words].filter((x) => x !== "").join("\t");
}
