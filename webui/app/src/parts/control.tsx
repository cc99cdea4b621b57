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
  const common = { device, point, busy, write };
  const wrong = (text: string): void => setOutcome({ ok: false, text });
  return (
    <div class="control">
      {words.length > 0 ? (
        <Choose {...common} words={words} wrong={wrong} />
      ) : isSwitch(point) ? (
        <Switch {...common} />
      ) : (
        <Amount {...common} name="write" wrong={wrong} />
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

/** isSwitch tells whether a point is on or off and nothing else. */
function isSwitch(point: Point): boolean {
  return (isTable(point.table) && bits(point.table)) || point.type === "bool" || point.bit !== undefined;
}

/** takesNumbers tells whether a point with labels takes numbers that have none: registers do, line devices do not. */
function takesNumbers(point: Point): boolean {
  return isTable(point.table) && !isSwitch(point) && point.write?.values === undefined;
}

const number = "\u0000number"; // no label

/** Choose begins with what the device has: nobody writes the first of the list because they did not look. */
function Choose(p: ControlProps & Wrong & { words: string[] }) {
  const { device, point, words } = p;
  const t = useText();
  const [picked, pick] = useState<string>();
  const id = useId();
  const present = String(live.picture.values.value.get(valueKey(device, point.id))?.value.value);
  const chosen = picked ?? (words.includes(present) ? present : "");
  const choice = (
    <>
      <label class="hidden" for={id}>
        {t.control.newValue(point.id)}
      </label>
      <select
        id={id}
        value={chosen}
        data-testid={`write-${device}-${point.id}`}
        onChange={(e) => pick(e.currentTarget.value)}
      >
        {chosen === "" && (
          <option value="" disabled>
            {t.control.choose}
          </option>
        )}
        {words.map((w) => (
          <option key={w} value={w}>
            {w === "true" ? t.on : w === "false" ? t.off : w}
          </option>
        ))}
        {takesNumbers(point) && <option value={number}>{t.control.otherNumber}</option>}
      </select>
    </>
  );
  if (chosen === number)
    return (
      <>
        <div class="amount">{choice}</div>
        <Amount {...p} name="write-number" />
      </>
    );
  return (
    <form
      class="amount"
      onSubmit={(e) => {
        e.preventDefault();
        if (p.busy || chosen === "") return;
        void p.write(chosen === "true" ? true : chosen === "false" ? false : chosen);
      }}
    >
      {choice}
      <button
        type="submit"
        class="button"
        aria-disabled={chosen === ""}
        data-testid={`write-submit-${device}-${point.id}`}
      >
        {p.busy ? t.control.writing : t.control.write}
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

interface Wrong {
  wrong: (text: string) => void;
}

/** Amount takes a number or a text; name begins its test id. */
function Amount(p: ControlProps & Wrong & { name: string }) {
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
        data-testid={`${p.name}-${p.device}-${p.point.id}`}
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
