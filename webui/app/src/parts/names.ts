// What people call the points, beside their ids: asked for once, and again when points come or go.
import { effect, signal } from "@preact/signals";
import { api } from "../api";
import { language } from "../i18n";
import { live, valueKey } from "../live";

const names = signal<ReadonlyMap<string, Record<string, string>>>(new Map());

async function load(): Promise<void> {
  try {
    const values = await api.values();
    names.value = new Map(values.flatMap((v) => (v.name ? [[valueKey(v.device, v.point), v.name]] : [])));
  } catch {
    // ids are shown alone until the next change
  }
}

/** watchNames loads the names whenever the set of points has changed. */
export function watchNames(): void {
  effect(() => {
    if (live.picture.values.value.size > 0) void load();
  });
}

/** nameIn picks the name in the person's language, then the one without a language, then English. */
export function nameIn(words: Record<string, string> | undefined, tongue: string): string {
  if (!words) return "";
  return words[tongue === "zh-CN" ? "zh" : "en"] ?? words[""] ?? words.en ?? Object.values(words)[0] ?? "";
}

/** pointName is what people call a point, empty when it has only its id. */
export function pointName(device: string, point: string): string {
  const name = nameIn(names.value.get(valueKey(device, point)), language.value);
  return name === point ? "" : name;
}
