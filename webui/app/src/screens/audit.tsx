import { admin } from "../admin-api";
import { useText } from "../i18n";
import { Empty, Failed, Skeleton } from "../parts/load";
import { More, usePages } from "../parts/pages";

/** Audit lists who changed what. */
export function Audit() {
  const t = useText();
  const { items, error, reload, more } = usePages("audit", admin.audit);
  return (
    <>
      <p>{t.audit.intro}</p>
      {items ? (
        items.length === 0 ? (
          <Empty icon="account" title={t.audit.empty} />
        ) : (
          <ul class="card plain log" data-testid="audit">
            {items.map((e) => (
              <li key={e.id}>
                <time dateTime={e.time}>{new Date(e.time).toLocaleString()}</time>
                <strong>{e.author}</strong>
                <span class="words">
                  <span lang="en">{e.operation.replaceAll("-", " ")}</span> <code class="muted">{e.path}</code>
                </span>
                <span class="muted">{e.address && t.audit.from(e.address)}</span>
              </li>
            ))}
          </ul>
        )
      ) : error !== undefined ? (
        <Failed error={error} retry={reload} />
      ) : (
        <Skeleton />
      )}
      <More more={more} />
    </>
  );
}
