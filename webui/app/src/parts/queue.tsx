import { clockAhead } from "../api";
import { language, useText } from "../i18n";
import { now } from "../live";
import type { Queue } from "../types";
import { age, bytes } from "../words";

const worthTelling = 5000; // ms; a queue that moves is never empty for long

/** QueueText says what waits for an uplink, and for how long. */
export function QueueText({ queue, id }: { queue: Queue | null | undefined; id: string }) {
  const t = useText();
  if (!queue) return null;
  const { messages, oldest } = queue;
  const waited = oldest ? now.value + clockAhead.value - Date.parse(oldest) : 0;
  return (
    <span class="queue" data-testid={`uplink-queue-${id}`} data-messages={messages}>
      {messages === 0 ? t.queue.empty : t.queue.waiting(messages.toLocaleString(language.value), bytes(queue.bytes))}
      {messages > 0 && waited >= worthTelling && ", " + t.queue.oldest(age(waited, t))}
    </span>
  );
}
