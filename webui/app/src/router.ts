// Where the page is: the part of the address after #, and the guard that asks
// before entries that were not saved are left behind.
import { computed, signal } from "@preact/signals";

function current(): string {
  const hash = location.hash.replace(/^#/, "");
  return hash.startsWith("/") ? hash : "/";
}

export const path = signal(current());
export const segments = computed(() => parts(path.value));

/** parts gives the names of a path; one whose % stands for nothing is taken as it is written. */
export function parts(of: string): string[] {
  return of
    .split("/")
    .filter(Boolean)
    .map((part) => {
      try {
        return decodeURIComponent(part);
      } catch {
        return part;
      }
    });
}

/** Asked before the page leaves a form; true lets go. */
export type Guard = () => Promise<boolean>;
const guard = signal<Guard | null>(null);

export function setGuard(g: Guard | null): void {
  guard.value = g;
}

export function go(to: string): void {
  setGuard(null);
  location.hash = to;
}

export function href(...parts: string[]): string {
  return "#/" + parts.map(encodeURIComponent).join("/");
}

async function changed(): Promise<void> {
  const to = current();
  if (to === path.value) return;
  const ask = guard.value;
  if (ask) {
    history.replaceState(null, "", "#" + path.value);
    if (!(await ask())) return;
    go(to);
    return;
  }
  path.value = to;
  window.scrollTo(0, 0);
}

export function watchAddress(): void {
  window.addEventListener("hashchange", () => void changed());
  window.addEventListener("beforeunload", (e) => {
    if (guard.value) e.preventDefault();
  });
}
