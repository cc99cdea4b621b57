// A known cloud to begin an uplink with: what is usual there is filled in, what is missing is named.
import { useState } from "preact/hooks";
import { api } from "../api";
import { language, useText } from "../i18n";
import type { Preset } from "../types";
import { wordOf } from "../words";
import { SelectField } from "./field";
import { useLoad } from "./load";
import { nameIn } from "./names";

/** PresetField hands over the chosen preset, undefined for none. Without a list it is not there: a form works without it. */
export function PresetField({ choose }: { choose: (preset: Preset | undefined) => void }) {
  const t = useText();
  const { data } = useLoad("uplink-presets", api.presets);
  const [id, setID] = useState("");
  if (!data || data.length === 0) return null;
  const preset = data.find((p) => p.id === id);
  const set = (next: string): void => {
    setID(next);
    choose(data.find((p) => p.id === next));
  };
  return (
    <section class="card form-step" aria-label={t.preset.label}>
      <SelectField
        label={t.preset.label}
        hint={t.preset.noneHint}
        at="/preset"
        value={id}
        set={set}
        options={[
          { value: "", label: t.preset.none },
          ...data.map((p) => ({ value: p.id, label: nameIn(p.name, language.value) })),
        ]}
        testid="uplink-preset"
      />
      {preset && <Advice preset={preset} />}
    </section>
  );
}

function Advice({ preset }: { preset: Preset }) {
  const t = useText();
  const fill = preset.fill ?? [];
  return (
    <div role="status" data-testid="preset-advice">
      <p>{nameIn(preset.advice, language.value)}</p>
      {fill.length > 0 && (
        <>
          <p>{t.preset.missing}</p>
          <ul class="list">
            {fill.map((f) => (
              <li key={f.pointer}>
                <strong>{wordOf(t.preset.fields, f.pointer) ?? f.pointer}</strong>{" "}
                <span class="muted">{t.preset.example(f.example)}</span>
              </li>
            ))}
          </ul>
        </>
      )}
    </div>
  );
}
