import { useState } from "preact/hooks";
import { api } from "../api";
import { language, useText } from "../i18n";
import { live } from "../live";
import { Control } from "../parts/control";
import { ask } from "../parts/dialog";
import { Icon } from "../parts/icon";
import { Empty, Failed, Skeleton, useLoad } from "../parts/load";
import { Age, StateMark, Told } from "../parts/mark";
import { Page } from "../parts/page";
import { tell } from "../parts/toast";
import { rowsOf, ValueTable, type Row } from "../parts/values";
import { go, href } from "../router";
import { mayChange } from "../session";
import type { Device, Point } from "../types";
import { callText } from "../words";
import { deviceStatuses } from "./overview";

/** DeviceScreen shows one device: its state, its live values, and what can be switched. */
export function DeviceScreen({ id }: { id: string }) {
  const t = useText();
  const { data, error, missing, reload } = useLoad(`device ${id}`, () => api.devices.get(id));
  return (
    <Page
      title={id}
      back={href("devices")}
      actions={mayChange.value && data && <Actions device={data.data} etag={data.etag} />}
    >
      {data ? (
        <Body device={data.data} />
      ) : missing ? (
        <Empty icon="devices" title={t.devices.notFound(id)}>
          <a class="button" href={href("devices")}>
            {t.nav.devices}
          </a>
        </Empty>
      ) : error !== undefined ? (
        <Failed error={error} retry={reload} />
      ) : (
        <Skeleton />
      )}
    </Page>
  );
}

function Body({ device }: { device: Device }) {
  const t = useText();
  const status = deviceStatuses().get(device.id) ?? device.status;
  const points = new Map((device.points ?? []).map((p) => [p.id, p]));
  const control = (r: Row) => {
    const point = points.get(r.point);
    return point?.write ? <PointControl device={device.id} point={point} /> : null;
  };
  return (
    <>
      <p class="device-line">
        <StateMark state={status?.state} testid={`device-state-${device.id}`} />
        {status && (
          <span class="muted">
            <Age time={status.since} lasting />
          </span>
        )}
        {device.bridge && <a href={href("wires", device.bridge)}>{t.devices.onWire(device.bridge)}</a>}
        <span class="muted">
          {t.devices.topic}: <code>{device.topic ?? `fieldgate/${device.id}`}</code>
        </span>
      </p>
      {status?.reason && (
        <p class="note stale">
          <Told text={status.reason} />
        </p>
      )}
      <section class="card group" aria-labelledby="live-title">
        <h2 id="live-title">{t.devices.live}</h2>
        <ValueTable rows={rowsOf(device, live.picture.values.value)} label={device.id} extra={control} />
      </section>
    </>
  );
}

function PointControl({ device, point }: { device: string; point: Point }) {
  const t = useText();
  return mayChange.value ? <Control device={device} point={point} /> : <p class="muted">{t.control.lookOnly}</p>;
}

function Actions({ device, etag }: { device: Device; etag: string }) {
  const t = useText();
  const [busy, setBusy] = useState(false);
  const fail = (error: unknown): void => tell(callText(error, t, language.value === "en"), { failed: true });

  const undo = (): void => {
    const again = { ...device };
    delete again.status;
    api.devices.create(again).then(() => {
      tell(t.devices.restored(device.id));
      go(`/devices/${encodeURIComponent(device.id)}`);
    }, fail);
  };

  const remove = async (): Promise<void> => {
    const { deleteTitle, deleteText } = t.devices;
    if (!(await ask({ title: deleteTitle(device.id), text: deleteText, yes: t.delete, danger: true }))) return;
    setBusy(true);
    try {
      await api.devices.remove(device.id, etag);
      tell(t.devices.deleted(device.id), { undo });
      go("/devices");
    } catch (error) {
      fail(error);
    } finally {
      setBusy(false);
    }
  };

  return (
    <div class="actions">
      <a class="button" href={href("devices", device.id, "edit")} data-testid={`device-edit-${device.id}`}>
        <Icon name="edit" />
        {t.edit}
      </a>
      <button
        type="button"
        class="button"
        disabled={busy}
        onClick={() => void remove()}
        data-testid={`device-delete-${device.id}`}
      >
        <Icon name="trash" />
        {t.delete}
      </button>
    </div>
  );
}
