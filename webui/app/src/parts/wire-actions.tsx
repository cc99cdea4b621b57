// Pause, resume and delete a wire.
import { useState } from "preact/hooks";
import { api } from "../api";
import { language, useText } from "../i18n";
import { href } from "../router";
import type { Bridge } from "../types";
import { callText } from "../words";
import { ask } from "./dialog";
import { Icon } from "./icon";
import { tell } from "./toast";

export function WireActions(p: { bridge: Bridge; paused: boolean; changed: () => void; withEdit?: boolean }) {
  const t = useText();
  const [busy, setBusy] = useState(false);
  const { id } = p.bridge;

  const run = async (work: () => Promise<void>): Promise<void> => {
    setBusy(true);
    try {
      await work();
      p.changed();
    } catch (error) {
      tell(callText(error, t, language.value === "en"), { failed: true });
    } finally {
      setBusy(false);
    }
  };

  const toggle = (): Promise<void> =>
    run(async () => {
      await (p.paused ? api.bridges.resume(id) : api.bridges.pause(id));
      tell(p.paused ? t.wire.resumedToast(id) : t.wire.pausedToast(id));
    });

  const remove = async (): Promise<void> => {
    const devices = (p.bridge.devices ?? []).map((d) => d.id).join(", ");
    const yes = await ask({
      title: t.wire.deleteTitle(id),
      text: t.wire.deleteText(devices),
      yes: t.delete,
      danger: true,
    });
    if (yes) await run(() => removeWire(id, p.changed));
  };

  return (
    <div class="actions" role="group" aria-label={t.wire.actions(id)}>
      <a class="button small" href={href("wires", id)} data-testid={`wire-edit-${id}`}>
        <Icon name="edit" />
        {t.edit}
      </a>
      <button
        type="button"
        class="button small"
        disabled={busy}
        onClick={() => void toggle()}
        data-testid={`wire-pause-${id}`}
      >
        <Icon name={p.paused ? "play" : "pause"} />
        {p.paused ? t.resume : t.pause}
      </button>
      <button
        type="button"
        class="button small"
        disabled={busy}
        onClick={() => void remove()}
        data-testid={`wire-delete-${id}`}
      >
        <Icon name="trash" />
        {t.delete}
      </button>
    </div>
  );

  async function removeWire(name: string, changed: () => void): Promise<void> {
    const { data: saved, etag } = await api.bridges.get(name);
    await api.bridges.remove(name, etag);
    delete saved.status;
    tell(t.devices.deleted(name), {
      undo: () =>
        void api.bridges.create(saved).then(
          () => {
            tell(t.devices.restored(name));
            changed();
          },
          (error: unknown) => tell(callText(error, t, language.value === "en"), { failed: true }),
        ),
    });
  }
}
