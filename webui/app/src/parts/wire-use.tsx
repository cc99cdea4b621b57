// How a wire is used: its load and what was counted, for the wire and each of its devices.
import { useText } from "../i18n";
import type { Status } from "../types";
import { wordOf } from "../words";

const load = "utilisation_percent";

export function WireUse({ status }: { status: Status | undefined }) {
  const t = useText();
  const counters = status?.counters ?? {};
  const percent = counters[load];
  const devices = (status?.devices ?? []).filter((d) => Object.keys(d.counters ?? {}).length > 0);
  const names = Object.keys(counters).filter((name) => name !== load);
  if (names.length === 0) return null;
  return (
    <section class="card group" aria-labelledby="use-title" data-testid="wire-use">
      <h2 id="use-title">{t.field.use}</h2>
      {percent !== undefined && (
        <p data-testid="wire-load" data-percent={percent}>
          <meter min={0} max={100} high={90} value={Math.min(100, percent)} aria-label={t.field.use} />{" "}
          {t.field.busy(percent)}
        </p>
      )}
      <Counts counters={counters} names={names} />
      {devices.length > 0 && (
        <details>
          <summary>{t.field.byDevice}</summary>
          {devices.map((d) => (
            <div key={d.id} data-testid={`counts-${d.id}`}>
              <h3>{d.id}</h3>
              <Counts counters={d.counters ?? {}} names={Object.keys(d.counters ?? {})} />
            </div>
          ))}
        </details>
      )}
    </section>
  );
}

function Counts({ counters, names }: { counters: Record<string, number>; names: string[] }) {
  const t = useText();
  return (
    <dl class="counts">
      {names.map((name) => (
        <div key={name}>
          <dt>{wordOf(t.field.counters, name) ?? name.replaceAll("_", " ")}</dt>
          <dd>{counters[name]}</dd>
        </div>
      ))}
    </dl>
  );
}
