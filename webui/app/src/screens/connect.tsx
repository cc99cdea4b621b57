// What a device must enter to talk MQTT with this gateway.
import { admin } from "../admin-api";
import type { Endpoint, Gateway } from "../admin-types";
import { useText, type Messages } from "../i18n";
import { connection, type Connection } from "../model/connection";
import { CopyBox } from "../parts/copy";
import { Icon } from "../parts/icon";
import { Empty, Failed, Skeleton, useLoad } from "../parts/load";
import { href } from "../router";
import { mayAdminister } from "../session";

export function Connect() {
  const t = useText();
  const { data, error, reload } = useLoad("connect", async () => ({
    gateway: await admin.gateway(),
    accounts: mayAdminister.value ? (await admin.accounts()).length : undefined,
  }));
  if (!data) return error === undefined ? <Skeleton rows={2} /> : <Failed error={error} retry={reload} />;
  const { mqtt } = data.gateway;
  if (mqtt.endpoints.length === 0) return <Empty icon="cable" title={t.connect.none} text={t.connect.noneText} />;
  return (
    <>
      <p>{t.connect.intro}</p>
      {mqtt.allow_anonymous && (
        <p class="note stale">
          <Icon name="stale" />
          <span>{t.connect.anonymous}</span>
        </p>
      )}
      {data.accounts === 0 && !mqtt.allow_anonymous && (
        <div class="note stale">
          <Icon name="stale" />
          <p>{t.connect.noAccounts}</p>
          <a class="button" href={href("mqtt", "accounts")}>
            {t.connect.addAccount}
          </a>
        </div>
      )}
      {mqtt.endpoints.map((e, i) => (
        <Box key={e.address} endpoint={e} gateway={data.gateway} testid={`connect-${i}`} />
      ))}
    </>
  );
}

function Box({ endpoint, gateway, testid }: { endpoint: Endpoint; gateway: Gateway; testid: string }) {
  const t = useText();
  const c = connection(endpoint, location.hostname, gateway.mqtt.listeners);
  const title = c.unix ? t.connect.unix : endpoint.transport === "websocket" ? t.connect.websocket : t.connect.tcp;
  return (
    <section class="card form-step" aria-label={`${title} ${endpoint.address}`}>
      <h2>{title}</h2>
      <CopyBox text={lines(c, gateway.mqtt.allow_anonymous, t)} label={t.connect.copy(title)} testid={testid} />
      {c.here && !c.unix && <p class="note stale">{t.connect.here}</p>}
      {!c.tls && !c.here && <p class="muted">{t.connect.plain}</p>}
      {endpoint.transport === "tcp" && !c.unix && !c.certificate && (
        <details>
          <summary>{t.connect.example}</summary>
          <CopyBox text={command(c, gateway.mqtt.allow_anonymous)} label={t.connect.example} />
        </details>
      )}
    </section>
  );
}

/** lines are what is typed into a device. */
function lines(c: Connection, anonymous: boolean, t: Messages): string {
  const { connect } = t;
  const rows: [string, string][] = [
    [connect.host, c.host],
    ...(c.port ? [[connect.port, c.port] as [string, string]] : []),
    [connect.tls, c.tls ? connect.tlsOn : connect.tlsOff],
    ...(c.path ? [[connect.path, c.path] as [string, string]] : []),
    ...(c.certificate ? [[connect.certificate, connect.certificateNeeded] as [string, string]] : []),
    ...(anonymous || c.certificate
      ? []
      : ([
          [connect.user, connect.userHint],
          [connect.password, connect.passwordHint],
        ] as [string, string][])),
    [connect.protocol, c.path ? `${connect.protocolWords} ${connect.overWebsocket}` : connect.protocolWords],
  ];
  return rows.map(([name, value]) => `${name}: ${value}`).join("\n");
}

function command(c: Connection, anonymous: boolean): string {
  const login = anonymous ? "" : " -u NAME -P PASSWORD";
  return `mosquitto_sub -h ${c.host} -p ${c.port}${c.tls ? " --tls-use-os-certs" : ""}${login} -v -t 'fieldgate/#'`;
}
