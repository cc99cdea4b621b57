// States, qualities and ages: always a word and a shape, never a colour alone.
import { clockAhead } from "../api";
import { language, useText } from "../i18n";
import { now } from "../live";
import type { Quality, State, Value } from "../types";
import { age, stateWord } from "../words";
import { Icon, type IconName } from "./icon";

type Tone = "good" | "stale" | "bad" | "waiting";

const tones: Record<State, Tone> = {
  online: "good",
  connected: "good",
  degraded: "stale",
  connecting: "stale",
  disabled: "waiting",
  offline: "bad",
  disconnected: "bad",
  failed: "bad",
};

export function StateMark({ state, testid }: { state: State | undefined; testid?: string }) {
  const t = useText();
  const tone = state ? tones[state] : "waiting";
  const icon: IconName = state === "disabled" ? "pause" : tone;
  return (
    <span class={`mark ${tone}`} data-testid={testid} data-state={state ?? "unknown"}>
      <Icon name={icon} />
      {stateWord(state, t)}
    </span>
  );
}

/** qualityOf gives the quality to show: what was never read, or is paused, is not good, but nothing is wrong either. */
export function qualityOf(v: Value | undefined): Quality | "none" | "paused" {
  if (v === undefined || v.error === "no_value_yet") return "none";
  return v.error === "disabled" ? "paused" : v.quality;
}

export function QualityMark({ value }: { value: Value | undefined }) {
  const t = useText();
  const quality = qualityOf(value);
  const tone = quality === "none" || quality === "paused" ? "waiting" : quality;
  return (
    <span class={`mark ${tone}`}>
      <Icon name={quality === "paused" ? "pause" : tone} />
      {quality === "paused" ? t.state.disabled : t.quality[quality]}
    </span>
  );
}

/** Age counts up from an RFC 3339 time, by the gateway's clock; a time that never was (year 1) shows nothing. lasting words it for a state. */
export function Age({ time, lasting }: { time: string; lasting?: boolean }) {
  const t = useText();
  if (!(Date.parse(time) > 0)) return null;
  const ms = now.value + clockAhead.value - Date.parse(time);
  if (lasting && ms < 1000) return null;
  const text = age(ms, t);
  return (
    <time dateTime={time} title={new Date(time).toLocaleString()}>
      {lasting ? t.overview.since(text) : text}
    </time>
  );
}

/** Reason is why something does not work as it should; the reasons that the page knows are in its language. */
export function Reason({ text }: { text: string }) {
  const t = useText();
  const load = /bus needs (\d+) % of its time: intervals are stretched to \d+ %, ([0-9.a-zµ]+) to ([0-9.a-zµ]+)/.exec(
    text,
  );
  if (!load) return <Told text={text} />;
  const [whole, percent = "", from = "", to = ""] = load;
  const rest = text.replace(whole, "").replace(/^[;:,. ]+|; poll fewer points.*$/g, "");
  return (
    <span>
      {t.field.overloaded(percent, from, to)} {rest && <Told text={rest} />}
    </span>
  );
}

/** Told is text from the gateway, which is English whatever the page's language is. */
export function Told({ text }: { text: string }) {
  return (
    <span class="told" lang={language.value === "en" ? undefined : "en"}>
      {text}
    </span>
  );
}
