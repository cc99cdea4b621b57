// A long list that comes page by page.
import { useEffect, useState } from "preact/hooks";
import type { Page } from "../admin-types";
import { useText } from "../i18n";
import { tellFailure } from "./remove-wire";
import { useLoad, type Loaded } from "./load";

export interface Paged<T> extends Omit<Loaded<Page<T>>, "data"> {
  items: T[] | undefined;
  more: (() => Promise<void>) | undefined;
}

/** usePages reads the first page at once, and another with each call of more. */
export function usePages<T>(key: string, load: (next?: string | null) => Promise<Page<T>>): Paged<T> {
  const { data, ...rest } = useLoad(key, () => load());
  const [pages, setPages] = useState<{ of: Page<T> | undefined; items: T[]; next: string | null }>();
  useEffect(() => setPages(undefined), [data]);
  const current = pages && pages.of === data ? pages : data && { of: data, items: data.items, next: data.next };
  const next = current?.next;
  const more = async (): Promise<void> => {
    if (!current) return;
    const page = await load(current.next);
    setPages({ of: current.of, items: [...current.items, ...page.items], next: page.items.length ? page.next : null });
  };
  return { ...rest, items: current?.items, more: next ? more : undefined };
}

export function More({ more }: { more: (() => Promise<void>) | undefined }) {
  const t = useText();
  const [busy, setBusy] = useState(false);
  if (!more) return null;
  return (
    <button
      type="button"
      class="button"
      aria-disabled={busy}
      data-testid="more"
      onClick={() => {
        if (busy) return;
        setBusy(true);
        void more()
          .catch(tellFailure)
          .finally(() => setBusy(false));
      }}
    >
      {t.parts.more}
    </button>
  );
}
