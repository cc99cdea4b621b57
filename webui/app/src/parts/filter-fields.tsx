// The topics that an uplink sends or receives, each with how its name changes on the way.
import { useText } from "../i18n";
import type { FilterDraft } from "../model/uplink";
import { SelectField, TextField } from "./field";
import { Icon } from "./icon";

interface Props {
  direction: "out" | "in";
  filters: FilterDraft[];
  change: (filters: FilterDraft[]) => void;
  make: () => FilterDraft;
}

export function FilterList({ direction, filters, change, make }: Props) {
  const t = useText();
  const out = direction === "out";
  return (
    <>
      {filters.length === 0 && !out && <p class="muted">{t.uplinks.noIn}</p>}
      <ol class="points">
        {filters.map((f, i) => (
          <li key={f.key} class="point" data-row={t.uplinks.row(i + 1)}>
            <fieldset>
              <legend>{t.uplinks.row(i + 1)}</legend>
              <Row
                at={`/${direction}/${i}`}
                filter={f}
                out={out}
                change={(part) => change(filters.map((other) => (other.key === f.key ? { ...other, ...part } : other)))}
              />
              <button
                type="button"
                class="button small"
                data-testid={`${direction}-remove-${i}`}
                onClick={() => change(filters.filter((other) => other.key !== f.key))}
              >
                <Icon name="trash" />
                {t.remove}
              </button>
            </fieldset>
          </li>
        ))}
      </ol>
      <button
        type="button"
        class="button"
        data-testid={`${direction}-add`}
        onClick={() => change([...filters, make()])}
      >
        <Icon name="plus" />
        {out ? t.uplinks.addOut : t.uplinks.addIn}
      </button>
    </>
  );
}

interface RowProps {
  at: string;
  filter: FilterDraft;
  out: boolean;
  change: (part: Partial<FilterDraft>) => void;
}

function Row({ at, filter: f, out, change }: RowProps) {
  const t = useText();
  const testid = (name: string): string => `${at.slice(1).replace("/", "-")}-${name}`;
  const local = (
    <TextField
      key="local"
      label={t.uplinks.localPrefix}
      at={`${at}/local_prefix`}
      value={f.local}
      set={(v) => change({ local: v })}
      testid={testid("local")}
      code
      optional
    />
  );
  const remote = (
    <TextField
      key="remote"
      label={t.uplinks.remotePrefix}
      at={`${at}/remote_prefix`}
      value={f.remote}
      set={(v) => change({ remote: v })}
      testid={testid("remote")}
      code
      optional
    />
  );
  const [from, to] = out ? [f.local, f.remote] : [f.remote, f.local];
  const sample = f.filter.replace(/#$/, out ? "meter/power" : "meter/power/set").replaceAll("+", "meter");
  const fits = from !== to && sample.startsWith(from);
  return (
    <>
      <div class="grid">
        <TextField
          label={t.uplinks.filter}
          hint={t.uplinks.filterHint}
          at={`${at}/filter`}
          value={f.filter}
          set={(v) => change({ filter: v })}
          testid={testid("filter")}
          code
        />
        <SelectField
          label={t.uplinks.qos}
          at={`${at}/qos`}
          value={f.qos}
          set={(qos) => change({ qos })}
          options={(["1", "0"] as const).map((q) => ({ value: q, label: t.uplinks.qosNames[q] }))}
          testid={testid("qos")}
        />
        {out ? [local, remote] : [remote, local]}
      </div>
      {fits && <p class="muted">{t.uplinks.example(sample, to + sample.slice(from.length))}</p>}
    </>
  );
}
