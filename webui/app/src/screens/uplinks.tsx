import { api } from "../api";
import { useText } from "../i18n";
import { live } from "../live";
import { Icon } from "../parts/icon";
import { Empty, Failed, Skeleton, useLoad } from "../parts/load";
import { Age, StateMark, Told } from "../parts/mark";
import { Page } from "../parts/page";
import { QueueText } from "../parts/queue";
import { useFollow } from "../parts/states";
import { UplinkActions } from "../parts/link-actions";
import { href } from "../router";
import { mayChange } from "../session";
import type { Uplink } from "../types";

/** Uplinks lists the clouds: connected or not, since when, why not, and what waits for them. */
export function Uplinks() {
  const t = useText();
  const { data, error, reload } = useLoad("uplinks", api.uplinks.list);
  useFollow(reload);
  return (
    <Page
      title={t.uplinks.title}
      actions={
        mayChange.value && (
          <a class="button primary" href={href("uplinks", "new")} data-testid="uplink-add">
            <Icon name="plus" />
            {t.uplinks.add}
          </a>
        )
      }
    >
      {data ? (
        data.length === 0 ? (
          <Empty icon="uplinks" title={t.uplinks.empty} text={t.uplinks.emptyText} />
        ) : (
          <ul class="cards">
            {data.map((u) => (
              <UplinkCard key={u.id} uplink={u} />
            ))}
          </ul>
        )
      ) : error !== undefined ? (
        <Failed error={error} retry={reload} />
      ) : (
        <Skeleton rows={2} />
      )}
    </Page>
  );
}

function UplinkCard({ uplink }: { uplink: Uplink }) {
  const status = live.picture.uplinks.value.get(uplink.id) ?? uplink.status;
  return (
    <li class="card row" data-testid={`uplink-${uplink.id}`}>
      <a class="card-title" href={href("uplinks", uplink.id)} data-testid={`uplink-open-${uplink.id}`}>
        {uplink.id}
      </a>
      <StateMark state={status?.state} testid={`uplink-state-${uplink.id}`} />
      {status && (
        <span class="muted">
          <Age time={status.since} lasting />
        </span>
      )}
      <QueueText queue={status?.queue ?? uplink.status?.queue} id={uplink.id} />
      <code class="muted">{uplink.url}</code>
      {status?.reason && (
        <p class="why">
          <Told text={status.reason} />
        </p>
      )}
      {mayChange.value && <UplinkActions uplink={uplink} />}
    </li>
  );
}
