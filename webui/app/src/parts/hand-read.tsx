// A read by hand: of a table, or with a function code that changes nothing.
import { useState } from "preact/hooks";
import { api } from "../api";
import { useText, type Messages } from "../i18n";
import {
  byTable,
  newRead,
  readable,
  readQuestion,
  subFunctions,
  type ReadDraft,
  type Readable,
} from "../model/by-hand";
import type { Decode, ReadResult } from "../tool-types";
import { wordOf } from "../words";
import { Facts } from "./facts";
import { SelectField, TextField } from "./field";
import { useSaving } from "./form";
import { below, placed, PlaceFields, Refused, Registers } from "./hand-fields";
import { Icon } from "./icon";
import { InlineForm } from "./inline-form";

export function HandRead({ id, unit }: { id: string; unit: string }) {
  const t = useText();
  const { hand } = t.field;
  const saving = useSaving(below("/read"));
  const [draft, set] = useState(() => newRead(unit));
  const [result, setResult] = useState<ReadResult>();
  const change = (part: Partial<ReadDraft>): void => set((d) => ({ ...d, ...part }));
  const read = (): void => {
    const { question, faults } = readQuestion(draft);
    if (faults.length > 0) return saving.reject(placed(faults, "/read"));
    setResult(undefined);
    void saving.run(async () => setResult(await api.read(id, question)));
  };
  const { what } = draft;
  return (
    <section class="card form-step" aria-labelledby="hand-read-title">
      <h2 id="hand-read-title">{hand.read}</h2>
      <InlineForm
        testid="hand-read"
        saving={saving.state}
        submit={saving.state.busy ? t.field.reading : hand.readGo}
        onSubmit={read}
      >
        <div class="grid">
          <SelectField
            label={hand.what}
            at="/read/function"
            value={what}
            set={(next) => change({ what: next as Readable })}
            options={readable.map((value) => ({ value, label: whatWord(value, t) }))}
            testid="hand-read-what"
          />
          <PlaceFields draft={draft} change={change} addressed={byTable(what) || what === "24"} name="read" />
          {byTable(what) && (
            <TextField
              label={hand.quantity}
              at="/read/quantity"
              value={draft.quantity}
              set={(quantity) => change({ quantity })}
              inputMode="numeric"
              testid="hand-read-quantity"
            />
          )}
          {what === "8" && (
            <SelectField
              label={hand.sub}
              at="/read/sub_function"
              value={draft.sub}
              set={(sub) => change({ sub })}
              options={subFunctions.map((value) => ({ value, label: `${value}, ${hand.subs[value]}` }))}
              testid="hand-read-sub"
            />
          )}
        </div>
      </InlineForm>
      <div role="status" data-testid="hand-read-result" data-ok={result?.ok}>
        {result && <ReadOutcome result={result} />}
      </div>
    </section>
  );
}

function whatWord(what: Readable, t: Messages): string {
  if (what === "holding" || what === "input" || what === "coil" || what === "discrete_input")
    return t.device.tables[what];
  return `${what}, ${t.field.functions[what]}`;
}

function ReadOutcome({ result }: { result: ReadResult }) {
  const t = useText();
  const { hand } = t.field;
  if (!result.ok) return <Refused code={result.code} error={result.error} />;
  const bits = result.bits ?? [];
  const said = result.said ?? [];
  const likely = (result.decodes ?? []).filter((d) => d.likely);
  return (
    <div class="form-step">
      <p class="right">
        <Icon name="good" />
        {t.field.readGave(result.ms)} <code>{result.raw}</code>
      </p>
      <Registers registers={result.registers ?? []} />
      {bits.length > 0 && (
        <Facts facts={bits.map((b) => [String(b.address), b.value ? t.on : t.off, `hand-bit-${b.address}`])} />
      )}
      {said.length > 0 && (
        <Facts
          facts={said.map((s) => [
            wordOf(hand.said, s.name) ?? s.name,
            [s.text === "" || s.value !== 0 ? String(s.value) : "", s.text].filter(Boolean).join(", "),
            `hand-said-${s.name}`,
          ])}
        />
      )}
      {likely.length > 0 && <Likely decodes={likely} />}
    </div>
  );
}

function Likely({ decodes }: { decodes: Decode[] }) {
  const t = useText();
  return (
    <details>
      <summary>{t.field.hand.likely(decodes.length)}</summary>
      <ul class="plain">
        {decodes.map((d) => (
          <li key={`${d.address} ${d.type} ${d.order}`}>
            {d.address}: <strong>{d.text}</strong>{" "}
            <span class="muted">
              {d.type} {d.order}
            </span>
          </li>
        ))}
      </ul>
    </details>
  );
}
