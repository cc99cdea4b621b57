// Writing a value to a device, with the result in words.
import { useId, useState } from "preact/hooks";
import { api } from "../api";
import { language, useText, type Messages } from "../i18n";
import { live, valueKey } from "../live";
import { bits } from "../model/device";
import { isTable } from "../model/address";
import { Checks } from "../model/check";
import type { Point, Scalar, WriteResult } from "../types";
import { callText, codeWord, faultText, scalar } from "../words";
import { Icon } from "./icon";

type Outcome = { ok: boolean; text: string } | undefined;

export function Control({ device, point }: { device: string; point: Point }) {
  const t = useText();
  const [busy, setBusy] = useState(false);
  const [outcome, setOutcome] = useState<Outcome>();

  const write = async (value: Scalar): Promise<void> => {
    setBusy(true);
    setOutcome(undefined);
    try {
      setOutcome(inWords(await api.write(device, point.id, value), value, point, t));
    } catch (error) {
      setOutcome({ ok: false, text: t.control.notDone(callText(error, t, language.value === "en")) });
    } finally {
      setBusy(false);
    }
  };

  const words = choices(point);
  const single = (isTable(point.table) && bits(point.table)) || point.type === "bool" || point.bit !== undefined;
  return (
    <div class="control">
      {words.length > 0 ? (
        <Choose device={device} point={point} words={words} busy={busy} write={write} />
      ) : single ? (
        <Switch device={device} point={point} busy={busy} write={write} />
      ) : (
        <Amount
          device={device}
          point={point}
          busy={busy}
          write={write}
          wrong={(text) => setOutcome({ ok: false, text })}
        />
      )}
      <div aria-live="polite" data-testid={`write-result-${device}-${point.id}`} data-ok={outcome?.ok}>
        {outcome && (
          <p class={outcome.ok ? "right" : "wrong"}>
            <Icon name={outcome.ok ? "good" : "bad"} />
            {outcome.text}
          </p>
        )}
      </div>
    </div>
  );
}

function inWords(r: WriteResult, sent: Scalar, point: Point, t: Messages): Outcome {
  if (r.ok) {
    const value = `${scalar(r.value ?? sent, t)} ${point.unit ?? ""}`.trim();
    return { ok: true, text: t.control.done(value, r.ms ?? 0) };
  }
  const code = r.code ? codeWord(r.code, t) : "";
  const detail = r.detail ?? "";
  const why = language.value === "en" ? detail || code : [code, detail && `(${detail})`].filter(Boolean).join(" ");
  return { ok: false, text: t.control.notDone(why) };
}

interface ControlProps {
  device: string;
  point: Point;
  busy: boolean;
  write: (value: Scalar) => Promise<void>;
}

/** choices are the words that a point takes: labels of its numbers, or those that a line device has a command for. */
function choices(point: Point): string[] {
  const commands = Object.keys(point.write?.values ?? {});
  if (commands.length > 0) return commands;
  return point.type === "bits" ? [] : Object.values(point.enum ?? {});
}

function Choose({ device, point, words, busy, write }: ControlProps & { words: string[] }) {
  const t = useText();
  const [chosen, choose] = useState(words[0] ?? "");
  const id = useId();
  const word: Scalar = chosen === "true" ? true : chosen === "false" ? false : chosen;
  return (
    <form
      class="amount"
      onSubmit={(e) => {
        e.preventDefault();
        if (!busy) void write(word);
      }}
    >
      <label class="hidden" for={id}>
        {t.control.newValue(point.id)}
      </label>
      <select
        id={id}
        value={chosen}
        data-testid={`write-${device}-${point.id}`}
        onChange={(e) => choose(e.currentTarget.value)}
      >
        {words.map((w) => (
          <option key={w} value={w}>
            {w === "true" ? t.on : w === "false" ? t.off : w}
          </option>
        ))}
      </select>
      <button type="submit" class="button" data-testid={`write-submit-${device}-${point.id}`}>
        {busy ? t.control.writing : t.control.write}
      </button>
    </form>
  );
}

/** Switch shows what a coil is; while that is not known, it offers both. */
function Switch({ device, point, busy, write }: ControlProps) {
  const t = useText();
  const value = live.picture.values.value.get(valueKey(device, point.id))?.value.value;
  if (value === undefined || value === null) {
    return (
      <div class="actions" role="group" aria-label={point.id}>
        {[true, false].map((to) => (
          <button
            key={String(to)}
            type="button"
            class="button"
            disabled={busy}
            data-testid={`switch-${device}-${point.id}-${to ? "on" : "off"}`}
            onClick={() => void write(to)}
          >
            {to ? t.control.switchOn : t.control.switchOff}
          </button>
        ))}
      </div>
    );
  }
  const on = value === true || value === 1;
  return (
    <button
      type="button"
      role="switch"
      aria-checked={on}
      aria-label={point.id}
      aria-disabled={busy}
      class="switch"
      data-testid={`switch-${device}-${point.id}`}
      onClick={() => {
        if (!busy) void write(!on);
      }}
    >
      <span class="switch-track">
        <span class="switch-knob" />
      </span>
      <span>{busy ? t.control.writing : on ? t.on : t.off}</span>
    </button>
  );
}

function Amount(p: ControlProps & { wrong: (text: string) => void }) {
  const t = useText();
  const id = useId();
  const [text, setText] = useState("");
  const { min, max, step } = p.point.write ?? {};
  const textual = p.point.type === "string";
  const submit = (): void => {
    if (p.busy) return;
    if (textual) return void p.write(text);
    const c = new Checks();
    const n = c.number("", text, [min ?? -Infinity, max ?? Infinity]);
    const [fault] = c.faults;
    if (!fault) return void p.write(n);
    const limited = fault.code === "out_of_range" ? limits(min, max, t) : "";
    p.wrong(limited || faultText(fault, t, language.value === "en"));
  };
  return (
    <form
      class="amount"
      noValidate
      onSubmit={(e) => {
        e.preventDefault();
        submit();
      }}
    >
      <label class="hidden" for={id}>
        {t.control.newValue(p.point.id)}
      </label>
      <input
        id={id}
        value={text}
        inputMode={textual ? "text" : min !== undefined && min >= 0 ? "decimal" : "text"}
        placeholder={limits(min, max, t)}
        step={step}
        autocomplete="off"
        aria-describedby={`${id}-unit`}
        data-testid={`write-${p.device}-${p.point.id}`}
        onInput={(e) => setText(e.currentTarget.value)}
      />
      <span id={`${id}-unit`} class="unit">
        {p.point.unit}
        <span class="hidden"> {limits(min, max, t)}</span>
      </span>
      <button type="submit" class="button" data-testid={`write-submit-${p.device}-${p.point.id}`}>
        {p.busy ? t.control.writing : t.control.write}
      </button>
    </form>
  );
}

function limits(min: number | undefined, max: number | undefined, t: Messages): string {
  if (min !== undefined && max !== undefined) return t.control.range(String(min), String(max));
  if (min !== undefined) return t.control.atLeast(String(min));
  return max !== undefined ? t.control.atMost(String(max)) : "";
}
