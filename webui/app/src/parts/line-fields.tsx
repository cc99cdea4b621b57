// The pattern that takes a line apart, tried out while it is typed.
import { useText } from "../i18n";
import { expression, groupNames, newPoint, type DeviceDraft } from "../model/device";
import { lineAsk, lineDevice, parseMore, parseOf, parses, type Parse } from "../model/field-settings";
import { AreaField, SelectField, type Option } from "./field";
import { Icon } from "./icon";
import { SettingFields } from "./setting-fields";

interface Props {
  device: DeviceDraft;
  change: (part: Partial<DeviceDraft>) => void;
  sample: string;
  setSample: (text: string) => void;
}

/** FrameFields ask how the frames of a line device are written, and how the device is asked for them. */
export function FrameFields(p: Props) {
  const { device, change } = p;
  const t = useText();
  const form = device.parse;
  const more = (settings: Parameters<typeof SettingFields>[0]["settings"]) => (
    <SettingFields settings={settings} entries={device.more} change={(m) => change({ more: m })} at="/device" />
  );
  const options: Option[] = parses.map((f) => ({ value: f, label: t.field.parses[f] }));
  if (device.template !== "") options.unshift({ value: "", label: t.field.asTemplate });
  return (
    <>
      <SelectField
        label={t.field.parse}
        at="/device/parse"
        value={form}
        set={(f) => change({ parse: f as Parse })}
        options={options}
        testid="device-parse"
      />
      {form === "regex" && <PatternFields {...p} />}
      {form !== "" && parseOf[form].length > 0 && <div class="grid">{more(parseOf[form])}</div>}
      <div class="grid">{more(lineAsk)}</div>
      <details>
        <summary>{t.more}</summary>
        <div class="grid">
          {more(parseMore)}
          {more(lineDevice)}
        </div>
      </details>
    </>
  );
}

function PatternFields({ device, change, sample, setSample }: Props) {
  const t = useText();
  const named = groupNames(device.regex);
  const have = new Set(device.points.map((p) => p.id));
  const missing = named.filter((name) => !have.has(name));
  const add = (): void =>
    change({
      points: [...device.points.filter((p) => p.id !== ""), ...missing.map((id) => ({ ...newPoint("line"), id }))],
    });
  return (
    <>
      <AreaField
        label={t.device.regex}
        hint={t.device.regexHint}
        at="/device/parse/regex"
        value={device.regex}
        set={(regex) => change({ regex })}
        testid="device-regex"
      />
      <AreaField
        label={t.device.sample}
        hint={t.device.sampleHint}
        at="/device/sample"
        value={sample}
        set={setSample}
        testid="device-sample"
      />
      {device.regex !== "" && <Match regex={device.regex} sample={sample} />}
      {missing.length > 0 && (
        <button type="button" class="button" onClick={add} data-testid="points-from-groups">
          <Icon name="plus" />
          {t.device.fromGroups(missing.join(", "))}
        </button>
      )}
    </>
  );
}

function Match({ regex, sample }: { regex: string; sample: string }) {
  const t = useText();
  const e = expression(regex);
  if (e instanceof Error) return <p class="note stale">{t.device.regexBroken(e.message)}</p>;
  if (sample === "") return groupNames(regex).length === 0 ? <p class="muted">{t.device.regexNoGroups}</p> : null;
  const match = e.exec(sample);
  if (!match) {
    return (
      <p class="note stale" data-testid="regex-match" data-match="false">
        {t.device.regexNoMatch}
      </p>
    );
  }
  const groups = Object.entries(match.groups ?? {});
  return (
    <div class="note good" data-testid="regex-match" data-match="true">
      <Icon name="good" />
      <div>
        <p class="note-title">{groups.length > 0 ? t.device.regexMatch : t.device.regexNoGroups}</p>
        <ul class="readings">
          {groups.map(([name, text]) => (
            <li key={name}>
              <span>{name}</span>
              <code>{text}</code>
            </li>
          ))}
        </ul>
      </div>
    </div>
  );
}
