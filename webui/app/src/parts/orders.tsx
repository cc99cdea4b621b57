// One read of the registers of a point, in all types and byte orders: a person sees which one is right.
import { useState } from "preact/hooks";
import { api, ApiError } from "../api";
import { language, useText, type Messages } from "../i18n";
import { bits, chosen, type PointDraft } from "../model/device";
import type { Decode, ReadResult } from "../tool-types";
import type { Bridge } from "../types";
import { callText, codeWord, faultText } from "../words";
import { Told } from "./mark";

/** Where to read: a saved wire by its id, or the settings of a new one. */
export interface Line {
  saved?: string;
  bridge?: Bridge;
}

interface Props {
  point: PointDraft;
  i: number;
  unit: string;
  line: () => Line | undefined;
  take: (part: Partial<PointDraft>) => void;
}

const registers = 4; // as many as the widest number has

/** OrderTrial reads at the point's address and offers what the registers can mean. */
export function OrderTrial({ point, i, unit, line, take }: Props) {
  const t = useText();
  const [busy, setBusy] = useState(false);
  const [result, setResult] = useState<ReadResult>();
  const [wrong, setWrong] = useState("");
  const at = chosen(point);

  const read = async (): Promise<void> => {
    const of = line();
    if (!of || !at) {
      setWrong(at ? "" : t.own.bad_address);
      return;
    }
    setBusy(true);
    setWrong("");
    const single = bits(point.table);
    const question = (quantity: number) =>
      api.read(of.saved, {
        ...(of.bridge && { bridge: of.bridge }),
        unit: Number(unit) || 0,
        table: point.table,
        address: at.wire,
        quantity,
      });
    try {
      let answer = await question(single ? 1 : Math.min(registers, 65_536 - at.wire));
      // A device may have fewer registers there; two are enough for most numbers, one for the rest.
      for (const fewer of single ? [] : [2, 1])
        if (answer.exception === 2 || answer.exception === 3) answer = await question(fewer);
      setResult(answer);
    } catch (e) {
      setResult(undefined);
      setWrong(words(e, t));
    } finally {
      setBusy(false);
    }
  };

  return (
    <div class="tool" data-testid={`try-${i}`}>
      <button
        type="button"
        class="button small"
        aria-disabled={busy}
        data-testid={`try-read-${i}`}
        onClick={() => {
          if (!busy) void read();
        }}
      >
        {busy ? t.field.reading : t.field.readNow}
      </button>
      <div aria-live="polite">
        {wrong !== "" && <p class="wrong">{wrong}</p>}
        {result && <Outcome result={result} point={point} i={i} take={take} />}
      </div>
    </div>
  );
}

function words(error: unknown, t: Messages): string {
  const english = language.value === "en";
  if (error instanceof ApiError && error.faults.length > 0)
    return error.faults.map((f) => faultText(f, t, english)).join(" ");
  return callText(error, t, english);
}

function Outcome({ result, point, i, take }: { result: ReadResult } & Pick<Props, "point" | "i" | "take">) {
  const t = useText();
  const [all, setAll] = useState(false);
  if (!result.ok) {
    return (
      <p class="wrong" data-testid={`try-failed-${i}`}>
        {language.value !== "en" && result.code && `${codeWord(result.code, t)}: `}
        <Told text={result.error} />
      </p>
    );
  }
  const first = (result.registers ?? [])[0]?.address;
  const decodes = (result.decodes ?? []).filter(
    (d) => (first === undefined || d.address === first) && d.value !== null,
  );
  const shown = all ? decodes : decodes.filter((d) => d.likely || (d.type === point.type && d.order === point.order));
  return (
    <div data-testid={`try-result-${i}`}>
      <p>
        {t.field.readGave(result.ms)}{" "}
        <code>{(result.registers ?? []).map((r) => r.hex).join(" ") || bitText(result, t)}</code>
      </p>
      {decodes.length > 0 && <p class="muted">{t.field.readPick}</p>}
      <ul class="decodes">
        {shown.map((d) => (
          <li key={`${d.type} ${d.order}`}>
            <DecodeButton
              decode={d}
              chosen={d.type === point.type && (d.order === point.order || d.registers === 1)}
              take={() => take({ type: d.type, order: d.order, bit: "" })}
              testid={`try-${i}-${d.type}-${d.order}`}
            />
          </li>
        ))}
      </ul>
      {shown.length < decodes.length && (
        <button type="button" class="button small" onClick={() => setAll(true)} data-testid={`try-all-${i}`}>
          {t.field.showAll(decodes.length)}
        </button>
      )}
    </div>
  );
}

function bitText(result: ReadResult, t: Messages): string {
  return (result.bits ?? []).map((b) => (b.value ? t.on : t.off)).join(" ");
}

function DecodeButton(p: { decode: Decode; chosen: boolean; take: () => void; testid: string }) {
  const { decode: d } = p;
  return (
    <button type="button" class="pick decode" aria-pressed={p.chosen} onClick={p.take} data-testid={p.testid}>
      <span class="value">{d.text}</span>
      <span class="choice-text">
        {d.type} {d.order}
      </span>
    </button>
  );
}
