// The points of a device as a table: out for a spreadsheet, and back with a look at what changes first.
import { useState } from "preact/hooks";
import { api, type Stored } from "../api";
import { language, useText } from "../i18n";
import { NotDone, useAttempt } from "../parts/attempt";
import { AreaField, ChoiceField } from "../parts/field";
import { FileButton } from "../parts/file-button";
import { useGuard } from "../parts/form";
import { Icon } from "../parts/icon";
import { Empty, Failed, Skeleton, useLoad } from "../parts/load";
import { Page } from "../parts/page";
import { tellFailure } from "../parts/remove-wire";
import { tell } from "../parts/toast";
import { href } from "../router";
import { mayChange } from "../session";
import type { Device, ImportResult, RowFault } from "../types";
import { faultText } from "../words";

const largest = 4 << 20; // bytes, as the gateway allows
const shownFirst = 40; // points or faults of a kind

export function PointsTable({ id }: { id: string }) {
  const t = useText();
  const { data, error, missing, reload } = useLoad(`points ${id}`, () => api.devices.get(id));
  return (
    <Page title={t.table.title(id)} back={href("devices", id)}>
      {data ? (
        <>
          <p>{t.table.intro}</p>
          {data.data.template && <p class="muted">{t.table.template}</p>}
          <TakeOut device={id} />
          {mayChange.value && <BringIn saved={data} reload={reload} />}
        </>
      ) : missing ? (
        <Empty icon="devices" title={t.devices.notFound(id)} />
      ) : error !== undefined ? (
        <Failed error={error} retry={reload} />
      ) : (
        <Skeleton />
      )}
    </Page>
  );
}

function TakeOut({ device }: { device: string }) {
  const t = useText();
  const [form, setForm] = useState("comma");
  return (
    <section class="card form-step" aria-labelledby="take-title">
      <h2 id="take-title">{t.table.take}</h2>
      <ChoiceField
        label={t.table.forWhom}
        at="/form"
        value={form}
        set={setForm}
        choices={(["comma", "semicolon"] as const).map((value) => ({
          value,
          label: t.table.forms[value],
          testid: `table-${value}`,
        }))}
        small
      />
      <a class="button" href={api.points.export(device, form === "semicolon")} download data-testid="table-download">
        {t.table.download}
      </a>
    </section>
  );
}

/** useBringing holds the text and what the gateway says of it; a change of either asks anew. */
function useBringing(saved: Stored<Device>, reload: () => void) {
  const t = useText();
  const device = saved.data.id;
  const [text, setText] = useState("");
  const [mode, setMode] = useState("merge");
  const [plan, setPlan] = useState<ImportResult>();
  const { busy, error, run, forget } = useAttempt();
  const [typed, setTyped] = useState(false);
  useGuard(typed);
  const change = (next: { text?: string; mode?: string }, byHand = false): void => {
    if (next.text !== undefined) {
      setText(next.text);
      setTyped(byHand && next.text !== "");
    }
    if (next.mode !== undefined) setMode(next.mode);
    setPlan(undefined);
    forget();
  };
  const look = async (csv: string): Promise<void> => {
    if (!(await run(async () => setPlan(await api.points.plan(device, csv, mode))))) setPlan(undefined);
  };
  const undo = async (): Promise<void> => {
    const before = { ...saved.data };
    delete before.status;
    await api.devices.replace(device, before, "*");
    tell(t.table.undone);
    reload();
  };
  const bring = async (): Promise<void> => {
    const done = await run(async () => {
      const done = await api.points.import(device, text, mode, saved.etag);
      tell(t.table.done(changesOf(done)), { undo: () => void undo().catch(tellFailure) });
      change({ text: "" });
      reload();
    });
    if (!done) setPlan(undefined);
  };
  return { text, mode, plan, error, busy, change, look, bring };
}

function BringIn({ saved, reload }: { saved: Stored<Device>; reload: () => void }) {
  const t = useText();
  const { text, mode, plan, error, busy, change, look, bring } = useBringing(saved, reload);
  const take = (csv: string): void => change({ text: csv });
  const chosen = async (file: File): Promise<void> => {
    if (file.size > largest) {
      tell(t.table.tooLarge, { failed: true });
      return;
    }
    const csv = await file.text();
    take(csv);
    await look(csv);
  };
  const empty = text.trim() === "";
  return (
    <section class="card form-step" aria-labelledby="bring-title">
      <h2 id="bring-title">{t.table.bring}</h2>
      <div class="actions">
        <FileButton
          label={t.table.file}
          accept=".csv,.txt,.tsv,text/csv"
          testid="table-file"
          chosen={(file) => void chosen(file).catch(tellFailure)}
        />
        <button
          type="button"
          class="button"
          data-testid="table-load"
          onClick={() => void api.points.text(saved.data.id).then(take, tellFailure)}
        >
          {t.table.intoEditor}
        </button>
      </div>
      <AreaField
        label={t.table.text}
        hint={t.table.textHint}
        at="/csv"
        value={text}
        set={(csv) => change({ text: csv }, true)}
        rows={8}
        testid="table-text"
      />
      <ChoiceField
        label={t.table.mode}
        at="/mode"
        value={mode}
        set={(next) => change({ mode: next })}
        choices={(["merge", "replace"] as const).map((value) => ({
          value,
          label: t.table.modes[value],
          testid: `table-${value}`,
        }))}
        small
      />
      <NotDone error={error} testid="table-failed" />
      <div role="status">{plan && (plan.ok ? <Plan plan={plan} /> : <Wrong faults={plan.errors} />)}</div>
      <div class="actions">
        <button
          type="button"
          class="button"
          data-testid="table-preview"
          aria-disabled={busy || empty}
          onClick={() => {
            if (!empty) void look(text);
          }}
        >
          {t.table.preview}
        </button>
        {plan?.ok && changesOf(plan) > 0 && (
          <button
            type="button"
            class={plan.removed.length > 0 ? "button danger" : "button primary"}
            data-testid="table-go"
            aria-disabled={busy}
            onClick={() => void bring()}
          >
            {t.table.go(changesOf(plan))}
          </button>
        )}
      </div>
    </section>
  );
}

function changesOf(r: ImportResult): number {
  return r.added.length + r.changed.length + r.removed.length;
}

function Plan({ plan }: { plan: ImportResult }) {
  const t = useText();
  if (changesOf(plan) === 0)
    return (
      <p class="note good" data-testid="table-plan">
        <Icon name="good" />
        <span>{t.table.nothing}</span>
      </p>
    );
  return (
    <div data-testid="table-plan">
      <h3>
        {t.table.plan} <span class="muted">({t.table.rows(plan.rows)})</span>
      </h3>
      <ul class="plain">
        {(["added", "changed", "removed", "unchanged"] as const).map(
          (kind) =>
            plan[kind].length > 0 && (
              <li key={kind} data-testid={`table-${kind}`}>
                <strong>
                  {plan[kind].length} {t.table[kind]}
                </strong>{" "}
                {kind !== "unchanged" && <Names names={plan[kind]} />}
              </li>
            ),
        )}
      </ul>
    </div>
  );
}

function Names({ names }: { names: string[] }) {
  const t = useText();
  return (
    <>
      <code>{names.slice(0, shownFirst).join(", ")}</code>
      {names.length > shownFirst && ` ${t.table.more(names.length - shownFirst)}`}
    </>
  );
}

/** Wrong names every fault by row and column, as the spreadsheet counts them. */
function Wrong({ faults }: { faults: RowFault[] }) {
  const t = useText();
  const english = language.value === "en";
  return (
    <div class="note bad" data-testid="table-wrong">
      <Icon name="bad" />
      <div>
        <p>{t.table.wrong(faults.length)}</p>
        <ul>
          {faults.slice(0, shownFirst).map((f) => (
            <li key={`${f.row}/${f.column}/${f.code}`}>
              <strong>{t.table.row(f.row)}</strong>
              {f.column !== "" && (
                <>
                  , <code>{t.table.column(f.column)}</code>
                </>
              )}
              : {faultText({ pointer: "", code: f.code, detail: f.detail }, t, english)}
            </li>
          ))}
        </ul>
        {faults.length > shownFirst && <p>{t.table.more(faults.length - shownFirst)}</p>}
      </div>
    </div>
  );
}
