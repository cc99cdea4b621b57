// Live values: a row is drawn again only when its own value changes.
import type { Signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { useText } from "../i18n";
import { live, valueKey } from "../live";
import type { Device, Value } from "../types";
import { codeWord, scalar } from "../words";
import { TextField } from "./field";
import { Icon } from "./icon";
import { Lazy } from "./lazy";
import { Age, QualityMark, qualityOf } from "./mark";
import { pointName } from "./names";

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
const rowHeight = 45; // px, an estimate; twice that with what stands below a value

interface Props {
  rows: Row[];
  label: string;
  extra?: (r: Row) => ComponentChildren;
}

const findFrom = 20; // points; with fewer a person sees them all

/** ValueFinder is a ValueTable that can be searched when it is long. */
export function ValueFinder(p: Props) {
  const t = useText();
  const [word, setWord] = useState("");
  if (p.rows.length < findFrom) return <ValueTable {...p} />;
  const wanted = word.trim().toLowerCase();
  const shown = p.rows.filter((r) => `${r.point} ${pointName(r.device, r.point)}`.toLowerCase().includes(wanted));
  return (
    <>
      <TextField label={t.values.find} at="/find" value={word} set={setWord} testid="point-find" />
      <p class="muted" role="status" data-testid="points-found" data-count={shown.length}>
        {shown.length === 0 ? t.values.none : t.values.found(shown.length, p.rows.length)}
      </p>
      {shown.length > 0 && <ValueTable key={wanted} {...p} rows={shown} />}
    </>
  );
}

export function ValueTable({ rows, label, extra }: Props) {
  const t = useText();
  if (rows.length === 0) return <p class="muted">{t.overview.noPoints}</p>;
  const chunks = Array.from({ length: Math.ceil(rows.length / chunk) }, (_, i) =>
    rows.slice(i * chunk, (i + 1) * chunk),
  );
  return (
    <>
      {chunks.map((part, i) => (
        <Lazy key={i} height={part.length * rowHeight * (extra ? 2 : 1)} eager={i === 0}>
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
  const name = pointName(row.device, row.point);
  return (
    <div class="value-line">
      <span class="value-name" data-testid={`name-${row.device}-${row.point}`}>
        {name && <span>{name} </span>}
        <span class={name ? "point-id" : ""}>{row.point}</span>
      </span>
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
      <span class="value-age">
        {v?.clock === "unsynced" && (
          <span class="mark stale" title={t.values.unsyncedText} data-testid={`unsynced-${row.device}-${row.point}`}>
            <Icon name="stale" />
            {t.values.unsynced}
          </span>
        )}{" "}
        {v?.time && <Age time={v.time} />}
      </span>
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
