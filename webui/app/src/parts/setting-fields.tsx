// The fields of settings that are described in model/field-settings.ts.
import { useText } from "../i18n";
import { visibleHint, type Entries, type Setting } from "../model/setting";
import { wordOf } from "../words";
import { CheckField, SelectField, TextField } from "./field";

interface Props {
  settings: readonly Setting[];
  entries: Entries;
  change: (entries: Entries) => void;
  at: string; // JSON pointer of the object within the form
  row?: number; // tells the fields of several objects apart in tests
}

/** SettingFields shows a field for each setting; their test names are "setting-<name>", with "-<row>" behind. */
export function SettingFields(p: Props) {
  return (
    <>
      {p.settings.map((s) => (
        <SettingField key={s.path} {...p} setting={s} />
      ))}
    </>
  );
}

function SettingField({ setting: s, entries, change, at, row }: Props & { setting: Setting }) {
  const t = useText();
  const value = entries[s.path] ?? (s.as === "yes" ? String(s.usual ?? false) : (s.options?.[0] ?? ""));
  const set = (text: string): void => change({ ...entries, [s.path]: text });
  const hint = wordOf(t.field.hints, s.name) ?? visibleHint(s, t.field.notation);
  const common = {
    label: wordOf(t.field.settings, s.name) ?? s.name,
    at: at + s.path,
    testid: `setting-${s.name}${row === undefined ? "" : `-${row}`}`,
    ...(hint && { hint }),
  };
  if (s.as === "yes") return <CheckField {...common} value={value === "true"} set={(on) => set(String(on))} />;
  if (s.as === "choice") {
    const words = wordOf(t.field.usual, s.name) ?? t.field.usualOption;
    const options = (s.options ?? []).map((o) => ({
      value: o,
      label: wordOf(t.field.options, `${s.name}.${o}`) ?? (o === "" || o === "0" ? words : o),
    }));
    return <SelectField {...common} value={value} set={set} options={options} />;
  }
  return (
    <TextField
      {...common}
      value={value}
      set={set}
      optional
      {...(s.placeholder !== undefined && { placeholder: s.placeholder })}
      {...(s.as === "bytes" || s.as === "list" ? { code: true } : {})}
      {...(s.as === "whole" ? { inputMode: "numeric" as const } : {})}
    />
  );
}
