import { api } from "../api";
import { language, messages } from "../i18n";
import { callText } from "../words";
import { tell } from "./toast";

/** tellFailure shows why a call failed. */
export function tellFailure(error: unknown): void {
  tell(callText(error, messages.value, language.value === "en"), { failed: true });
}

/** removeWire deletes a wire with its devices, and offers to undo that. */
export async function removeWire(id: string): Promise<void> {
  const { data: saved, etag } = await api.bridges.get(id);
  await api.bridges.remove(id, etag);
  delete saved.status;
  const restore = async (): Promise<void> => {
    await api.bridges.create(saved);
    tell(messages.value.devices.restored(id));
  };
  tell(messages.value.devices.deleted(id), { undo: () => void restore().catch(tellFailure) });
}
