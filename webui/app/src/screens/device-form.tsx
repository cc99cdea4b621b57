// Adding a device leads through wire, device, points and test; editing has the same steps without the wire.
import { useMemo, useState } from "preact/hooks";
import type { ComponentChildren } from "preact";
import { api, type Stored } from "../api";
import { useText } from "../i18n";
import { slug, type OwnFault } from "../model/check";
import { fromDevice, lastLine, newDevice, newPoint, toDevice, type DeviceDraft, type Kind } from "../model/device";
import { freeName, kindOf, newWire, toBridge, type WireDraft } from "../model/wire";
import { CheckField, ChoiceField, TextField } from "../parts/field";
import { Form, useDraft, useSaving } from "../parts/form";
import { PatternFields } from "../parts/line-fields";
import { Empty, Failed, Skeleton, useLoad } from "../parts/load";
import { Page } from "../parts/page";
import { PointList } from "../parts/point-fields";
import { failedTest, TestOutcome, type TestState } from "../parts/test-result";
import { tell } from "../parts/toast";
import { KindField, LinkFields } from "../parts/wire-fields";
import { go, href } from "../router";
import type { Bridge, Device, TestResult } from "../types";
import { linkText } from "./devices";

/** DeviceAdd and DeviceEdit load what the form needs, then show it. */
export function DeviceAdd() {
  const t = useText();
  const { data, error, reload } = useLoad("device-add", api.bridges.list);
  return (
    <Page title={t.device.addTitle} back={href("devices")}>
      {data ? (
        <DeviceForm bridges={data.filter((b) => b.kind === "modbus" || b.kind === "line")} />
      ) : error !== undefined ? (
        <Failed error={error} retry={reload} />
      ) : (
        <Skeleton />
      )}
    </Page>
  );
}

export function DeviceEdit({ id }: { id: string }) {
  const t = useText();
  const { data, error, missing, reload } = useLoad(`device-edit ${id}`, async () => {
    const saved = await api.devices.get(id);
    const bridges = await api.bridges.list();
    return { saved, bridges };
  });
  return (
    <Page title={t.device.editTitle(id)} back={href("devices", id)}>
      {data ? (
        <DeviceForm key={data.saved.etag} bridges={data.bridges} saved={data.saved} reload={reload} />
      ) : missing ? (
        <Empty icon="devices" title={t.devices.notFound(id)} />
      ) : error !== undefined ? (
        <Failed error={error} retry={reload} />
      ) : (
        <Skeleton />
      )}
    </Page>
  );
}

interface Draft {
  bridge: string; // the id of a saved wire; empty for a new one
  wire: WireDraft;
  device: DeviceDraft;
}

interface Props {
  bridges: Bridge[];
  saved?: Stored<Device>;
  reload?: () => void;
}

function begin({ bridges, saved }: Props): Draft {
  const wire = newWire(freeName(bridges.map((b) => b.id)));
  const of = saved ? bridges.find((b) => b.id === saved.data.bridge) : bridges[0];
  const kind = kindOf(of);
  return { bridge: of?.id ?? "", wire, device: saved ? fromDevice(saved.data, kind) : newDevice(kind) };
}

/** place maps a pointer of the gateway's fault to the form's: /wire and /device. */
function place(pointer: string, newWireSent: boolean): string {
  if (!newWireSent) return `/device${pointer}`;
  return pointer.startsWith("/devices/0") ? `/device${pointer.slice("/devices/0".length)}` : `/wire${pointer}`;
}

function DeviceForm(p: Props) {
  const t = useText();
  const { draft, change } = useDraft(() => begin(p));
  const [test, setTest] = useState<TestState>({ step: "idle" });
  const [sample, setSample] = useState("");
  const isNewWire = draft.bridge === "";
  const saving = useSaving((pointer) => place(pointer, isNewWire));
  const of = p.bridges.find((b) => b.id === draft.bridge);
  const kind: Kind = of ? kindOf(of) : draft.wire.kind;

  const device = (part: Partial<DeviceDraft>): void => change({ device: { ...draft.device, ...part } });
  const rightKind = (next: Kind): void => {
    const untouched = draft.device.points.every((point) => point.id === "" && point.address === "");
    if (next !== kind && untouched) device({ points: [newPoint(next)] });
  };
  const wire = (part: Partial<WireDraft>): void => {
    change({ wire: { ...draft.wire, ...part } });
    if (part.kind) rightKind(part.kind);
  };
  const choose = (bridge: string): void => {
    change({ bridge });
    rightKind(bridge === "" ? draft.wire.kind : kindOf(p.bridges.find((b) => b.id === bridge)));
  };

  const save = (etag: string | undefined): void => {
    const { body, faults } = settings(draft, kind);
    if (faults.length > 0) return saving.reject(faults);
    void saving.run(async () => {
      if ("kind" in body) await api.bridges.create(body);
      else if (p.saved) await api.devices.replace(p.saved.data.id, body, etag ?? p.saved.etag);
      else await api.devices.create(body);
      tell(t.devices.saved(draft.device.id));
      go(`/devices/${encodeURIComponent(draft.device.id)}`);
    });
  };

  const runTest = async (): Promise<void> => {
    const { body, faults } = settings(draft, kind);
    saving.reject(faults);
    if (faults.length > 0) return;
    setTest({ step: "running" });
    try {
      show(await ("kind" in body ? api.bridges.testDevice(body, draft.device.id) : api.devices.testBody(body)));
    } catch (error) {
      const failed = failedTest(error);
      if (failed) {
        show(failed);
      } else {
        setTest({ step: "idle" });
        saving.failed(error);
      }
    }
  };
  const show = (result: TestResult): void => {
    setTest({ step: "done", result });
    setSample((before) => lastLine(result.error) ?? before);
  };

  return (
    <Form
      testid="device-form"
      saving={saving.state}
      onSubmit={() => save(undefined)}
      overwrite={() => save("*")}
      loadTheirs={() => p.reload?.()}
      actions={
        <>
          <button type="submit" class="button primary" data-testid="device-save" aria-disabled={saving.state.busy}>
            {saving.state.busy ? t.saving : t.save}
          </button>
          <a class="button" href={p.saved ? href("devices", p.saved.data.id) : href("devices")}>
            {t.cancel}
          </a>
        </>
      }
    >
      {!p.saved && (
        <Step n={1} title={t.device.stepWire}>
          {p.bridges.length > 0 && <WireChoice bridges={p.bridges} value={draft.bridge} set={choose} />}
          {isNewWire && <NewWire wire={draft.wire} change={wire} />}
        </Step>
      )}
      <Step n={p.saved ? 1 : 2} title={t.device.stepDevice}>
        <DeviceFields device={draft.device} change={device} kind={kind} saved={p.saved !== undefined} />
        {kind === "line" && (
          <PatternFields device={draft.device} change={device} sample={sample} setSample={setSample} />
        )}
      </Step>
      <Step n={p.saved ? 2 : 3} title={t.device.stepPoints}>
        {kind === "modbus" && <p class="muted">{t.device.pointsText}</p>}
        <PointList points={draft.device.points} kind={kind} change={(points) => device({ points })} />
      </Step>
      <Step n={p.saved ? 3 : 4} title={t.device.stepTest}>
        <p class="muted">{t.device.testText}</p>
        <button
          type="button"
          class="button"
          data-testid="device-test"
          aria-disabled={test.step === "running"}
          onClick={() => {
            if (test.step !== "running") void runTest();
          }}
        >
          {test.step === "running" ? t.testing : t.test}
        </button>
        <TestOutcome state={test} />
      </Step>
    </Form>
  );
}

/** settings gives what is sent: the device for a saved wire, or a new wire with the device in it. */
function settings(draft: Draft, kind: Kind): { body: Bridge | Device; faults: OwnFault[] } {
  const { device, faults } = toDevice(draft.device, kind);
  const deviceFaults = faults.map((f) => ({ ...f, pointer: `/device${f.pointer}` }));
  if (draft.bridge !== "") return { body: { ...device, bridge: draft.bridge }, faults: deviceFaults };
  const made = toBridge(draft.wire);
  const wireFaults = made.faults.map((f) => ({ ...f, pointer: `/wire${f.pointer}` }));
  delete device.bridge;
  return { body: { ...made.bridge, devices: [device] }, faults: [...wireFaults, ...deviceFaults] };
}

function Step({ n, title, children }: { n: number; title: string; children: ComponentChildren }) {
  return (
    <section class="card form-step" aria-labelledby={`step-${n}`}>
      <h2 id={`step-${n}`}>
        <span class="step-number">{n}</span>
        {title}
      </h2>
      {children}
    </section>
  );
}

function WireChoice({ bridges, value, set }: { bridges: Bridge[]; value: string; set: (id: string) => void }) {
  const t = useText();
  const choices = useMemo(
    () => bridges.map((b) => ({ value: b.id, label: b.id, text: linkText(b), testid: `wire-choice-${b.id}` })),
    [bridges],
  );
  return (
    <ChoiceField
      label={t.wire.which}
      at="/device/bridge"
      value={value}
      set={set}
      choices={[...choices, { value: "", label: t.wire.new, testid: "wire-choice-new" }]}
    />
  );
}

function NewWire({ wire, change }: { wire: WireDraft; change: (part: Partial<WireDraft>) => void }) {
  const t = useText();
  return (
    <>
      <KindField wire={wire} change={change} at="/wire" />
      <LinkFields wire={wire} change={change} at="/wire" />
      <TextField
        label={t.wire.name}
        hint={t.wire.nameHint}
        at="/wire/id"
        value={wire.id}
        set={(id) => change({ id: slug(id) })}
        testid="wire-id"
      />
    </>
  );
}

function DeviceFields(p: {
  device: DeviceDraft;
  change: (part: Partial<DeviceDraft>) => void;
  kind: Kind;
  saved: boolean;
}) {
  const { device, change } = p;
  const t = useText();
  return (
    <>
      <TextField
        label={t.device.name}
        hint={p.saved ? t.device.nameFixed : t.device.nameHint}
        at="/device/id"
        value={device.id}
        set={(id) => change({ id: slug(id) })}
        disabled={p.saved}
        testid="device-id"
      />
      {p.kind === "modbus" && (
        <div class="pair">
          <TextField
            label={t.device.unit}
            hint={t.device.unitHint}
            at="/device/unit"
            value={device.unit}
            set={(unit) => change({ unit })}
            inputMode="numeric"
            testid="device-unit"
          />
          <TextField
            label={t.device.interval}
            hint={t.device.intervalHint}
            at="/device/interval"
            value={device.interval}
            set={(interval) => change({ interval })}
            inputMode="decimal"
            testid="device-interval"
            optional
          />
        </div>
      )}
      <CheckField
        label={t.device.enabled}
        at="/device/enabled"
        value={device.enabled}
        set={(enabled) => change({ enabled })}
        testid="device-enabled"
      />
    </>
  );
}
