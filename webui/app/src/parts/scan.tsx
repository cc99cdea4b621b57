// The search for devices on a wire: a job of the gateway whose results come one by one.
import { useEffect, useRef, useState } from "preact/hooks";
import { api, ApiError } from "../api";
import { language, useText, type Messages } from "../i18n";
import { Checks, type OwnFault } from "../model/check";
import { bauds, formats } from "../model/wire";
import type { Found, Job, Scan } from "../tool-types";
import type { Bridge } from "../types";
import { callText, codeWord, faultText } from "../words";
import { CheckField, Faults, SelectField, TextField } from "./field";
import { Icon } from "./icon";
import { Told } from "./mark";

const every = 500; // ms between two questions for what is new

interface Props {
  /** The saved wire, or what the form has of a new one; undefined when the form is not complete, which it then shows. */
  bridge: () => { saved: string } | { bridge: Bridge } | undefined;
  serial: boolean;
  pick: (found: Found) => void;
}

interface Progress {
  job: Job;
  found: Found[];
}

/** ScanField searches a wire and lets a person take one of the devices found. */
export function ScanField(p: Props) {
  const t = useText();
  const [from, setFrom] = useState("1");
  const [to, setTo] = useState("247");
  const [baud, setBaud] = useState("");
  const [format, setFormat] = useState("8N1");
  const [all, setAll] = useState(false);
  const [wait, setWait] = useState("");
  const [faults, setFaults] = useState<OwnFault[]>([]);
  const [state, setState] = useState<Progress>();
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const running = state?.job.state === "running";
  const id = running ? state.job.id : undefined;
  useJob(id, state?.found.length ?? 0, (job, more) =>
    setState((s) => (s?.job.id === job.id ? { job, found: [...s.found, ...more] } : s)),
  );
  useLeave(id);

  const ask = (): Scan | undefined => {
    const c = new Checks();
    const first = c.whole("/scan/from", from, [0, 255]);
    const last = c.whole("/scan/to", to, [first, 255]);
    const ms = c.optional("/scan/timeout", wait, [20, 5000]);
    setFaults([...c.faults]);
    if (c.faults.length > 0) return undefined;
    return {
      units: { from: first, to: last },
      ...(p.serial && baud !== "" && { formats: [{ baud: Number(baud), format }] }),
      ...(ms !== undefined && { timeout: `${ms}ms` }),
      ...(p.serial && all && { all_formats: true }),
    };
  };
  const begin = async (): Promise<void> => {
    const question = ask();
    const of = p.bridge();
    if (!question || !of) return;
    setBusy(true);
    setError(undefined);
    setState(undefined);
    try {
      const job =
        "saved" in of
          ? await api.scan(of.saved, question)
          : await api.scan(undefined, { ...question, bridge: of.bridge });
      setState({ job, found: job.results ?? [] });
    } catch (e) {
      setError(e);
    } finally {
      setBusy(false);
    }
  };
  const cancel = (): void => {
    if (id !== undefined) void api.cancel(id).catch(setError);
  };

  return (
    <Faults.Provider value={faults}>
      <div class="tool" data-testid="scan" data-state={state?.job.state ?? "idle"}>
        <p class="muted">{t.field.scanText}</p>
        <details>
          <summary>{t.field.scanMore}</summary>
          <div class="grid">
            <TextField
              label={t.field.unitFrom}
              at="/scan/from"
              value={from}
              set={setFrom}
              inputMode="numeric"
              testid="scan-from"
            />
            <TextField
              label={t.field.unitTo}
              at="/scan/to"
              value={to}
              set={setTo}
              inputMode="numeric"
              testid="scan-to"
            />
            {p.serial && (
              <SelectField
                label={t.wire.baud}
                at="/scan/baud"
                value={baud}
                set={setBaud}
                options={[{ value: "", label: t.field.usualSpeeds }, ...bauds.map((b) => ({ value: b, label: b }))]}
                testid="scan-baud"
              />
            )}
            {p.serial && baud !== "" && (
              <SelectField
                label={t.wire.format}
                at="/scan/format"
                value={format}
                set={setFormat}
                options={formats.map((f) => ({ value: f, label: f }))}
                testid="scan-format"
              />
            )}
            <TextField
              label={t.wire.timeout}
              hint={t.wire.timeoutHint}
              at="/scan/timeout"
              value={wait}
              set={setWait}
              inputMode="numeric"
              placeholder="250"
              testid="scan-timeout"
              optional
            />
          </div>
          {p.serial && (
            <CheckField
              label={t.field.allFormats}
              hint={t.field.allFormatsHint}
              at="/scan/all"
              value={all}
              set={setAll}
              testid="scan-all"
            />
          )}
        </details>
        <div class="actions">
          <button
            type="button"
            class="button"
            aria-disabled={busy || running}
            data-testid="scan-start"
            onClick={() => {
              if (!busy && !running) void begin();
            }}
          >
            {running ? t.field.scanning : t.field.scan}
          </button>
          {running && (
            <button type="button" class="button" onClick={cancel} data-testid="scan-cancel">
              {t.cancel}
            </button>
          )}
        </div>
        {state && <ProgressBar job={state.job} found={state.found.length} />}
        {error !== undefined && <p class="wrong">{scanError(error, t)}</p>}
        {state && <FoundList found={state.found} pick={p.pick} />}
      </div>
    </Faults.Provider>
  );
}

/** useJob asks for a running job's news until it has ended. */
function useJob(id: string | undefined, known: number, news: (job: Job, more: Found[]) => void): void {
  const latest = useRef({ known, news });
  latest.current = { known, news };
  useEffect(() => {
    if (id === undefined) return;
    let timer: number | undefined;
    let over = false;
    const look = async (): Promise<void> => {
      try {
        const job = await api.job(id, latest.current.known);
        if (over) return;
        latest.current.news(job, job.results ?? []);
      } catch (e) {
        if (over) return;
        if (e instanceof ApiError && e.status === 404) return;
      }
      timer = window.setTimeout(() => void look(), every);
    };
    timer = window.setTimeout(() => void look(), every);
    return () => {
      over = true;
      window.clearTimeout(timer);
    };
  }, [id]);
}

/** useLeave ends a job that nobody looks at any more: a search would hold the wire. */
function useLeave(id: string | undefined): void {
  const last = useRef(id);
  last.current = id;
  useEffect(
    () => () => {
      if (last.current !== undefined) void api.cancel(last.current).catch(() => undefined);
    },
    [],
  );
}

function scanError(error: unknown, t: Messages): string {
  const english = language.value === "en";
  if (error instanceof ApiError && error.faults.length > 0)
    return error.faults.map((f) => `${f.pointer.replace(/^\/bridge/, "")}: ${faultText(f, t, english)}`).join(" ");
  return callText(error, t, english);
}

function ProgressBar({ job, found }: { job: Job; found: number }) {
  const t = useText();
  const words = t.field.jobs[job.state](found);
  return (
    <div class="progress" data-testid="scan-progress">
      <progress
        max={Math.max(1, job.total)}
        value={job.state === "done" ? job.total || 1 : job.done}
        aria-label={t.field.scan}
      />
      <p role="status">
        {words} {job.state === "running" && <Told text={job.words} />}
      </p>
      {job.error !== "" && (
        <p class="wrong">
          {language.value !== "en" && job.code !== "" && `${codeWord(job.code, t)}: `}
          <Told text={job.error} />
        </p>
      )}
    </div>
  );
}

function FoundList({ found, pick }: { found: Found[]; pick: (f: Found) => void }) {
  const t = useText();
  return (
    <ul class="picks" data-testid="scan-found">
      {found.map((f, i) => (
        <li key={i} class="found" data-testid={`found-${f.unit}`}>
          <div class="choice-words">
            <span class="choice-label">
              {t.devices.unit(f.unit)} {[f.vendor, f.product, f.revision].filter(Boolean).join(" ")}
            </span>
            <span class="choice-text">
              {[
                f.baud > 0 ? `${f.baud} ${f.format}` : "",
                `${f.ms} ms`,
                f.certain ? "" : t.field.uncertain,
                f.exception > 0 ? codeWord(`exception_${f.exception}`, t) : "",
              ]
                .filter(Boolean)
                .join(" · ")}
            </span>
            {f.words && (
              <span class="choice-text">
                <Told text={f.words} />
              </span>
            )}
            {f.templates?.[0] && <span class="choice-text">{t.field.looksLike(f.templates[0])}</span>}
          </div>
          {f.certain && (
            <button type="button" class="button small" onClick={() => pick(f)} data-testid={`found-add-${f.unit}`}>
              <Icon name="plus" />
              {t.field.addThis}
            </button>
          )}
        </li>
      ))}
    </ul>
  );
}
