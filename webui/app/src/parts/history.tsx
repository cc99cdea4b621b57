// The last hours of a value as a small line, drawn here: a library would be larger than the page.
import { useState } from "preact/hooks";
import { api } from "../api";
import { useText } from "../i18n";
import type { History } from "../tool-types";
import { scalar } from "../words";
import { Failed, useLoad } from "./load";

const width = 600;
const height = 120;
const edge = 6;

/** HistoryField opens the history of a point when somebody asks for it. */
export function HistoryField({ device, point }: { device: string; point: string }) {
  const t = useText();
  const [open, setOpen] = useState(false);
  return (
    <details class="history" onToggle={(e) => setOpen(e.currentTarget.open)} data-testid={`history-${device}-${point}`}>
      <summary aria-label={`${t.field.history}: ${point}`}>{t.field.history}</summary>
      {open && <Charts device={device} point={point} />}
    </details>
  );
}

function Charts({ device, point }: { device: string; point: string }) {
  const t = useText();
  const { data, error, reload } = useLoad(`history ${device}/${point}`, () => api.history(device, point));
  if (error !== undefined) return <Failed error={error} retry={reload} />;
  if (!data) return <p class="muted">{t.loading}</p>;
  if (!data.kept) return <p class="muted">{t.field.noHistory}</p>;
  const day = data.day ?? [];
  const recent = (data.recent ?? []).filter((r) => r.value !== null).map((r) => ({ ...r, value: r.value ?? 0 }));
  return (
    <>
      {recent.length > 1 && <Chart title={t.field.historyRecent} points={recent} gap={Infinity} unit={data.unit} />}
      {day.length > 1 ? (
        <Chart title={t.field.historyDay} points={day} gap={data.day_seconds * 1500} unit={data.unit} />
      ) : (
        <p class="muted">{t.field.historySoon}</p>
      )}
      <button type="button" class="button small" onClick={reload}>
        {t.field.refresh}
      </button>
    </>
  );
}

interface Sample {
  time: string;
  value: number;
  min?: number;
  max?: number;
}

/** Chart draws samples over time; where two are more than gap milliseconds apart the line is broken. */
function Chart({ title, points, gap, unit }: { title: string; points: Sample[]; gap: number; unit: History["unit"] }) {
  const t = useText();
  const low = Math.min(...points.map((p) => p.min ?? p.value));
  const high = Math.max(...points.map((p) => p.max ?? p.value));
  const times = points.map((p) => Date.parse(p.time));
  const first = times[0] ?? 0;
  const span = Math.max(1, (times.at(-1) ?? 0) - first);
  const x = (i: number): number => edge + (((times[i] ?? 0) - first) / span) * (width - 2 * edge);
  const y = (v: number): number => height - edge - ((v - low) / (high - low || 1)) * (height - 2 * edge);
  const far = (i: number): boolean => i === 0 || (times[i] ?? 0) - (times[i - 1] ?? 0) > gap;
  const line = points.map((p, i) => `${far(i) ? "M" : "L"}${x(i).toFixed(1)} ${y(p.value).toFixed(1)}`).join("");
  const band = points
    .map((p, i) => `M${x(i).toFixed(1)} ${y(p.min ?? p.value).toFixed(1)}V${y(p.max ?? p.value).toFixed(1)}`)
    .join("");
  const number = (v: number): string => `${scalar(v, t)} ${unit}`.trim();
  const said = t.field.historySaid(title, number(low), number(high), number(points.at(-1)?.value ?? 0));
  return (
    <figure class="chart" data-testid="chart">
      <figcaption>{title}</figcaption>
      <svg viewBox={`0 0 ${width} ${height}`} role="img" aria-label={said} preserveAspectRatio="none">
        <path class="chart-band" d={band} />
        <path class="chart-line" d={line} />
      </svg>
      <p class="chart-scale muted">
        <span>{new Date(first).toLocaleTimeString()}</span>
        <span>{t.control.range(number(low), number(high))}</span>
        <span>{new Date(times.at(-1) ?? 0).toLocaleTimeString()}</span>
      </p>
    </figure>
  );
}
