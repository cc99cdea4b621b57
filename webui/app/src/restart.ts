// The gateway starts anew: the page waits and goes on by itself.
import { signal } from "@preact/signals";
import { api, ApiError } from "./api";
import { messages } from "./i18n";
import { live } from "./live";
import { tell } from "./parts/toast";
import { system } from "./session";

const askEvery = 1000; // ms
const lateAfter = 60; // s

/** How long the gateway has been away; null while it is not expected to be. */
export const restarting = signal<{ seconds: number; late: boolean } | null>(null);

/** comeBack waits until a gateway answers that was started after the one that says before, or that wants a new login. */
export async function comeBack(before: string): Promise<void> {
  if (restarting.peek()) return;
  const since = Date.now();
  const seconds = (): number => Math.round((Date.now() - since) / 1000);
  restarting.value = { seconds: 0, late: false };
  while (!(await isBack(before))) {
    restarting.value = { seconds: seconds(), late: seconds() >= lateAfter };
    await new Promise((next) => setTimeout(next, askEvery));
  }
  restarting.value = null;
  live.retryNow();
  tell(messages.value.restart.done(seconds()));
}

async function isBack(before: string): Promise<boolean> {
  try {
    const now = await api.system();
    if (now.started === before) return false;
    system.value = now;
    return true;
  } catch (error) {
    return error instanceof ApiError && error.status === 401; // people log in anew after a restored backup
  }
}
