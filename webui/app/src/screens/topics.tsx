// Retained messages, level by level, and publishing.
import { useState } from "preact/hooks";
import { admin } from "../admin-api";
import type { Retained, Topic } from "../admin-types";
import { useText } from "../i18n";
import { Checks } from "../model/check";
import { ask } from "../parts/dialog";
import { AreaField, CheckField, SelectField, TextField } from "../parts/field";
import { useSaving } from "../parts/form";
import { Icon } from "../parts/icon";
import { InlineForm } from "../parts/inline-form";
import { Empty, Failed, Skeleton } from "../parts/load";
import { Age } from "../parts/mark";
import { More, usePages } from "../parts/pages";
import { PayloadView } from "../parts/payload";
import { tellFailure } from "../parts/remove-wire";
import { tell } from "../parts/toast";
import { href } from "../router";
import { mayChange } from "../session";
import { bytes } from "../words";

/** Topics shows what is below a prefix: empty for all, else it ends with a slash. */
export function Topics({ at }: { at: string }) {
  const t = useText();
  const { items, error, reload, more } = usePages<Topic>(`topics ${at}`, (next) => admin.topics(at, next));
  return (
    <>
      <p>{t.topics.intro}</p>
      <Crumbs at={at} />
      {items ? (
        items.length === 0 ? (
          <Empty
            icon="overview"
            title={at === "" ? t.topics.empty : t.topics.emptyHere}
            {...(at === "" && { text: t.topics.emptyText })}
          />
        ) : (
          <ul class="card plain" data-testid="topics">
            {items.map((topic) => (
              <TopicRow key={topic.topic} topic={topic} reload={reload} />
            ))}
          </ul>
        )
      ) : error !== undefined ? (
        <Failed error={error} retry={reload} />
      ) : (
        <Skeleton />
      )}
      <More more={more} />
      {mayChange.value && <Publish at={at} published={reload} />}
    </>
  );
}

function Crumbs({ at }: { at: string }) {
  const t = useText();
  const levels = at === "" ? [] : at.replace(/\/$/, "").split("/");
  return (
    <div class="crumbs" role="navigation" aria-label={t.topics.path}>
      <a href={href("mqtt", "topics")} aria-current={at === "" ? "page" : undefined}>
        {t.topics.top}
      </a>
      {levels.map((level, i) => (
        <>
          <span aria-hidden="true">/</span>
          <a
            href={href("mqtt", "topics", levels.slice(0, i + 1).join("/") + "/")}
            aria-current={i === levels.length - 1 ? "page" : undefined}
          >
            {level || "“”"}
          </a>
        </>
      ))}
    </div>
  );
}

function TopicRow({ topic, reload }: { topic: Topic; reload: () => void }) {
  const t = useText();
  const [open, setOpen] = useState(false);
  const { retained } = topic;
  return (
    <li data-testid={`topic-${topic.topic}`}>
      <div class="device-line">
        <span class="topic-name">
          {topic.below > 0 ? (
            <a href={href("mqtt", "topics", topic.topic + "/")} data-testid={`topic-open-${topic.topic}`}>
              {topic.name || "“”"}/
            </a>
          ) : (
            topic.name || "“”"
          )}
        </span>
        {topic.below > 0 && <span class="muted">{t.topics.below(topic.below)}</span>}
        {retained && (
          <>
            <span class="muted">
              {bytes(retained.payload_bytes)} <Age time={retained.time} />
            </span>
            <button
              type="button"
              class="button small"
              aria-expanded={open}
              data-testid={`topic-show-${topic.topic}`}
              onClick={() => setOpen(!open)}
            >
              {open ? t.topics.hide : t.topics.show}
            </button>
            {mayChange.value && <Clear retained={retained} reload={reload} />}
          </>
        )}
      </div>
      {open && retained && <PayloadView payload={retained} testid={`payload-${topic.topic}`} />}
    </li>
  );
}

/** Clear can be undone while the page holds the whole message as text. */
function Clear({ retained, reload }: { retained: Retained; reload: () => void }) {
  const t = useText();
  const { topic, payload, truncated, qos } = retained;
  const whole = payload !== null && !truncated && retained.message_expiry_seconds === null;
  const clear = async (): Promise<void> => {
    const { clearTitle, clearText, cleared, restored } = t.topics;
    if (!whole && !(await ask({ title: clearTitle(topic), text: clearText, yes: t.topics.clear, danger: true })))
      return;
    await admin.clearRetained(topic);
    reload();
    if (!whole) {
      tell(cleared(topic));
      return;
    }
    const undo = async (): Promise<void> => {
      await admin.publish({ topic, payload, qos, retain: true });
      tell(restored(topic));
      reload();
    };
    tell(cleared(topic), { undo: () => void undo().catch(tellFailure) });
  };
  return (
    <button
      type="button"
      class="button small"
      data-testid={`topic-clear-${topic}`}
      aria-label={`${t.topics.clear}: ${topic}`}
      onClick={() => void clear().catch(tellFailure)}
    >
      <Icon name="trash" />
      {t.topics.clear}
    </button>
  );
}

function Publish({ at, published }: { at: string; published: () => void }) {
  const t = useText();
  const saving = useSaving();
  const [m, set] = useState({ topic: at, payload: "", qos: "1", retain: false });
  const [receivers, setReceivers] = useState<number>();
  const change = (part: Partial<typeof m>): void => {
    set({ ...m, ...part });
    setReceivers(undefined);
  };
  const submit = (): void => {
    const c = new Checks();
    const topic = c.text("/topic", m.topic);
    if (c.faults.length > 0) return saving.reject(c.faults);
    void saving.run(async () => {
      const done = await admin.publish({ ...m, topic, qos: Number(m.qos) });
      setReceivers(done.receivers);
      published();
    });
  };
  return (
    <section class="card" aria-labelledby="publish-title">
      <h2 id="publish-title">{t.topics.publish}</h2>
      <InlineForm
        testid="publish"
        saving={saving.state}
        submit={saving.state.busy ? t.topics.sending : t.topics.send}
        onSubmit={submit}
      >
        <TextField
          label={t.topics.topic}
          at="/topic"
          value={m.topic}
          set={(topic) => change({ topic })}
          testid="publish-topic"
          code
        />
        <AreaField
          label={t.topics.payload}
          at="/payload"
          value={m.payload}
          set={(payload) => change({ payload })}
          testid="publish-payload"
          rows={3}
        />
        <SelectField
          label={t.topics.qos}
          at="/qos"
          value={m.qos}
          set={(qos) => change({ qos })}
          options={(["0", "1", "2"] as const).map((value) => ({ value, label: t.topics.qosNames[value] }))}
          testid="publish-qos"
        />
        <CheckField
          label={t.topics.retain}
          at="/retain"
          value={m.retain}
          set={(retain) => change({ retain })}
          testid="publish-retain"
        />
        <div role="status" data-testid="published">
          {receivers !== undefined && <p class="right">{t.topics.sent(receivers)}</p>}
        </div>
      </InlineForm>
    </section>
  );
}
