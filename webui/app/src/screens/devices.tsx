import { api } from "../api";
import { useText } from "../i18n";
import { live } from "../live";
import { Icon } from "../parts/icon";
import { Empty, Failed, Skeleton, useLoad } from "../parts/load";
import { Reason, StateMark } from "../parts/mark";
import { Page } from "../parts/page";
import { deviceStatuses, useFollow } from "../parts/states";
import { WireActions } from "../parts/link-actions";
import { href } from "../router";
import { mayChange } from "../session";
import type { Bridge, Device } from "../types";

/** Devices lists the devices with their states, and the wires that they hang on. */
export function Devices() {
  const t = useText();
  const { data, error, reload } = useLoad("devices", async () => {
    const [devices, bridges] = await Promise.all([api.devices.list(), api.bridges.list()]);
    return { devices, bridges };
  });
  useFollow(reload);
  return (
    <Page
      title={t.devices.title}
      actions={
        mayChange.value && (
          <a class="button primary" href={href("devices", "new")} data-testid="device-add">
            <Icon name="plus" />
            {t.devices.add}
          </a>
        )
      }
    >
      {data ? (
        <>
          <DeviceList devices={data.devices} />
          {data.bridges.length > 0 && <Wires bridges={data.bridges} />}
          <p>
            <a class="button" href={href("templates")} data-testid="templates-open">
              {t.field.templates}
            </a>
          </p>
        </>
      ) : error !== undefined ? (
        <Failed error={error} retry={reload} />
      ) : (
        <Skeleton rows={4} />
      )}
    </Page>
  );
}

/** pointCounts counts the points by device, those of templates too: the settings do not have them. */
function pointCounts(): Map<string, number> {
  const counts = new Map<string, number>();
  for (const key of live.picture.values.value.keys()) {
    const device = key.slice(0, key.indexOf("/"));
    counts.set(device, (counts.get(device) ?? 0) + 1);
  }
  return counts;
}

function DeviceList({ devices }: { devices: Device[] }) {
  const t = useText();
  const states = deviceStatuses();
  const counts = pointCounts();
  if (devices.length === 0) return <Empty icon="devices" title={t.devices.empty} text={t.devices.emptyText} />;
  return (
    <ul class="cards">
      {devices.map((d) => {
        const status = states.get(d.id) ?? d.status;
        return (
          <li key={d.id} class="card row" data-testid={`device-${d.id}`}>
            <a class="card-title" href={href("devices", d.id)} data-testid={`device-open-${d.id}`}>
              {d.id}
            </a>
            <StateMark state={status?.state} testid={`device-state-${d.id}`} />
            <span class="muted">
              {[
                d.bridge ? t.devices.onWire(d.bridge) : "",
                d.unit === undefined ? "" : t.devices.unit(d.unit),
                t.devices.points(counts.get(d.id) ?? d.points?.length ?? 0),
              ]
                .filter(Boolean)
                .join(" · ")}
            </span>
            {status?.reason && (
              <p class="why">
                <Reason text={status.reason} />
              </p>
            )}
          </li>
        );
      })}
    </ul>
  );
}

function Wires({ bridges }: { bridges: Bridge[] }) {
  const t = useText();
  return (
    <section aria-labelledby="wires-title">
      <h2 id="wires-title">{t.devices.wires}</h2>
      <p class="muted">{t.devices.wiresText}</p>
      <ul class="cards">
        {bridges.map((b) => {
          const status = live.picture.bridges.value.get(b.id) ?? b.status;
          return (
            <li key={b.id} class="card row" data-testid={`wire-${b.id}`}>
              <a class="card-title" href={href("wires", b.id)} data-testid={`wire-open-${b.id}`}>
                {b.id}
              </a>
              <StateMark state={status?.state} testid={`wire-state-${b.id}`} />
              <span class="muted">
                {linkText(b)} · {t.devices.devicesOnWire(b.devices?.length ?? 0)}
              </span>
              {status?.reason && (
                <p class="why">
                  <Reason text={status.reason} />
                </p>
              )}
              {mayChange.value && <WireActions bridge={b} />}
            </li>
          );
        })}
      </ul>
    </section>
  );
}

/** linkText names the link as people know it: the port with its speed, or the address. */
export function linkText(b: Bridge): string {
  const { serial, tcp, rtu_over_tcp } = b.link ?? {};
  if (serial) return [serial.port.split("/").at(-1), serial.baud, serial.format].filter(Boolean).join(" ");
  return tcp?.address ?? rtu_over_tcp?.address ?? b.kind;
}
