import { api, type Stored } from "../api";
import { useText } from "../i18n";
import { live } from "../live";
import { fromBridge, toBridge, type WireDraft } from "../model/wire";
import { Form, useDraft, useSaving } from "../parts/form";
import { Icon } from "../parts/icon";
import { Empty, Failed, Skeleton, useLoad } from "../parts/load";
import { Reason, StateMark } from "../parts/mark";
import { Page } from "../parts/page";
import { tell } from "../parts/toast";
import { LinkFields } from "../parts/wire-fields";
import { WireUse } from "../parts/wire-use";
import { go, href } from "../router";
import { mayChange } from "../session";
import type { Bridge } from "../types";

/** WireScreen edits the link settings of a wire; its devices have screens of their own. */
export function WireScreen({ id }: { id: string }) {
  const t = useText();
  const { data, error, missing, reload } = useLoad(`wire ${id}`, () => api.bridges.get(id));
  return (
    <Page title={t.wire.title(id)} back={href("devices")}>
      {data ? (
        <>
          <Head bridge={data.data} />
          {mayChange.value && <WireForm key={data.etag} saved={data} reload={reload} />}
        </>
      ) : missing ? (
        <Empty icon="cable" title={t.wire.notFound(id)} />
      ) : error !== undefined ? (
        <Failed error={error} retry={reload} />
      ) : (
        <Skeleton />
      )}
    </Page>
  );
}

function Head({ bridge }: { bridge: Bridge }) {
  const t = useText();
  const status = live.picture.bridges.value.get(bridge.id) ?? bridge.status;
  const devices = bridge.devices ?? [];
  return (
    <>
      <p class="device-line">
        <StateMark state={status?.state} testid={`wire-state-${bridge.id}`} />
        {devices.length === 0 && <span class="muted">{t.devices.noDevices}</span>}
        {devices.map((d) => (
          <a key={d.id} href={href("devices", d.id)}>
            {d.id}
          </a>
        ))}
      </p>
      {status?.reason && (
        <p class="note stale">
          <Reason text={status.reason} />
        </p>
      )}
      <div class="actions">
        <a class="button" href={href("wires", bridge.id, "frames")} data-testid={`wire-frames-${bridge.id}`}>
          <Icon name="eye" />
          {t.field.frames}
        </a>
        {mayChange.value && bridge.kind === "modbus" && (
          <a class="button" href={href("wires", bridge.id, "hand")} data-testid={`wire-hand-${bridge.id}`}>
            <Icon name="edit" />
            {t.field.hand.open}
          </a>
        )}
        {mayChange.value && (
          <a class="button" href={href("devices", "new", "on", bridge.id)} data-testid={`wire-add-${bridge.id}`}>
            <Icon name="plus" />
            {t.field.addOnWire}
          </a>
        )}
      </div>
      <WireUse status={status} />
    </>
  );
}

function WireForm({ saved, reload }: { saved: Stored<Bridge>; reload: () => void }) {
  const t = useText();
  const { draft, change } = useDraft<WireDraft>(() => fromBridge(saved.data));
  const saving = useSaving((pointer) => `/wire${pointer}`);

  const save = (etag: string): void => {
    const { bridge, faults } = toBridge(draft);
    if (faults.length > 0) return saving.reject(faults.map((f) => ({ ...f, pointer: `/wire${f.pointer}` })));
    void saving.run(async () => {
      await api.bridges.replace(bridge.id, bridge, etag);
      tell(t.devices.saved(bridge.id));
      go("/devices");
    });
  };

  return (
    <Form
      testid="wire-form"
      saving={saving.state}
      onSubmit={() => save(saved.etag)}
      overwrite={() => save("*")}
      loadTheirs={reload}
      actions={
        <>
          <button type="submit" class="button primary" data-testid="wire-save" aria-disabled={saving.state.busy}>
            {saving.state.busy ? t.saving : t.save}
          </button>
          <a class="button" href={href("devices")}>
            {t.cancel}
          </a>
        </>
      }
    >
      <section class="card form-step" aria-label={t.wire.edit}>
        <LinkFields wire={draft} change={change} at="/wire" />
      </section>
    </Form>
  );
}
