// What a test of a device or an uplink found, in words that say what to do.
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { ApiError } from "../api";
import { language, useText } from "../i18n";
import type { TestResult } from "../types";
import { codeWord, scalar } from "../words";
import { Icon } from "./icon";
import { Told } from "./mark";

export type TestState = { step: "idle" } | { step: "running" } | { step: "done"; result: TestResult };

/** failedTest is the result of a test that the gateway refused for a reason that lies in no field. */
export function failedTest(error: unknown): TestResult | undefined {
  if (!(error instanceof ApiError) || error.status !== 422 || error.faults.length > 0) return undefined;
  return { ok: false, ms: 0, error: error.detail, code: error.code, readings: [] };
}

export function TestOutcome({ state }: { state: TestState }) {
  const ref = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (state.step !== "idle") ref.current?.scrollIntoView({ block: "nearest" });
  }, [state.step]);
  return (
    <div ref={ref} aria-live="polite" data-testid="test-result" data-step={state.step}>
      <Outcome state={state} />
    </div>
  );
}

function Outcome({ state }: { state: TestState }) {
  const t = useText();
  if (state.step === "idle") return null;
  if (state.step === "running") return <p class="muted">{t.testing}</p>;
  const { result } = state;
  const readings = result.readings ?? [];
  if (!result.ok) {
    return (
      <Note tone="bad" title={t.outcome.failed}>
        {language.value !== "en" && result.code && <p>{codeWord(result.code, t)}</p>}
        {result.error && (
          <p>
            <Told text={result.error} />
          </p>
        )}
        <Readings result={result} />
      </Note>
    );
  }
  const whole = readings.every((r) => r.quality === "good");
  const title =
    readings.length === 0 ? t.outcome.okLink(result.ms) : whole ? t.outcome.ok(result.ms) : t.outcome.partly(result.ms);
  return (
    <Note tone={whole ? "good" : "stale"} title={title}>
      <Readings result={result} />
    </Note>
  );
}

function Readings({ result }: { result: TestResult }) {
  const t = useText();
  if (!result.readings?.length) return null;
  return (
    <ul class="readings">
      {result.readings.map((r) => (
        <li key={`${r.device}/${r.point}`}>
          <span>{r.point}</span>
          {r.quality === "good" ? (
            <strong data-testid={`reading-${r.device}-${r.point}`}>
              {scalar(r.value, t)} {r.unit}
            </strong>
          ) : (
            <span class="wrong">
              <Icon name="bad" />
              {codeWord(r.error, t)}
            </span>
          )}
        </li>
      ))}
    </ul>
  );
}

function Note(p: { tone: "good" | "stale" | "bad"; title: string; children: ComponentChildren }) {
  return (
    <div class={`note ${p.tone}`}>
      <Icon name={p.tone} />
      <div>
        <p class="note-title">{p.title}</p>
        {p.children}
      </div>
    </div>
  );
}
