import { api } from "../api";
import { useText } from "../i18n";
import { live } from "../live";
import { health, type Health } from "../model/health";
import { AlarmList } from "../parts/alarms";
import { Icon } from "../parts/icon";
import { Lazy } from "../parts/lazy";
import { Failed, Skeleton, useLoad } from "../parts/load";
import { StateMark, Told } from "../parts/mark";
import { Page } from "../parts/page";
import { QueueText } from "../parts/queue";
import { deviceStatuses, useFollow } from "../parts/states";
import { rowsOf, ValueTable } from "../parts/values";
import { href } from "../router";
import { mayChange } from "../session";
import type { Alarm, Device, Uplink } from "../types";

interface All {
  devices: Device[];
  uplinks: Uplink[];
}

/** Overview answers the one question first: is all well? */
export function Overview() {
  const t = useText();
  const { data, error, reload } = useLoad("overview", async () => {
    const [devices, uplinks] = await Promise.all([api.devices.list(), api.uplinks.list()]);
    return { devices, uplinks };
  });
  useFollow(reload);
  return (
    <Page title={t.overview.title}>
      {data ? (
        <Body {...data} />
      ) : error !== undefined ? (
        <Failed error={error} retry={reload} />
      ) : (
        <Skeleton rows={5} />
      )}
    </Page>
  );
}

function Body({ devices, uplinks }: All) {
  const t = useText();
  const states = deviceStatuses();
  const current = devices.map((d) => ({ ...d, status: states.get(d.id) ?? d.status }));
  const now = uplinks.map((u) => ({ ...u, status: live.picture.uplinks.value.get(u.id) ?? u.status }));
  const alarms = live.picture.alarms.value;
  return (
    <>
      <HealthLine words={health(current, now, alarms, t)} />
      {alarms.length > 0 && <Alarms alarms={alarms} />}
      {mayChange.value && (devices.length === 0 || uplinks.length === 0) && (
        <FirstSteps device={devices.length > 0} uplink={uplinks.length > 0} />
      )}
      {uplinks.length > 0 && (
        <section aria-labelledby="uplinks-title">
          <h2 id="uplinks-title">{t.overview.uplinksTitle}</h2>
          <ul class="cards">
            {now.map((u) => (
              <li key={u.id} class="card row">
                <a class="card-title" href={href("uplinks", u.id)}>
                  {u.id}
                </a>
                <StateMark state={u.status?.state} testid={`uplink-state-${u.id}`} />
                <QueueText queue={u.status?.queue} id={u.id} />
                {u.status?.reason && (
                  <p class="why">
                    <Told text={u.status.reason} />
                  </p>
                )}
              </li>
            ))}
          </ul>
        </section>
      )}
      {devices.length > 0 && (
        <section aria-labelledby="values-title">
          <h2 id="values-title">{t.overview.valuesTitle}</h2>
          <div class="groups">
            {current.map((d, i) => (
              <DeviceGroup key={d.id} device={d} eager={i < 6} />
            ))}
          </div>
        </section>
      )}
    </>
  );
}

function DeviceGroup({ device, eager }: { device: Device; eager: boolean }) {
  const rows = rowsOf(device, live.picture.values.value);
  return (
    <section class="card group" aria-labelledby={`group-${device.id}`}>
      <div class="group-head">
        <h3 id={`group-${device.id}`}>
          <a href={href("devices", device.id)}>{device.id}</a>
        </h3>
        <StateMark state={device.status?.state} testid={`device-state-${device.id}`} />
      </div>
      {device.status?.reason && (
        <p class="why">
          <Told text={device.status.reason} />
        </p>
      )}
      <Lazy height={Math.min(rows.length, 40) * 45} eager={eager}>
        {() => <ValueTable rows={rows} label={device.id} />}
      </Lazy>
    </section>
  );
}

function HealthLine({ words }: { words: Health }) {
  return (
    <div class={`health ${words.tone}`} role="status" data-testid="health" data-tone={words.tone}>
      <Icon name={words.tone} />
      <p>
        <strong>{words.words}</strong> {words.detail}
      </p>
    </div>
  );
}

function Alarms({ alarms }: { alarms: Alarm[] }) {
  const t = useText();
  return (
    <section aria-labelledby="alarms-title">
      <h2 id="alarms-title">{t.overview.alarmsTitle}</h2>
      <AlarmList alarms={alarms} />
    </section>
  );
}

function FirstSteps({ device, uplink }: { device: boolean; uplink: boolean }) {
  const t = useText();
  return (
    <section class="card steps" aria-labelledby="steps-title">
      <h2 id="steps-title">{t.overview.firstSteps}</h2>
      <ol>
        <Step
          done={device}
          title={t.overview.step1}
          text={t.overview.step1Text}
          to={href("devices", "new")}
          testid="first-device"
        />
        <Step
          done={uplink}
          title={t.overview.step2}
          text={t.overview.step2Text}
          to={href("uplinks", "new")}
          testid="first-uplink"
        />
      </ol>
    </section>
  );
}

function Step(p: { done: boolean; title: string; text: string; to: string; testid: string }) {
  const t = useText();
  return (
    <li class={p.done ? "step done" : "step"}>
      <div>
        <p class="step-title">{p.title}</p>
        <p class="muted">{p.text}</p>
      </div>
      {p.done ? (
        <span class="mark good">
          <Icon name="good" />
          {t.overview.done}
        </span>
      ) : (
        <a class="button primary" href={p.to} data-testid={p.testid}>
          {p.title}
        </a>
      )}
    </li>
  );
}
