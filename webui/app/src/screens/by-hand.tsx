// Reading and writing registers by hand, on the wire of a running bridge and between its polls.
import { useState } from "preact/hooks";
import { api } from "../api";
import { language, useText, type Messages } from "../i18n";
import {
  byTable,
  codesOf,
  forms,
  isCoil,
  newRead,
  newWrite,
  readable,
  readQuestion,
  subFunctions,
  writeQuestion,
  writeTypes,
  type Form,
  type ReadDraft,
  type Readable,
  type WriteDraft,
} from "../model/by-hand";
import type { OwnFault } from "../model/check";
import { orders, ordered, sized } from "../model/device";
import { ask } from "../parts/dialog";
import { Facts } from "../parts/facts";
import { CheckField, SelectField, TextField } from "../parts/field";
import { useSaving } from "../parts/form";
import { Icon } from "../parts/icon";
import { InlineForm } from "../parts/inline-form";
import { Empty, Failed, Skeleton, useLoad } from "../parts/load";
import { Told } from "../parts/mark";
import { Page } from "../parts/page";
import { href } from "../router";
import { mayChange } from "../session";
import type { Decode, HandWritten, ReadResult, Register } from "../tool-types";
import { codeWord, wordOf } from "../words";

export function HandScreen({ id }: { id: string }) {
  const t = useText();
  const { hand } = t.field;
  const { data, error, missing, reload } = useLoad(`hand ${id}`, () => api.bridges.get(id));
  const units = (data?.data.devices ?? []).flatMap((d) => (d.unit === undefined ? [] : [d.unit]));
  const unit = String(units[0] ?? 1);
  return (
    <Page title={hand.title(id)} back={href("wires", id)}>
      {data ? (
        mayChange.value && data.data.kind === "modbus" ? (
          <>
            <p>{hand.intro}</p>
            <ReadCard id={id} unit={unit} />
            <WriteCard id={id} unit={unit} />
          </>
        ) : (
          <p class="muted">{mayChange.value ? hand.noModbus : t.control.lookOnly}</p>
        )
      ) : missing ? (
        <Empty icon="cable" title={t.wire.notFound(id)} />
      ) : error !== undefined ? (
        <Failed error={error} retry={reload} />
      ) : (
        <Skeleton />
      )}
    </Page>
  );
}

// Both forms have a unit and an address: the pointers of each are below its own name.
const below = (at: string) => (pointer: string) => at + pointer;
const placed = (faults: OwnFault[], at: string): OwnFault[] => faults.map((f) => ({ ...f, pointer: at + f.pointer }));

interface PlaceProps {
  draft: ReadDraft | WriteDraft;
  change: (part: { unit?: string; address?: string; manual?: boolean }) => void;
  addressed: boolean;
  name: "read" | "write";
}

function PlaceFields({ draft, change, addressed, name }: PlaceProps) {
  const t = useText();
  const { hand } = t.field;
  return (
    <>
      <TextField
        label={t.device.unit}
        at={`/${name}/unit`}
        value={draft.unit}
        set={(unit) => change({ unit })}
        inputMode="numeric"
        testid={`hand-${name}-unit`}
      />
      {addressed && (
        <>
          <TextField
            label={t.device.address}
            hint={hand.addressHint}
            at={`/${name}/address`}
            value={draft.address}
            set={(address) => change({ address })}
            testid={`hand-${name}-address`}
            code
          />
          <SelectField
            label={hand.counted}
            at={`/${name}/addresses`}
            value={draft.manual ? "manual" : "wire"}
            set={(how) => change({ manual: how === "manual" })}
            options={(["wire", "manual"] as const).map((value) => ({
              value,
              label: t.field.options[`addresses.${value}`],
            }))}
            testid={`hand-${name}-counted`}
          />
        </>
      )}
    </>
  );
}

function ReadCard({ id, unit }: { id: string; unit: string }) {
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

function NotDone({ code, error }: { code: string; error: string }) {
  const t = useText();
  return (
    <p class="wrong">
      <Icon name="bad" />
      <span>
        {language.value !== "en" && code !== "" && `${codeWord(code, t)}: `}
        <Told text={error} />
      </span>
    </p>
  );
}

function ReadOutcome({ result }: { result: ReadResult }) {
  const t = useText();
  const { hand } = t.field;
  if (!result.ok) return <NotDone code={result.code} error={result.error} />;
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

function Registers({ registers }: { registers: Register[] }) {
  const t = useText();
  const { hand } = t.field;
  if (registers.length === 0) return null;
  return (
    <table class="registers" data-testid="hand-registers">
      <thead>
        <tr>
          <th scope="col">{t.device.address}</th>
          <th scope="col">{hand.hex}</th>
          <th scope="col">{hand.unsigned}</th>
          <th scope="col">{hand.signed}</th>
        </tr>
      </thead>
      <tbody>
        {registers.map((r) => (
          <tr key={r.address}>
            <th scope="row">{r.address}</th>
            <td>
              <code>{r.hex}</code>
            </td>
            <td>{r.unsigned}</td>
            <td>{r.signed}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function WriteCard({ id, unit }: { id: string; unit: string }) {
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
        <Icon name="stale" />
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
  if (!result.ok) return <NotDone code={result.code} error={result.error} />;
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
