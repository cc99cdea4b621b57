// A payload as text, JSON or hex, as the person chooses.
import { useState } from "preact/hooks";
import type { Payload } from "../admin-types";
import { useText } from "../i18n";
import { hexOf, jsonOf, viewsOf, type View } from "../model/payload";
import { bytes } from "../words";

export function PayloadView({ payload, testid }: { payload: Payload; testid?: string }) {
  const t = useText();
  const [chosen, choose] = useState<View>();
  const views = viewsOf(payload);
  const view = chosen && views.includes(chosen) ? chosen : (views[0] ?? "hex");
  if (payload.payload_bytes === 0) return <p class="muted">{t.topics.emptyPayload}</p>;
  const text = view === "json" ? jsonOf(payload) : view === "hex" ? hexOf(payload) : payload.payload;
  return (
    <div class="payload">
      <pre tabIndex={0} role="group" aria-label={t.topics.payload} data-testid={testid} data-view={view}>
        {text}
      </pre>
      {payload.truncated && <p class="muted">{t.topics.truncated(bytes(payload.payload_bytes))}</p>}
      <div class="actions" role="group" aria-label={t.topics.as}>
        {views.length > 1 &&
          views.map((v) => (
            <button
              key={v}
              type="button"
              class="button small"
              aria-pressed={v === view}
              data-testid={testid && `${testid}-${v}`}
              onClick={() => choose(v)}
            >
              {t.topics.views[v]}
            </button>
          ))}
      </div>
    </div>
  );
}
