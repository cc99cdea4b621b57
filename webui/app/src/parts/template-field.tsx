// Choosing the model of a device: its template brings points, limits and how the device is shipped.
import { useEffect, useState } from "preact/hooks";
import { api } from "../api";
import { language, useText } from "../i18n";
import type { Point } from "../types";
import type { Template, TemplateEntry } from "../tool-types";
import { callText, wordOf } from "../words";
import { TextField } from "./field";
import { Icon } from "./icon";
import { useLoad } from "./load";

/** inLanguage picks a text in the person's language; English when there is none. */
export function inLanguage(texts: string | Record<string, string> | undefined): string {
  if (texts === undefined || typeof texts === "string") return texts ?? "";
  const short = language.value.slice(0, 2);
  return texts[short] ?? texts.en ?? Object.values(texts)[0] ?? "";
}

export function templateName(t: Pick<TemplateEntry, "manufacturer" | "model">): string {
  return `${t.manufacturer} ${t.model}`;
}

/** useTemplate loads a template; nothing for the empty id. */
export function useTemplate(id: string) {
  return useLoad(`template ${id}`, async () => (id === "" ? undefined : (await api.templates.get(id)).data));
}

const shownAtOnce = 8;

/** TemplateSearch offers the templates of a kind (of all kinds for "") that have all the words. */
export function TemplateSearch({ kind, pick }: { kind: string; pick: (t: TemplateEntry) => void }) {
  const t = useText();
  const [words, setWords] = useState("");
  const [all, setAll] = useState(false);
  const { data, error } = useLoad("templates", () => api.templates.list(""));
  useEffect(() => setAll(false), [words]);
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  const found = (data ?? []).filter((e) => {
    if (kind !== "" && e.kind !== kind) return false;
    const category = wordOf(t.field.categories, e.category) ?? "";
    const text = [e.id, e.manufacturer, e.model, ...Object.values(e.description), category].join(" ").toLowerCase();
    return wanted.every((w) => text.includes(w));
  });
  const shown = all ? found : found.slice(0, shownAtOnce);
  return (
    <>
      <TextField
        label={t.field.model}
        hint={t.field.modelHint}
        at="/device/template"
        value={words}
        set={setWords}
        placeholder="SDM630, Waveshare, GPS"
        testid="template-search"
      />
      {error !== undefined && <p class="wrong">{callText(error, t, language.value === "en")}</p>}
      <p class="muted" role="status" data-testid="template-count">
        {data === undefined ? t.loading : t.field.modelsFound(found.length)}
      </p>
      <ul class="picks">
        {shown.map((e) => (
          <li key={e.id}>
            <button type="button" class="pick" onClick={() => pick(e)} data-testid={`template-${e.id}`}>
              <span class="choice-label">{templateName(e)}</span>
              <span class="choice-text">
                {[inLanguage(e.description), t.devices.points(e.point_count), e.own ? t.field.ownTemplate : ""]
                  .filter(Boolean)
                  .join(" · ")}
              </span>
            </button>
          </li>
        ))}
      </ul>
      {found.length > shown.length && (
        <button type="button" class="button" onClick={() => setAll(true)} data-testid="template-all">
          {t.field.showAll(found.length)}
        </button>
      )}
    </>
  );
}

/** TemplateHead says what the chosen template is, how the device is shipped, and where its points come from. */
export function TemplateHead({
  template: e,
  drop,
  differs,
}: {
  template: Template;
  drop: () => void;
  differs: string;
}) {
  const t = useText();
  return (
    <div class="note good" data-testid="template-chosen">
      <Icon name="good" />
      <div>
        <p class="note-title">{templateName(e)}</p>
        <p>{inLanguage(e.description)}</p>
        {e.serial && <p>{t.field.shipped(`${e.serial.baud} ${e.serial.format}`)}</p>}
        {differs !== "" && <p class="why">{t.field.shippedDiffers(differs)}</p>}
        {e.kind === "modbus" && e.serial && <p>{t.field.wiring}</p>}
        <p class="muted">{t.field.source(e.source)}</p>
        <button type="button" class="button small" onClick={drop} data-testid="template-drop">
          {t.field.otherModel}
        </button>
      </div>
    </div>
  );
}

interface PointsProps {
  template: Template;
  off: readonly string[];
  setOff: (off: string[]) => void;
  changed: readonly string[]; // ids that the device changes already
  change: (id: string) => void;
}

/** TemplatePoints lists the points of a template with a switch each, and lets a person change one. */
export function TemplatePoints({ template, off, setOff, changed, change }: PointsProps) {
  const t = useText();
  const toggle = (id: string, on: boolean): void => setOff(on ? off.filter((o) => o !== id) : [...off, id]);
  return (
    <details class="template-points" data-testid="template-points">
      <summary>{t.field.templatePoints(template.points.length - off.length, template.points.length)}</summary>
      <ul class="readings">
        {template.points.map((p) => (
          <li key={p.id}>
            <label class="template-point">
              <input
                type="checkbox"
                checked={!off.includes(p.id)}
                onChange={(e) => toggle(p.id, e.currentTarget.checked)}
                data-testid={`template-point-${p.id}`}
              />
              <span>
                {inLanguage(p.name) || p.id} <span class="muted">{pointText(p)}</span>
              </span>
            </label>
            {!changed.includes(p.id) && !off.includes(p.id) && (
              <button
                type="button"
                class="button small"
                onClick={() => change(p.id)}
                aria-label={t.field.changePoint(p.id)}
                data-testid={`template-change-${p.id}`}
              >
                {t.field.change}
              </button>
            )}
          </li>
        ))}
      </ul>
    </details>
  );
}

function pointText(p: Point): string {
  const where = p.address === undefined ? "" : String(p.address);
  return [p.id, p.unit, [p.table, where].filter(Boolean).join(" ")].filter(Boolean).join(" · ");
}
