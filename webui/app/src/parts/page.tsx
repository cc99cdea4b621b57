// The head of a screen: its name, which also names the tab and takes the focus when the screen opens.
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { useText } from "../i18n";
import { Icon } from "./icon";

let first = true; // the screen that the tab opens with leaves the focus to the browser

export function Page(p: { title: string; back?: string; actions?: ComponentChildren; children: ComponentChildren }) {
  const t = useText();
  const ref = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${p.title} · fieldgate`;
  }, [p.title]);
  useEffect(() => {
    if (!first) ref.current?.focus({ preventScroll: true });
    first = false;
  }, []);
  return (
    <>
      <div class="page-head">
        {p.back !== undefined && (
          <a class="button quiet icon-only" href={p.back} aria-label={t.back}>
            <Icon name="back" />
          </a>
        )}
        <h1 ref={ref} tabIndex={-1}>
          {p.title}
        </h1>
        {p.actions}
      </div>
      {p.children}
    </>
  );
}
