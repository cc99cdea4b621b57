// What reading and writing by hand have in common: where, and how an answer looks.
import { language, useText } from "../i18n";
import type { ReadDraft, WriteDraft } from "../model/by-hand";
import type { OwnFault } from "../model/check";
import type { Register } from "../tool-types";
import { codeWord } from "../words";
import { SelectField, TextField } from "./field";
import { Icon } from "./icon";
import { Told } from "./mark";

// Both forms have a unit and an address: the pointers of each are below its own name.
export const below = (at: string) => (pointer: string) => at + pointer;
export const placed = (faults: OwnFault[], at: string): OwnFault[] =>
  faults.map((f) => ({ ...f, pointer: at + f.pointer }));

interface PlaceProps {
  draft: ReadDraft | WriteDraft;
  change: (part: { unit?: string; address?: string; manual?: boolean }) => void;
  addressed: boolean;
  name: "read" | "write";
}

/** PlaceFields ask for the unit and, when addressed, the address. */
export function PlaceFields({ draft, change, addressed, name }: PlaceProps) {
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

/** Refused says why a device did not do it. */
export function Refused({ code, error }: { code: string; error: string }) {
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

/** Registers shows registers as a device holds them. */
export function Registers({ registers }: { registers: Register[] }) {
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
