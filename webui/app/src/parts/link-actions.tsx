// Edit, pause, resume and delete a wire or an uplink.
import { useState } from "preact/hooks";
import { api } from "../api";
import { useText } from "../i18n";
import { live } from "../live";
import { href } from "../router";
import type { Bridge, Uplink } from "../types";
import { bytes } from "../words";
import { ask } from "./dialog";
import { Icon } from "./icon";
import { removeWire, tellFailure } from "./remove-wire";
import { tell } from "./toast";

export function WireActions({ bridge }: { bridge: Bridge }) {
  const t = useText();
  const { id } = bridge;
  const remove = async (): Promise<void> => {
    const devices = (bridge.devices ?? []).map((d) => d.id).join(", ");
    const { deleteTitle, deleteText } = t.wire;
    if (await ask({ title: deleteTitle(id), text: deleteText(devices), yes: t.delete, danger: true }))
      await removeWire(id);
  };
  return (
    <Actions
      name="wire"
      id={id}
      label={t.wire.actions(id)}
      edit={href("wires", id)}
      paused={bridge.enabled === false}
      calls={api.bridges}
      remove={remove}
    />
  );
}

/** UplinkActions has no undo: the queue and the password go with the uplink. */
export function UplinkActions({ uplink }: { uplink: Uplink }) {
  const t = useText();
  const { id } = uplink;
  const remove = async (): Promise<void> => {
    const queue = live.picture.uplinks.value.get(id)?.queue ?? uplink.status?.queue;
    const waiting = queue?.messages ? t.queue.waiting(String(queue.messages), bytes(queue.bytes)) : t.queue.empty;
    const { deleteTitle, deleteText, deleted } = t.uplinks;
    if (!(await ask({ title: deleteTitle(id), text: deleteText(waiting), yes: t.delete, danger: true }))) return;
    const { etag } = await api.uplinks.get(id);
    await api.uplinks.remove(id, etag);
    tell(deleted(id));
  };
  return (
    <Actions
      name="uplink"
      id={id}
      label={t.uplinks.actions(id)}
      edit={href("uplinks", id)}
      paused={uplink.enabled === false}
      calls={api.uplinks}
      remove={remove}
    />
  );
}

interface Props {
  name: "wire" | "uplink";
  id: string;
  label: string;
  edit: string;
  paused: boolean;
  calls: { pause: (id: string) => Promise<unknown>; resume: (id: string) => Promise<unknown> };
  remove: () => Promise<void>;
}

function Actions(p: Props) {
  const t = useText();
  const [busy, setBusy] = useState(false);
  const run = async (work: () => Promise<void>): Promise<void> => {
    setBusy(true);
    await work().catch(tellFailure);
    setBusy(false);
  };
  const toggle = async (): Promise<void> => {
    await (p.paused ? p.calls.resume(p.id) : p.calls.pause(p.id));
    tell(p.paused ? t.wire.resumedToast(p.id) : t.wire.pausedToast(p.id));
  };
  const small = { type: "button", class: "button small", disabled: busy } as const;
  return (
    <div class="actions" role="group" aria-label={p.label}>
      <a class="button small" href={p.edit} data-testid={`${p.name}-edit-${p.id}`}>
        <Icon name="edit" />
        {t.edit}
      </a>
      <button {...small} data-testid={`${p.name}-pause-${p.id}`} onClick={() => void run(toggle)}>
        <Icon name={p.paused ? "play" : "pause"} />
        {p.paused ? t.resume : t.pause}
      </button>
      <button {...small} data-testid={`${p.name}-delete-${p.id}`} onClick={() => void run(p.remove)}>
        <Icon name="trash" />
        {t.delete}
      </button>
    </div>
  );
}
