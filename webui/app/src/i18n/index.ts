// The catalogue in the language of the person, or of the browser before a person is known.
import { computed, signal } from "@preact/signals";
import type { Language } from "../types";
import { en } from "./en";
import { zh } from "./zh";

export type Messages = typeof en;

export const catalogues: Record<Language, Messages> = { en, "zh-CN": zh };

/** fromBrowser picks the first language of the browser that we speak; English otherwise. */
export function fromBrowser(wanted: readonly string[]): Language {
  for (const tag of wanted) {
    if (/^zh\b/i.test(tag)) return "zh-CN";
    if (/^en\b/i.test(tag)) return "en";
  }
  return "en";
}

export const language = signal<Language>("en");
export const messages = computed(() => catalogues[language.value]);

/** useText gives the messages to a component, which is drawn again when the language changes. */
export function useText(): Messages {
  return messages.value;
}
