// What every form does: show all faults at once, keep the entries when saving
// fails, and ask before they are left behind.
import type { ComponentChildren } from "preact";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { ApiError } from "../api";
import { language, useText } from "../i18n";
import type { OwnFault } from "../model/check";
import { setGuard } from "../router";
import { callText, faultText } from "../words";
import { ask } from "./dialog";
import { Faults } from "./field";
import { Icon } from "./icon";

/** useGuard asks before the screen is left while something typed would be lost. */
export function useGuard(dirty: boolean): void {
  const t = useText();
  useEffect(() => {
    if (!dirty) return;
    const { leaveTitle, leaveText, leave, stay } = t.form;
    setGuard(() => ask({ title: leaveTitle, text: leaveText, yes: leave, no: stay, danger: true }));
    return () => setGuard(null);
  }, [dirty, t]);
}

/** useDraft holds a form's entries and guards them from the first change on. change merges into them. */
export function useDraft<T extends object>(make: () => T) {
  const [draft, set] = useState(make);
  const [dirty, setDirty] = useState(false);
  useGuard(dirty);
  const change = useCallback((part: Partial<T>) => {
    set((d) => ({ ...d, ...part }));
    setDirty(true);
  }, []);
  const reset = useCallback((next: T) => {
    set(next);
    setDirty(false);
  }, []);
  return { draft, change, reset };
}

export interface Saving {
  busy: boolean;
  faults: readonly OwnFault[];
  error: unknown;
  stale: boolean;
}

const idle: Saving = { busy: false, faults: [], error: undefined, stale: false };

/** useSaving runs a save at a time, and keeps what is wrong with it; place maps the gateway's pointers to those of the form. */
export function useSaving(place: (pointer: string) => string = (p) => p) {
  const [state, set] = useState<Saving>(idle);
  const [focus, setFocus] = useState(0);
  useEffect(() => {
    if (focus > 0) showFault(state.faults[0]?.pointer);
    // Only a failed save moves the focus, not a change of the faults by itself.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [focus]);

  const reject = (faults: readonly OwnFault[]): void => {
    set({ ...idle, faults });
    setFocus((f) => f + 1);
  };
  const failed = (error: unknown): void => {
    const faults = error instanceof ApiError ? error.faults.map((f) => ({ ...f, pointer: place(f.pointer) })) : [];
    set({ busy: false, faults, error, stale: error instanceof ApiError && error.status === 412 });
    setFocus((f) => f + 1);
  };
  const run = async (work: () => Promise<void>): Promise<void> => {
    set({ ...idle, busy: true });
    try {
      await work();
      set(idle);
    } catch (error) {
      failed(error);
    }
  };
  const clear = (): void => set(idle);
  return { state, reject, failed, run, clear };
}

/** showFault moves the focus to the field at the pointer, and opens what hides it; to the summary when there is none. */
function showFault(pointer: string | undefined): void {
  const field =
    pointer === undefined ? null : document.querySelector<HTMLElement>(`[data-at="${CSS.escape(pointer)}"]`);
  const details = field?.closest("details");
  if (details) details.open = true;
  (field ?? document.getElementById("problems"))?.focus();
}

export function Form(p: {
  saving: Saving;
  onSubmit: () => void;
  overwrite?: () => void;
  loadTheirs?: () => void;
  children: ComponentChildren;
  actions: ComponentChildren;
  testid: string;
}) {
  return (
    <Faults.Provider value={p.saving.faults}>
      <form
        noValidate
        data-testid={p.testid}
        onSubmit={(e) => {
          e.preventDefault();
          if (!p.saving.busy) p.onSubmit();
        }}
      >
        {p.children}
        <Problems saving={p.saving} overwrite={p.overwrite} loadTheirs={p.loadTheirs} />
        <div class="actions bar">{p.actions}</div>
      </form>
    </Faults.Provider>
  );
}

function Problems(p: { saving: Saving; overwrite: (() => void) | undefined; loadTheirs: (() => void) | undefined }) {
  const t = useText();
  const ref = useRef<HTMLDivElement>(null);
  const english = language.value === "en";
  const { faults, error, stale } = p.saving;
  if (faults.length === 0 && error === undefined) return null;
  return (
    <div class="note bad" role="alert" tabIndex={-1} id="problems" ref={ref} data-testid="problems">
      <Icon name="bad" />
      <div>
        {stale ? (
          <>
            <p>{t.form.stale}</p>
            <div class="actions">
              <button type="button" class="button" onClick={p.overwrite} data-testid="overwrite">
                {t.form.overwrite}
              </button>
              <button type="button" class="button" onClick={p.loadTheirs}>
                {t.form.loadTheirs}
              </button>
            </div>
          </>
        ) : faults.length === 0 ? (
          <p>{callText(error, t, english)}</p>
        ) : (
          <>
            <p>{t.form.problems(faults.length)}</p>
            <ul>
              {faults.map((f) => (
                <li key={f.pointer + f.code}>
                  <button type="button" class="link" onClick={() => showFault(f.pointer)}>
                    {faultName(f.pointer)}
                  </button>
                  : {faultText(f, t, english)}
                </li>
              ))}
            </ul>
          </>
        )}
      </div>
    </div>
  );
}

/** faultName says where a fault is by the label that stands at the field, else by its pointer. */
function faultName(pointer: string): string {
  const field = document.querySelector<HTMLElement>(`[data-at="${CSS.escape(pointer)}"]`);
  const label =
    field?.closest("fieldset.choices")?.querySelector("legend") ?? field?.closest(".field")?.querySelector("label");
  const card = field?.closest("[data-row]")?.getAttribute("data-row");
  const name = label?.textContent ?? pointer;
  return card ? `${card}, ${name}` : name;
}
