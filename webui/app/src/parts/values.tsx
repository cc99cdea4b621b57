// Live values: a row is drawn again only when its own value changes.
import type { Signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useText } from "../i18n";
import { live, valueKey } from "../live";
import type { Device, Value } from "../types";
import { codeWord, scalar } from "../words";
import { Lazy } from "./lazy";
import { Age, QualityMark, qualityOf } from "./mark";

export interface Row {
  device: string;
  point: string;
  unit: string;
}

/** rowsOf lists a device's points: those of its settings in their order, then those that only a template knows. */
export function rowsOf(device: Device, values: ReadonlyMap<string, Signal<Value>>): Row[] {
  const rows = (device.points ?? [])
    .filter((p) => p.enabled !== false)
    .map((p) => ({ device: device.id, point: p.id, unit: p.unit ?? "" }));
  const known = new Set(rows.map((r) => r.point));
  for (const v of values.values()) {
    const { device: owner, point, unit } = v.peek();
    if (owner === device.id && !known.has(point)) rows.push({ device: owner, point, unit });
  }
  return rows;
}

const chunk = 40;
const rowHeight = 45; // px, an estimate

export function ValueTable({
  rows,
  label,
  extra,
}: {
  rows: Row[];
  label: string;
  extra?: (r: Row) => ComponentChildren;
}) {
  const t = useText();
  if (rows.length === 0) return <p class="muted">{t.overview.noPoints}</p>;
  const chunks = Array.from({ length: Math.ceil(rows.length / chunk) }, (_, i) =>
    rows.slice(i * chunk, (i + 1) * chunk),
  );
  return (
    <>
      {chunks.map((part, i) => (
        <Lazy key={i} height={part.length * rowHeight} eager={i === 0}>
          {() => (
            <ul class="values" aria-label={label}>
              {part.map((r) => (
                <li key={r.point} class="value-row">
                  <LiveValue row={r} />
                  {extra?.(r)}
                </li>
              ))}
            </ul>
          )}
        </Lazy>
      ))}
    </>
  );
}

function LiveValue({ row }: { row: Row }) {
  const t = useText();
  const v = live.picture.values.value.get(valueKey(row.device, row.point))?.value;
  const quality = qualityOf(v);
  return (
    <div class="value-line">
      <span class="value-name">{row.point}</span>
      <span
        class={quality === "good" ? "value" : "value dim"}
        data-testid={`value-${row.device}-${row.point}`}
        data-quality={quality}
      >
        {v === undefined || quality === "none" ? (
          <span class="muted">{t.overview.noValue}</span>
        ) : (
          <Amount value={v} unit={v.unit || row.unit} />
        )}
      </span>
      <span class="value-quality">
        <QualityMark value={v} />
        {quality === "bad" && v?.error && <span class="why">{codeWord(v.error, t)}</span>}
      </span>
      <span class="value-age">{v?.time && <Age time={v.time} />}</span>
    </div>
  );
}

function Amount({ value, unit }: { value: Value; unit: string }) {
  const t = useText();
  return (
    <>
      {scalar(value.value, t)}
      {unit && value.value !== null && <span class="unit"> {unit}</span>}
    </>
  );
}
