// One MQTT client: its connection, its session, what waits for it, and its packets.
import { useEffect, useState } from "preact/hooks";
import { admin } from "../admin-api";
import type { Client, Departure, Queued, Session } from "../admin-types";
import { language, useText, type Messages } from "../i18n";
import { ask } from "../parts/dialog";
import { Facts, type Fact } from "../parts/facts";
import { Empty, Failed, Skeleton, useLoad } from "../parts/load";
import { Age, Told } from "../parts/mark";
import { Page } from "../parts/page";
import { More, usePages } from "../parts/pages";
import { PayloadView } from "../parts/payload";
import { tellFailure } from "../parts/remove-wire";
import { tell } from "../parts/toast";
import { Trace } from "../parts/trace";
import { go, href } from "../router";
import { mayAdminister, mayChange } from "../session";
import { age, bytes } from "../words";
import { ConnectedMark } from "./clients";

const refreshEvery = 5000; // ms

export function ClientScreen({ id }: { id: string }) {
  const t = useText();
  const { data, error, reload } = useLoad(`client ${id}`, async () => {
    const [client, session] = await Promise.all([admin.client(id), admin.session(id)]);
    return { client, session };
  });
  useEffect(() => {
    const timer = window.setInterval(() => {
      if (!document.hidden) reload();
    }, refreshEvery);
    return () => window.clearInterval(timer);
  }, [reload]);
  return (
    <Page title={id} back={href("mqtt", "clients")}>
      {data ? (
        data.session ? (
          <Body id={id} client={data.client} session={data.session} reload={reload} />
        ) : (
          <Empty icon="devices" title={t.clients.notFound(id)} text={t.clients.notFoundText} />
        )
      ) : error !== undefined ? (
        <Failed error={error} retry={reload} />
      ) : (
        <Skeleton />
      )}
      {data && <Trace id={id} />}
    </Page>
  );
}

function Body(p: { id: string; client: Client | null; session: Session; reload: () => void }) {
  const { id, client, session } = p;
  return (
    <>
      <div class="device-line">
        <ConnectedMark connected={session.connected} testid="client-state" />
        {client && (
          <span class="muted">
            <Age time={client.since} lasting />
          </span>
        )}
      </div>
      <Actions {...p} />
      <section class="card">
        <Facts facts={facts(client, session, language.value, useText())} />
      </section>
      {session.queued_messages > 0 && <Queue id={id} />}
    </>
  );
}

function facts(client: Client | null, s: Session, lang: string, t: Messages): Fact[] {
  const { clients: w } = t;
  const count = (n: number): string => n.toLocaleString(lang);
  const kept = !s.durable
    ? w.sessionNot
    : s.session_expiry_seconds === null
      ? w.sessionEver
      : w.sessionFor(age(s.session_expiry_seconds * 1000, t));
  return [
    ...(client
      ? ([
          [w.account, client.username || client.certificate || w.noAccount, "client-account"],
          [w.address, <code>{client.address}</code>],
          [w.listener, <code>{client.listener}</code>],
          [w.protocol, `MQTT ${client.protocol}`],
          [w.since, <Age time={client.since} />],
          [w.lastPacket, <Age time={client.last_packet} />],
          client.keep_alive_seconds > 0 && [w.keepAlive, age(client.keep_alive_seconds * 1000, t)],
          [w.received, w.traffic(count(client.received.messages), bytes(client.received.bytes))],
          [w.sent, w.traffic(count(client.sent.messages), bytes(client.sent.bytes))],
        ] as Fact[])
      : []),
    [w.session, kept],
    [
      w.queued,
      s.queued_messages > 0 ? w.queuedWords(count(s.queued_messages), bytes(s.queued_bytes)) : w.nothingWaits,
      "client-queued",
    ],
    s.dropped_messages > 0 && [w.dropped, w.droppedWords(s.dropped_messages)],
    [w.subscriptions, <Subscriptions session={s} />],
    s.last_disconnect && [w.last, <Left last={s.last_disconnect} />],
  ];
}

function Subscriptions({ session }: { session: Session }) {
  const t = useText();
  const all = session.subscriptions ?? [];
  if (all.length === 0) return t.clients.noSubscriptions;
  return (
    <ul>
      {all.map((s) => (
        <li key={s.filter}>
          <code>{s.filter}</code> <span class="muted">{t.clients.qos(s.qos)}</span>
        </li>
      ))}
    </ul>
  );
}

function Left({ last }: { last: Departure }) {
  const t = useText();
  return (
    <>
      <Age time={last.time} /> – <Told text={last.detail ? `${last.cause}: ${last.detail}` : last.cause} />
      {last.reason_code > 0 && (
        <span class="muted">
          {" "}
          ({t.clients.reason(`0x${last.reason_code.toString(16).padStart(2, "0").toUpperCase()}`)})
        </span>
      )}
    </>
  );
}

function Actions(p: { id: string; session: Session; reload: () => void }) {
  const t = useText();
  const { id, session } = p;
  const disconnect = async (): Promise<void> => {
    const { disconnectTitle, disconnectText, disconnected } = t.clients;
    if (!(await ask({ title: disconnectTitle(id), text: disconnectText, yes: t.clients.disconnect }))) return;
    await admin.disconnect(id);
    tell(disconnected(id));
    p.reload();
  };
  const end = async (): Promise<void> => {
    const { endTitle, endText, ended } = t.clients;
    const text = endText(session.queued_messages, session.subscription_count);
    if (!(await ask({ title: endTitle(id), text, yes: t.clients.end, danger: true }))) return;
    await admin.endSession(id);
    tell(ended(id));
    go("/mqtt/clients");
  };
  if (session.in_process || !mayChange.value) return null;
  return (
    <div class="actions">
      {session.connected && (
        <button
          type="button"
          class="button"
          data-testid="client-disconnect"
          onClick={() => void disconnect().catch(tellFailure)}
        >
          {t.clients.disconnect}
        </button>
      )}
      {mayAdminister.value && (
        <button type="button" class="button" data-testid="client-end" onClick={() => void end().catch(tellFailure)}>
          {t.clients.end}
        </button>
      )}
    </div>
  );
}

function Queue({ id }: { id: string }) {
  const t = useText();
  const [open, setOpen] = useState(false);
  return (
    <section class="card" aria-labelledby="queue-title">
      <h2 id="queue-title">{t.clients.queueTitle}</h2>
      <p class="muted">{t.clients.queueText}</p>
      {open ? (
        <QueueList id={id} />
      ) : (
        <button type="button" class="button" data-testid="queue-show" onClick={() => setOpen(true)}>
          {t.clients.queueShow}
        </button>
      )}
    </section>
  );
}

function QueueList({ id }: { id: string }) {
  const { items, error, reload, more } = usePages<Queued>(`queue ${id}`, (next) => admin.queue(id, next));
  const t = useText();
  if (!items) return error === undefined ? <Skeleton rows={2} /> : <Failed error={error} retry={reload} />;
  return (
    <>
      <ul class="plain" data-testid="queue">
        {items.map((m) => (
          <li key={m.id}>
            <div class="device-line">
              <code>{m.topic}</code>
              <span class="muted">
                {t.clients.qos(m.qos)} {m.inflight && t.clients.inflight} <Age time={m.accepted} />
              </span>
            </div>
            <PayloadView payload={m} />
          </li>
        ))}
      </ul>
      <More more={more} />
    </>
  );
}
