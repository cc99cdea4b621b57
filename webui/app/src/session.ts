// Who is at the page, and in which language.
import { computed, signal } from "@preact/signals";
import { api, ApiError, onSessionEnd } from "./api";
import { language } from "./i18n";
import { live } from "./live";
import type { Language, Setup, System, User } from "./types";

export type Phase = "starting" | "unreachable" | "setup" | "login" | "in";

export const phase = signal<Phase>("starting");
export const user = signal<User | null>(null);
export const setup = signal<Setup | null>(null);
export const system = signal<System | null>(null);
export const mayChange = computed(() => user.value !== null && user.value.role !== "viewer");

export const mayAdminister = computed(() => user.value?.role === "admin");

/** begin finds out where this tab stands: not claimed, not logged in, or in. */
export async function begin(): Promise<void> {
  onSessionEnd.run = () => {
    if (phase.peek() !== "in") return;
    live.stop();
    phase.value = "login";
  };
  phase.value = "starting";
  try {
    enter(await api.session());
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) {
      await beginOutside();
    } else {
      phase.value = "unreachable";
    }
  }
}

async function beginOutside(): Promise<void> {
  try {
    setup.value = await api.setup();
    phase.value = setup.value.claimed ? "login" : "setup";
  } catch {
    phase.value = "unreachable";
  }
}

/** enter shows the page to a person who has just proved who they are. */
export function enter(u: User): void {
  user.value = u;
  if (u.language === "zh-CN" || u.language === "en") language.value = u.language;
  phase.value = "in";
  live.start();
  api.system().then(
    (s) => (system.value = s),
    () => undefined, // the footer stays without a version
  );
}

export async function changeLanguage(l: Language): Promise<void> {
  language.value = l;
  await api.setLanguage(l);
  if (user.value) user.value = { ...user.value, language: l };
}

export async function leave(): Promise<void> {
  await api.logout();
  live.stop();
  location.hash = "/";
  location.reload(); // nothing of the former person stays in memory
}
