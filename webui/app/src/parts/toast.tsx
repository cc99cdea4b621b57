// Short news at the edge of the screen, read out by screen readers.
import { signal } from "@preact/signals";
import { useText } from "../i18n";

interface Toast {
  key: number;
  text: string;
  failed: boolean;
  undo?: () => void;
}

const toasts = signal<Toast[]>([]);
let keys = 0;

function drop(key: number): void {
  toasts.value = toasts.peek().filter((other) => other.key !== key);
}

/** tell shows a text for 6 s, or for 10 s with a way to undo; failures stay until they are closed. */
export function tell(text: string, o: { undo?: () => void; failed?: boolean } = {}): void {
  const toast: Toast = { key: keys++, text, failed: o.failed === true, ...(o.undo && { undo: o.undo }) };
  const lasting = toasts.peek().filter((other) => other.undo !== undefined || other.failed);
  toasts.value = [...lasting.slice(-1), toast]; // two at most: they cover what is below
  if (!toast.failed) window.setTimeout(() => drop(toast.key), toast.undo ? 10_000 : 6000);
}

export function Toasts() {
  const t = useText();
  return (
    <div class="toasts" role="status" aria-live="polite" data-testid="toasts">
      {toasts.value.map((toast) => (
        <div key={toast.key} class={toast.failed ? "toast failed" : "toast"} data-testid="toast">
          <span>{toast.text}</span>
          {toast.undo && (
            <button
              type="button"
              class="button small"
              data-testid="undo"
              onClick={() => {
                drop(toast.key);
                toast.undo?.();
              }}
            >
              {t.undo}
            </button>
          )}
          <button type="button" class="button small quiet" aria-label={t.close} onClick={() => drop(toast.key)}>
            ✕
          </button>
        </div>
      ))}
    </div>
  );
}
