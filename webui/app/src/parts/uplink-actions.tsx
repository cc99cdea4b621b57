// Pause, resume and delete an uplink. There is no undo: its queue and its password go with it.
import { useState } from "preact/hooks";
import { api } from "../api";
import { language, useText } from "../i18n";
import { live } from "../live";
import { href } from "../router";
import type { Uplink } from "../types";
import { bytes, callText } from "../words";
import { ask } from "./dialog";
import { Icon } from "./icon";
import { tell } from "./toast";

export function UplinkActions({ uplink, changed }: { uplink: Uplink; changed: () => void }) {
  const t = useText();
  const [busy, setBusy] = useState(false);
  const { id } = uplink;
  const paused = uplink.enabled === false;

  const run = async (work: () => Promise<void>): Promise<void> => {
    setBusy(true);
    try {
      await work();
      changed();
    } catch (error) {
      tell(callText(error, t, language.value === "en"), { failed: true });
    } finally {
      setBusy(false);
    }
  };

  const toggle = (): Promise<void> =>
    run(async () => {
      await (paused ? api.uplinks.resume(id) : api.uplinks.pause(id));
      tell(paused ? t.wire.resumedToast(id) : t.wire.pausedToast(id));
    });

  const remove = async (): Promise<void> => {
    const queue = live.picture.uplinks.value.get(id)?.queue ?? uplink.status?.queue;
    const waiting = queue?.messages ? t.queue.waiting(String(queue.messages), bytes(queue.bytes)) : t.queue.empty;
    const question = {
      title: t.uplinks.deleteTitle(id),
      text: t.uplinks.deleteText(waiting),
      yes: t.delete,
      danger: true,
    };
    if (!(await ask(question))) return;
    await run(async () => {
      const { etag } = await api.uplinks.get(id);
      await api.uplinks.remove(id, etag);
      tell(t.uplinks.deleted(id));
    });
  };

  return (
    <div class="actions" role="group" aria-label={t.uplinks.actions(id)}>
      <a class="button small" href={href("uplinks", id)} data-testid={`uplink-edit-${id}`}>
        <Icon name="edit" />
        {t.edit}
      </a>
      <button
        type="button"
        class="button small"
        disabled={busy}
        onClick={() => void toggle()}
        data-testid={`uplink-pause-${id}`}
      >
        <Icon name={paused ? "play" : "pause"} />
        {paused ? t.resume : t.pause}
      </button>
      <button
        type="button"
        class="button small"
        disabled={busy}
        onClick={() => void remove()}
        data-testid={`uplink-delete-${id}`}
      >
        <Icon name="trash" />
        {t.delete}
      </button>
    </div>
  );
}
