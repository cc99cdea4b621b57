import { useState } from "preact/hooks";
import { api, type Stored } from "../api";
import { useText } from "../i18n";
import { live } from "../live";
import { slug } from "../model/check";
import {
  fromPreset,
  fromUplink,
  mergePatch,
  newCommands,
  newFilter,
  newUplink,
  toUplink,
  usualPort,
  withHost,
  type UplinkDraft,
} from "../model/uplink";
import { CheckField, PasswordField, TextField } from "../parts/field";
import { UplinkQueue } from "../parts/uplink-queue";
import { UplinkMore } from "../parts/uplink-more";
import { FilterList } from "../parts/filter-fields";
import { Form, useDraft, useSaving } from "../parts/form";
import { Empty, Failed, Skeleton, useLoad } from "../parts/load";
import { Age, StateMark, Told } from "../parts/mark";
import { Page } from "../parts/page";
import { PresetField } from "../parts/preset-field";
import { QueueText } from "../parts/queue";
import { failedTest, TestOutcome, type TestState } from "../parts/test-result";
import { tell } from "../parts/toast";
import { go, href } from "../router";
import { mayChange, system } from "../session";
import type { Uplink } from "../types";

export function UplinkAdd() {
  const t = useText();
  const site = slug(system.value?.hostname ?? "site");
  return (
    <Page title={t.uplinks.addTitle} back={href("uplinks")}>
      <UplinkForm begin={() => newUplink(site)} />
    </Page>
  );
}

export function UplinkEdit({ id }: { id: string }) {
  const t = useText();
  const { data, error, missing, reload } = useLoad(`uplink ${id}`, () => api.uplinks.get(id));
  return (
    <Page title={mayChange.value ? t.uplinks.editTitle(id) : id} back={href("uplinks")}>
      {data ? (
        <>
          <Head uplink={data.data} />
          <UplinkQueue uplink={data.data} />
          {mayChange.value && (
            <UplinkForm key={data.etag} begin={() => fromUplink(data.data)} saved={data} reload={reload} />
          )}
        </>
      ) : missing ? (
        <Empty icon="uplinks" title={t.uplinks.notFound(id)} />
      ) : error !== undefined ? (
        <Failed error={error} retry={reload} />
      ) : (
        <Skeleton />
      )}
    </Page>
  );
}

function Head({ uplink }: { uplink: Uplink }) {
  const status = live.picture.uplinks.value.get(uplink.id) ?? uplink.status;
  return (
    <>
      <p class="device-line">
        <StateMark state={status?.state} testid={`uplink-state-${uplink.id}`} />
        {status && (
          <span class="muted">
            <Age time={status.since} lasting />
          </span>
        )}
        <QueueText queue={status?.queue ?? uplink.status?.queue} id={uplink.id} />
      </p>
      {status?.reason && (
        <p class="note stale">
          <Told text={status.reason} />
        </p>
      )}
    </>
  );
}

interface Props {
  begin: () => UplinkDraft;
  saved?: Stored<Uplink>;
  reload?: () => void;
}

function UplinkForm(p: Props) {
  const t = useText();
  const { draft, change } = useDraft(p.begin);
  const [test, setTest] = useState<TestState>({ step: "idle" });
  const saving = useSaving();
  const site = slug(system.value?.hostname ?? "site");

  const save = (etag: string | undefined): void => {
    const { uplink, faults } = toUplink(draft);
    if (faults.length > 0) return saving.reject(faults);
    void saving.run(async () => {
      if (p.saved) await api.uplinks.patch(uplink.id, mergePatch(draft, uplink), etag ?? p.saved.etag);
      else await api.uplinks.create(uplink);
      tell(t.uplinks.saved(uplink.id));
      go("/uplinks");
    });
  };

  const runTest = async (): Promise<void> => {
    const { uplink, faults } = toUplink(draft);
    if (faults.length > 0) {
      saving.reject(faults);
      return;
    }
    saving.clear();
    setTest({ step: "running" });
    try {
      setTest({ step: "done", result: await api.uplinks.testBody(uplink) });
    } catch (error) {
      const failed = failedTest(error);
      setTest(failed ? { step: "done", result: failed } : { step: "idle" });
      if (!failed) saving.failed(error);
    }
  };

  return (
    <Form
      testid="uplink-form"
      saving={saving.state}
      onSubmit={() => save(undefined)}
      overwrite={() => save("*")}
      loadTheirs={() => p.reload?.()}
      actions={
        <>
          <button type="submit" class="button primary" data-testid="uplink-save" aria-disabled={saving.state.busy}>
            {saving.state.busy ? t.saving : t.save}
          </button>
          <button
            type="button"
            class="button"
            data-testid="uplink-test"
            aria-disabled={test.step === "running"}
            onClick={() => {
              if (test.step !== "running") void runTest();
            }}
          >
            {test.step === "running" ? t.testing : t.test}
          </button>
          <a class="button" href={href("uplinks")}>
            {t.cancel}
          </a>
        </>
      }
    >
      {!p.saved && (
        <PresetField
          choose={(preset) => {
            change(preset ? fromPreset(preset, site, draft) : withoutPreset(draft, site));
          }}
        />
      )}
      <section class="card form-step">
        <LinkFields draft={draft} change={change} saved={p.saved !== undefined} />
      </section>
      <section class="card form-step" aria-labelledby="out-title">
        <h2 id="out-title">{t.uplinks.out}</h2>
        <p class="muted">{t.uplinks.outText}</p>
        <FilterList
          direction="out"
          filters={draft.out}
          change={(out) => change({ out })}
          make={() => newFilter({ filter: "", local_prefix: "fieldgate/", remote_prefix: `${site}/` })}
        />
      </section>
      <section class="card form-step" aria-labelledby="in-title">
        <h2 id="in-title">{t.uplinks.in}</h2>
        <p class="muted">{t.uplinks.inText}</p>
        <FilterList
          direction="in"
          filters={draft.in}
          change={(list) => change({ in: list })}
          make={() => newCommands(site)}
        />
      </section>
      <p class="muted">{t.uplinks.testText}</p>
      <TestOutcome state={test} />
    </Form>
  );
}

/** withoutPreset goes back to what is usual, with what the person typed. */
function withoutPreset(d: UplinkDraft, site: string): UplinkDraft {
  const { id, host, username, password } = d;
  return { ...newUplink(site), id, host, username, password };
}

interface FieldsProps {
  draft: UplinkDraft;
  change: (part: Partial<UplinkDraft>) => void;
  saved: boolean;
}

function LinkFields({ draft, change, saved }: FieldsProps) {
  const t = useText();
  const setTls = (tls: boolean): void => {
    const usual = draft.port === usualPort(draft.websocket, draft.tls);
    change({ tls, ...(usual && { port: usualPort(draft.websocket, tls) }) });
  };
  return (
    <>
      <TextField
        label={t.uplinks.name}
        hint={t.uplinks.nameHint}
        at="/id"
        value={draft.id}
        set={(id) => change({ id: slug(id) })}
        disabled={saved}
        testid="uplink-id"
      />
      <div class="pair wide-first">
        <TextField
          label={t.uplinks.host}
          at="/url"
          value={draft.host}
          set={(host) => change(withHost(draft, host))}
          placeholder="broker.example.com"
          inputMode="url"
          testid="uplink-host"
        />
        <TextField
          label={t.uplinks.port}
          at="/url/port"
          value={draft.port}
          set={(port) => change({ port })}
          inputMode="numeric"
          testid="uplink-port"
        />
      </div>
      <CheckField
        label={t.uplinks.tls}
        hint={t.uplinks.tlsHint}
        at="/tls"
        value={draft.tls}
        set={setTls}
        testid="uplink-tls"
      />
      <Credentials draft={draft} change={change} />
      <details>
        <summary>{t.more}</summary>
        <TextField
          label={t.uplinks.clientID}
          hint={t.uplinks.clientIDHint}
          at="/client_id"
          value={draft.clientID}
          set={(clientID) => change({ clientID })}
          testid="uplink-client-id"
          optional
        />
        <UplinkMore draft={draft} change={change} />
      </details>
    </>
  );
}

function Credentials({ draft, change }: Omit<FieldsProps, "saved">) {
  const t = useText();
  return (
    <>
      <TextField
        label={t.uplinks.username}
        at="/username"
        value={draft.username}
        set={(username) => change({ username })}
        testid="uplink-username"
        optional
      />
      <PasswordField
        label={t.uplinks.password}
        hint={draft.passwordSet ? t.uplinks.passwordKept : undefined}
        at="/password"
        value={draft.password}
        set={(password) => change({ password })}
        autocomplete="new-password"
        testid="uplink-password"
        optional
      />
      {draft.passwordSet && draft.password === "" && (
        <CheckField
          label={t.uplinks.passwordDrop}
          at="/password_set"
          value={draft.dropPassword}
          set={(dropPassword) => change({ dropPassword })}
          testid="uplink-password-drop"
        />
      )}
    </>
  );
}
