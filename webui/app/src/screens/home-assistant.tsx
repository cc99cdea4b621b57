// Which devices Home Assistant finds by itself: one switch for all, and a word of each device's own.
import { api, type Stored } from "../api";
import { useText } from "../i18n";
import { CheckField, SelectField, TextField } from "../parts/field";
import { useDraft, useSaving } from "../parts/form";
import { InlineForm } from "../parts/inline-form";
import { Empty, Failed, Skeleton, useLoad } from "../parts/load";
import { tellFailure } from "../parts/remove-wire";
import { tell } from "../parts/toast";
import { href } from "../router";
import { mayChange } from "../session";
import type { Device, HomeAssistant } from "../types";

interface All {
  settings: Stored<HomeAssistant>;
  devices: Device[];
}

export function HomeAssistantScreen() {
  const t = useText();
  const { data, error, reload } = useLoad<All>("home-assistant", async () => {
    const [settings, devices] = await Promise.all([api.homeAssistant(), api.devices.list()]);
    return { settings, devices };
  });
  return (
    <>
      <p>{t.home.intro}</p>
      {data ? (
        <>
          <Settings key={data.settings.etag} saved={data.settings} reload={reload} />
          <section aria-labelledby="ha-devices-title">
            <h2 id="ha-devices-title">{t.home.devices}</h2>
            {data.devices.length === 0 ? (
              <Empty icon="devices" title={t.home.empty} />
            ) : (
              <ul class="card plain" data-testid="ha-devices">
                {data.devices.map((d) => (
                  <DeviceRow key={d.id} device={d} all={data.settings.data.enabled} reload={reload} />
                ))}
              </ul>
            )}
          </section>
        </>
      ) : error !== undefined ? (
        <Failed error={error} retry={reload} />
      ) : (
        <Skeleton />
      )}
    </>
  );
}

function Settings({ saved, reload }: { saved: Stored<HomeAssistant>; reload: () => void }) {
  const t = useText();
  const { draft, change, reset } = useDraft<HomeAssistant>(() => saved.data);
  const saving = useSaving();
  const save = (etag: string): void => {
    void saving.run(async () => {
      const next = { ...draft, prefix: draft.prefix.trim(), node_id: draft.node_id.trim() };
      // What is empty takes its usual value again.
      const body = Object.fromEntries(Object.entries(next).filter(([, v]) => v !== ""));
      const { data } = await api.setHomeAssistant(body as unknown as HomeAssistant, etag);
      reset(data);
      tell(t.home.saved);
      reload();
    });
  };
  if (!mayChange.value) return <p class="muted">{t.home.lookOnly}</p>;
  return (
    <section class="card" aria-label={t.home.tab}>
      <InlineForm
        testid="ha-form"
        saving={saving.state}
        submit={saving.state.busy ? t.saving : t.save}
        onSubmit={() => save(saved.etag)}
        overwrite={() => save("*")}
        loadTheirs={reload}
      >
        <CheckField
          label={t.home.all}
          hint={t.home.allText}
          at="/enabled"
          value={draft.enabled}
          set={(enabled) => change({ enabled })}
          testid="ha-all"
        />
        <details data-testid="ha-more">
          <summary>{t.more}</summary>
          <TextField
            label={t.home.prefix}
            hint={t.home.prefixHint}
            at="/prefix"
            value={draft.prefix}
            set={(prefix) => change({ prefix })}
            testid="ha-prefix"
            code
            optional
          />
          <TextField
            label={t.home.node}
            hint={t.home.nodeHint}
            at="/node_id"
            value={draft.node_id}
            set={(node_id) => change({ node_id })}
            testid="ha-node"
            code
            optional
          />
        </details>
      </InlineForm>
    </section>
  );
}

type Choice = "follow" | "on" | "off";

function choiceOf(d: Device): Choice {
  return typeof d.home_assistant === "boolean" ? (d.home_assistant ? "on" : "off") : "follow";
}

function DeviceRow({ device, all, reload }: { device: Device; all: boolean; reload: () => void }) {
  const t = useText();
  const set = async (choice: Choice): Promise<void> => {
    try {
      await api.devices.patch(device.id, { home_assistant: choice === "follow" ? null : choice === "on" }, "*");
      tell(t.home.changed(device.id));
    } finally {
      reload(); // a refused choice goes back to what stands
    }
  };
  const labels: Record<Choice, string> = {
    follow: all ? t.home.follow.on : t.home.follow.off,
    on: t.home.always,
    off: t.home.never,
  };
  const choice = choiceOf(device);
  return (
    <li class="ha-device">
      <a href={href("devices", device.id)}>{device.id}</a>
      {mayChange.value ? (
        <SelectField
          label={t.home.choice(device.id)}
          at={`/devices/${device.id}/home_assistant`}
          value={choice}
          set={(next) => void set(next as Choice).catch(tellFailure)}
          options={(["follow", "on", "off"] as const).map((value) => ({ value, label: labels[value] }))}
          testid={`ha-${device.id}`}
        />
      ) : (
        <span>{labels[choice]}</span>
      )}
    </li>
  );
}
