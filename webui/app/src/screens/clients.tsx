// Who is connected by MQTT, and for whom messages are kept.
import { useState } from "preact/hooks";
import { admin } from "../admin-api";
import type { Client, Session } from "../admin-types";
import { useText } from "../i18n";
import { TextField } from "../parts/field";
import { Icon } from "../parts/icon";
import { Empty, Failed, Skeleton } from "../parts/load";
import { Age, Told } from "../parts/mark";
import { More, usePages } from "../parts/pages";
import { language } from "../i18n";
import { href } from "../router";
import { bytes } from "../words";

interface Row {
  session: Session;
  client: Client | undefined;
}

/** rows joins a page of sessions with what the connections say. */
async function rows(contains: string, next?: string | null) {
  const [sessions, clients] = await Promise.all([admin.sessions(contains, next), admin.clients(contains)]);
  const missing = sessions.items.filter((s) => s.connected && !s.in_process);
  const known = new Map(clients.items.map((c) => [c.client_id, c]));
  const rest = missing.filter((s) => !known.has(s.client_id)); // of later pages
  for (const c of await Promise.all(rest.map((s) => admin.client(s.client_id)))) if (c) known.set(c.client_id, c);
  const items = sessions.items
    .filter((s) => !s.in_process)
    .map((session): Row => ({ session, client: known.get(session.client_id) }));
  return { items, next: sessions.next };
}

export function Clients() {
  const t = useText();
  const [word, setWord] = useState("");
  const [search, setSearch] = useState("");
  const { items, error, reload, more } = usePages(`clients ${search}`, (next) => rows(search, next));
  return (
    <>
      <form
        class="search"
        role="search"
        onSubmit={(e) => {
          e.preventDefault();
          if (word.trim() === search) reload();
          setSearch(word.trim());
        }}
      >
        <TextField label={t.clients.find} at="/contains" value={word} set={setWord} testid="client-find" optional />
        <button type="submit" class="button" data-testid="client-search">
          {word.trim() === search ? t.parts.refresh : t.parts.find}
        </button>
      </form>
      {items ? (
        items.length === 0 && !more ? (
          search ? (
            <Empty icon="devices" title={t.clients.noMatch} />
          ) : (
            <Empty icon="devices" title={t.clients.empty} text={t.clients.emptyText}>
              <a class="button" href={href("mqtt", "connect")}>
                {t.parts.connect}
              </a>
            </Empty>
          )
        ) : (
          <ul class="cards" data-testid="clients">
            {items.map((row) => (
              <ClientCard key={row.session.client_id} {...row} />
            ))}
          </ul>
        )
      ) : error !== undefined ? (
        <Failed error={error} retry={reload} />
      ) : (
        <Skeleton />
      )}
      <More more={more} />
      <p class="muted">{t.clients.inProcessHidden}</p>
    </>
  );
}

export function ConnectedMark({ connected, testid }: { connected: boolean; testid?: string }) {
  const t = useText();
  return (
    <span class={`mark ${connected ? "good" : "waiting"}`} data-testid={testid} data-connected={connected}>
      <Icon name={connected ? "good" : "pause"} />
      {connected ? t.clients.connected : t.clients.away}
    </span>
  );
}

function ClientCard({ session, client }: Row) {
  const t = useText();
  const id = session.client_id;
  return (
    <li class="card row" data-testid={`client-${id}`}>
      <a class="card-title" href={href("mqtt", "clients", id)} data-testid={`client-open-${id}`}>
        {id}
      </a>
      <ConnectedMark connected={session.connected} testid={`client-state-${id}`} />
      {client && (
        <>
          <span class="muted">
            <Age time={client.since} lasting />
          </span>
          <span>{client.username || client.certificate || t.clients.noAccount}</span>
          <code class="muted">{client.address}</code>
          <span class="muted">MQTT {client.protocol}</span>
        </>
      )}
      {session.queued_messages > 0 && (
        <span class="queue">
          {t.queue.waiting(session.queued_messages.toLocaleString(language.value), bytes(session.queued_bytes))}
        </span>
      )}
      {!session.connected && session.last_disconnect && (
        <p class="why">
          <Told text={session.last_disconnect.cause} /> <Age time={session.last_disconnect.time} />
        </p>
      )}
    </li>
  );
}
