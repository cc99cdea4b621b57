import { admin } from "../admin-api";
import type { AuditEntry } from "../admin-types";
import { useText } from "../i18n";
import { Icon } from "../parts/icon";
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
              <li key={e.id} data-operation={e.operation}>
                <time dateTime={e.time}>{new Date(e.time).toLocaleString()}</time>
                <strong>{e.author || t.logins.nobody}</strong>
                <span class="words">
                  <Operation entry={e} />
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

/** Operation says in words what stands in the list most often; all else has the names of the interface. */
function Operation({ entry }: { entry: AuditEntry }) {
  const t = useText();
  if (entry.operation === "login") return <>{t.logins.done}</>;
  if (entry.operation === "login-refused")
    return (
      <span class="mark bad">
        <Icon name="bad" />
        {t.logins.refused}
      </span>
    );
  return (
    <>
      <span lang="en">{entry.operation.replaceAll("-", " ")}</span> <code class="muted">{entry.path}</code>
    </>
  );
}
