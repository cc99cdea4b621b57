// What a screen shows while its data comes, when it does not come, and when there is none.
import type { ComponentChildren } from "preact";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { ApiError } from "../api";
import { language, useText } from "../i18n";
import { callText } from "../words";
import { Icon, type IconName } from "./icon";

export interface Loaded<T> {
  data: T | undefined;
  error: unknown;
  missing: boolean; // the gateway says that it does not exist
  reload: () => void;
}

/** useLoad calls load at once and again whenever key changes; answers that come too late are dropped. */
export function useLoad<T>(key: string, load: () => Promise<T>): Loaded<T> {
  const [state, set] = useState<{ key: string; data?: T; error?: unknown }>({ key });
  const [round, again] = useState(0);
  const latest = useRef(load);
  latest.current = load;
  useEffect(() => {
    let current = true;
    latest.current().then(
      (data) => {
        if (current) set({ key, data });
      },
      (error: unknown) => {
        if (current) set((s) => (s.key === key && s.data !== undefined ? s : { key, error }));
      },
    );
    return () => {
      current = false;
    };
  }, [key, round]);
  const reload = useCallback(() => {
    set((s) => ({ ...s, error: undefined }));
    again((r) => r + 1);
  }, []);
  const mine = state.key === key;
  return {
    data: mine ? state.data : undefined,
    error: mine ? state.error : undefined,
    missing: mine && state.error instanceof ApiError && state.error.status === 404,
    reload,
  };
}

/** Skeleton stands where content will be; its style hides it for the first 200 ms. */
export function Skeleton({ rows = 3 }: { rows?: number }) {
  const t = useText();
  return (
    <div class="skeleton" role="status">
      <span class="hidden">{t.loading}</span>
      {Array.from({ length: rows }, (_, i) => (
        <div key={i} class="skeleton-row" />
      ))}
    </div>
  );
}

export function Failed({ error, retry }: { error: unknown; retry: () => void }) {
  const t = useText();
  return (
    <div class="note bad" role="alert" data-testid="load-failed">
      <Icon name="bad" />
      <p>{callText(error, t, language.value === "en")}</p>
      <button type="button" class="button" onClick={retry}>
        {t.retry}
      </button>
    </div>
  );
}

export function Empty(p: { icon: IconName; title: string; text?: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <Icon name={p.icon} />
      <p class="empty-title">{p.title}</p>
      {p.text && <p>{p.text}</p>}
      {p.children}
    </div>
  );
}
