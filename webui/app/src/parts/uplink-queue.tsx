// What waits for an uplink, what was lost on the way and why, and throwing it away.
import { admin } from "../admin-api";
import { clockAhead } from "../api";
import { language, useText } from "../i18n";
import { live, now } from "../live";
import { mayAdminister } from "../session";
import type { Queue, Uplink } from "../types";
import { age, bytes } from "../words";
import { ask } from "./dialog";
import { Facts } from "./facts";
import { tellFailure } from "./remove-wire";
import { tell } from "./toast";

export function UplinkQueue({ uplink }: { uplink: Uplink }) {
  const t = useText();
  const { id } = uplink;
  const queue = live.picture.uplinks.value.get(id)?.queue ?? uplink.status?.queue;
  if (!queue) return null;
  const count = (n: number): string => n.toLocaleString(language.value);
  const drop = async (): Promise<void> => {
    const { dropTitle, dropText, droppedToast } = t.link;
    const text = dropText(count(queue.messages));
    if (!(await ask({ title: dropTitle(id), text, yes: t.link.drop, danger: true }))) return;
    await admin.dropQueue(id);
    tell(droppedToast(id));
  };
  return (
    <section class="card form-step" aria-labelledby="queue-title">
      <h2 id="queue-title">{t.link.queue}</h2>
      <Facts
        facts={[
          [
            t.link.waits,
            queue.messages > 0 ? t.clients.queuedWords(count(queue.messages), bytes(queue.bytes)) : t.queue.empty,
            "uplink-waits",
          ],
          queue.oldest !== null && [t.link.oldest, age(now.value + clockAhead.value - Date.parse(queue.oldest), t)],
          [t.link.lost, <Lost queue={queue} />, "uplink-lost"],
        ]}
      />
      {mayAdminister.value && queue.messages > 0 && (
        <button
          type="button"
          class="button"
          data-testid="uplink-drop-queue"
          onClick={() => void drop().catch(tellFailure)}
        >
          {t.link.drop}
        </button>
      )}
    </section>
  );
}

function Lost({ queue }: { queue: Queue }) {
  const t = useText();
  const causes = (["dropped", "refused", "outdated"] as const).filter((cause) => (queue[cause] ?? 0) > 0);
  if (causes.length === 0) return t.link.lostNone;
  return (
    <ul>
      {causes.map((cause) => (
        <li key={cause}>{t.link[cause]((queue[cause] ?? 0).toLocaleString(language.value))}</li>
      ))}
    </ul>
  );
}
