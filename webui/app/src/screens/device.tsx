import { useState } from "preact/hooks";
import { api, ApiError } from "../api";
import { useText } from "../i18n";
import { live, valueKey } from "../live";
import { Control } from "../parts/control";
import { ask } from "../parts/dialog";
import { HistoryField } from "../parts/history";
import { Icon } from "../parts/icon";
import { Empty, Failed, Skeleton, useLoad } from "../parts/load";
import { Age, Reason, StateMark } from "../parts/mark";
import { Page } from "../parts/page";
import { removeWire, tellFailure } from "../parts/remove-wire";
import { useTemplate } from "../parts/template-field";
import { tell } from "../parts/toast";
import { deviceStatuses } from "../parts/states";
import { rowsOf, ValueFinder, type Row } from "../parts/values";
import { go, href } from "../router";
import { mayChange } from "../session";
import type { Device, Point } from "../types";

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
  const template = useTemplate(device.template ?? "").data;
  const points = pointsOf(device, template?.points);
  const extra = (r: Row) => {
    const point = points.get(r.point);
    return (
      <>
        <PointControl device={device.id} id={r.point} point={point} />
        <HistoryField device={device.id} point={r.point} />
      </>
    );
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
        {device.bridge && (
          <a href={href("wires", device.bridge, "frames")} data-testid={`device-frames-${device.id}`}>
            {t.field.frames}
          </a>
        )}
        <span class="muted">
          {t.devices.topic}: <code>{device.topic ?? `fieldgate/${device.id}`}</code>
        </span>
      </p>
      {status?.reason && (
        <p class="note stale">
          <Reason text={status.reason} />
        </p>
      )}
      <section class="card group" aria-labelledby="live-title">
        <h2 id="live-title">{t.devices.live}</h2>
        <ValueFinder rows={rowsOf(device, live.picture.values.value)} label={device.id} extra={extra} />
      </section>
    </>
  );
}

/** pointsOf gives the points by their ids, those of the template below the device's own. */
function pointsOf(device: Device, template: Point[] | undefined): Map<string, Point> {
  const points = new Map((template ?? []).map((p) => [p.id, p]));
  for (const p of device.points ?? []) points.set(p.id, { ...points.get(p.id), ...p });
  return points;
}

/** PointControl writes a point whose settings say so, or of which the gateway itself says that it can be written. */
function PointControl({ device, id, point }: { device: string; id: string; point: Point | undefined }) {
  const t = useText();
  const writable = live.picture.values.value.get(valueKey(device, id))?.value.writable;
  if (!point?.write && !writable) return null;
  if (!mayChange.value) return <p class="muted">{t.control.lookOnly}</p>;
  return <Control device={device} point={point ?? { id }} />;
}

function Actions({ device, etag }: { device: Device; etag: string }) {
  const t = useText();
  const [busy, setBusy] = useState(false);
  const restore = async (): Promise<void> => {
    const again = { ...device };
    delete again.status;
    await api.devices.create(again);
    tell(t.devices.restored(device.id));
    go(`/devices/${encodeURIComponent(device.id)}`);
  };

  const removeDevice = async (): Promise<void> => {
    try {
      await api.devices.remove(device.id, etag);
    } catch (error) {
      // A wire that listens for lines is nothing without a device.
      if (!(error instanceof ApiError) || error.status !== 422 || !device.bridge) throw error;
      const { lastTitle, lastText } = t.devices;
      if (!(await ask({ title: lastTitle(device.bridge), text: lastText, yes: t.delete, danger: true }))) return;
      await removeWire(device.bridge);
      go("/devices");
      return;
    }
    tell(t.devices.deleted(device.id), { undo: () => void restore().catch(tellFailure) });
    go("/devices");
  };

  const remove = async (): Promise<void> => {
    const { deleteTitle, deleteText } = t.devices;
    if (!(await ask({ title: deleteTitle(device.id), text: deleteText, yes: t.delete, danger: true }))) return;
    setBusy(true);
    await removeDevice().catch(tellFailure);
    setBusy(false);
  };

  return (
    <div class="actions">
      <a class="button" href={href("devices", device.id, "edit")} data-testid={`device-edit-${device.id}`}>
        <Icon name="edit" />
        {t.edit}
      </a>
      <a class="button" href={href("devices", device.id, "points")} data-testid={`device-table-${device.id}`}>
        {t.table.open}
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
