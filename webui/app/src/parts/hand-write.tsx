// A write by hand: it asks before it is done, for no limit of a point holds here.
import { useState } from "preact/hooks";
import { api } from "../api";
import { useText, type Messages } from "../i18n";
import {
  codesOf,
  forms,
  isCoil,
  newWrite,
  writeQuestion,
  writeTypes,
  type Form,
  type WriteDraft,
} from "../model/by-hand";
import { orders, ordered, sized } from "../model/device";
import type { HandWritten } from "../tool-types";
import { wordOf } from "../words";
import { ask } from "./dialog";
import { CheckField, SelectField, TextField } from "./field";
import { useSaving } from "./form";
import { below, placed, PlaceFields, Refused, Registers } from "./hand-fields";
import { Icon } from "./icon";
import { InlineForm } from "./inline-form";

export function HandWriting({ id, unit }: { id: string; unit: string }) {
  const t = useText();
  const { hand } = t.field;
  const saving = useSaving(below("/write"));
  const [draft, set] = useState(() => newWrite(unit));
  const [result, setResult] = useState<HandWritten>();
  const change = (part: Partial<WriteDraft>): void => set((d) => ({ ...d, ...part }));
  const write = async (): Promise<void> => {
    const { question, faults } = writeQuestion(draft);
    if (faults.length > 0) {
      saving.reject(placed(faults, "/write"));
      return;
    }
    setResult(undefined);
    const where = hand.where(isCoil(draft.form), draft.address.trim(), draft.unit.trim());
    if (
      !(await ask({
        title: hand.askTitle,
        text: hand.askText(written(draft, t), where),
        yes: hand.writeGo,
        danger: true,
      }))
    )
      return;
    await saving.run(async () => setResult(await api.writeByHand(id, question)));
  };
  return (
    <section class="card form-step" aria-labelledby="hand-write-title">
      <h2 id="hand-write-title">{hand.write}</h2>
      <p class="note stale">
        <Icon name="bad" />
        <span>{hand.warning}</span>
      </p>
      <InlineForm
        testid="hand-write"
        saving={saving.state}
        submit={saving.state.busy ? t.control.writing : hand.writeGo}
        onSubmit={() => void write()}
      >
        <div class="grid">
          <SelectField
            label={hand.what}
            at="/write/table"
            value={draft.form}
            set={(form) => change({ form: form as Form, code: "" })}
            options={forms.map((value) => ({ value, label: hand.forms[value] }))}
            testid="hand-write-form"
          />
          <PlaceFields draft={draft} change={change} addressed name="write" />
          <Content draft={draft} change={change} />
          <Code draft={draft} change={change} />
        </div>
        <CheckField
          label={t.field.settings.verify}
          at="/write/verify"
          value={draft.verify}
          set={(verify) => change({ verify })}
          testid="hand-write-verify"
        />
      </InlineForm>
      <div role="status" data-testid="hand-write-result" data-ok={result?.ok}>
        {result && <WriteOutcome result={result} />}
      </div>
    </section>
  );
}

/** written is what is about to be written, for the question. */
function written(d: WriteDraft, t: Messages): string {
  if (d.form === "coil") return d.on ? t.on : t.off;
  return d.form === "value" ? `${d.value.trim()} (${d.type})` : d.list.trim();
}

interface DraftProps {
  draft: WriteDraft;
  change: (part: Partial<WriteDraft>) => void;
}

function Content({ draft, change }: DraftProps) {
  const t = useText();
  const { hand } = t.field;
  if (draft.form === "coil")
    return (
      <SelectField
        label={hand.value}
        at="/write/value"
        value={String(draft.on)}
        set={(on) => change({ on: on === "true" })}
        options={[true, false].map((on) => ({ value: String(on), label: on ? t.on : t.off }))}
        testid="hand-write-on"
      />
    );
  if (draft.form !== "value")
    return (
      <TextField
        label={hand.value}
        hint={hand.listHints[draft.form]}
        at={`/write/${draft.form}`}
        value={draft.list}
        set={(list) => change({ list })}
        testid="hand-write-list"
        code
      />
    );
  return (
    <>
      <SelectField
        label={t.device.type}
        at="/write/type"
        value={draft.type}
        set={(type) => change({ type })}
        options={writeTypes.map((v) => ({ value: v, label: `${v} – ${wordOf(t.device.types, v) ?? ""}` }))}
        testid="hand-write-type"
      />
      {ordered(draft.type) && (
        <SelectField
          label={t.device.order}
          at="/write/order"
          value={draft.order}
          set={(order) => change({ order })}
          options={orders.map((v) => ({ value: v, label: v }))}
          testid="hand-write-order"
        />
      )}
      {sized(draft.type) && (
        <TextField
          label={t.field.settings.length}
          at="/write/length"
          value={draft.length}
          set={(length) => change({ length })}
          inputMode="numeric"
          testid="hand-write-length"
        />
      )}
      <TextField
        label={hand.value}
        at="/write/value"
        value={draft.value}
        set={(value) => change({ value })}
        testid="hand-write-value"
      />
    </>
  );
}

/** Code asks for the function code, which matters to few devices, and for what 23 reads. */
function Code({ draft, change }: DraftProps) {
  const t = useText();
  const { hand, functions } = t.field;
  return (
    <>
      <SelectField
        label={hand.code}
        at="/write/function"
        value={draft.code}
        set={(code) => change({ code })}
        options={[
          { value: "", label: t.field.usual.function },
          ...codesOf(draft.form).map((value) => ({ value, label: `${value}, ${wordOf(functions, value) ?? ""}` })),
        ]}
        testid="hand-write-code"
      />
      {draft.code === "23" && (
        <>
          <TextField
            label={hand.readAddress}
            at="/write/read_address"
            value={draft.readAddress}
            set={(readAddress) => change({ readAddress })}
            inputMode="numeric"
            testid="hand-write-read-address"
          />
          <TextField
            label={hand.readQuantity}
            at="/write/read_quantity"
            value={draft.readQuantity}
            set={(readQuantity) => change({ readQuantity })}
            inputMode="numeric"
            testid="hand-write-read-quantity"
          />
        </>
      )}
    </>
  );
}

function WriteOutcome({ result }: { result: HandWritten }) {
  const t = useText();
  const { hand } = t.field;
  if (!result.ok) return <Refused code={result.code} error={result.error} />;
  return (
    <div class="form-step">
      <p class="right">
        <Icon name="good" />
        {hand.done(result.function, result.ms)} {result.verified && hand.verified}
      </p>
      <Registers registers={result.registers ?? []} />
    </div>
  );
}
