// Adding a device leads through wire, device, points and test; editing has the same steps without the wire.
import { useMemo, useState } from "preact/hooks";
import type { ComponentChildren } from "preact";
import { api, type Stored } from "../api";
import { useText } from "../i18n";
import { slug, type OwnFault } from "../model/check";
import {
  fromDevice,
  lastLine,
  newDevice,
  newPoint,
  overPoint,
  toDevice,
  type DeviceDraft,
  type Kind,
} from "../model/device";
import { modbusDevice } from "../model/field-settings";
import { freeName, kindOf, newWire, toBridge, withTemplate, type WireDraft } from "../model/wire";
import { CheckField, ChoiceField, TextField } from "../parts/field";
import { Form, useDraft, useSaving } from "../parts/form";
import { FrameFields } from "../parts/line-fields";
import { Empty, Failed, Skeleton, useLoad } from "../parts/load";
import { Page } from "../parts/page";
import type { Line } from "../parts/orders";
import { PointList } from "../parts/point-fields";
import { ScanField } from "../parts/scan";
import { SettingFields } from "../parts/setting-fields";
import { TemplateHead, TemplatePoints, TemplateSearch, useTemplate } from "../parts/template-field";
import { failedTest, TestOutcome, type TestState } from "../parts/test-result";
import { tell } from "../parts/toast";
import { KindField, LinkFields } from "../parts/wire-fields";
import { go, href } from "../router";
import type { Found, Template } from "../tool-types";
import type { Bridge, Device, TestResult } from "../types";
import { linkText } from "./devices";

/** DeviceAdd and DeviceEdit load what the form needs, then show it; on is the wire to begin with. */
export function DeviceAdd({ on }: { on?: string | undefined }) {
  const t = useText();
  const { data, error, reload } = useLoad("device-add", api.bridges.list);
  return (
    <Page title={t.device.addTitle} back={href("devices")}>
      {data ? (
        <DeviceForm bridges={data.filter((b) => b.kind === "modbus" || b.kind === "line")} on={on} />
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
  on?: string | undefined;
  reload?: () => void;
}

function begin({ bridges, saved, on }: Props): Draft {
  const wire = newWire(freeName(bridges.map((b) => b.id)));
  const wanted = saved ? saved.data.bridge : on;
  const of = bridges.find((b) => b.id === wanted) ?? (saved ? undefined : bridges[0]);
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
  const template = useTemplate(draft.device.template);
  const [how, setHow] = useState<How>(draft.device.template === "" ? "hand" : "template");
  const untouched = draft.device.points.every((point) => point.id === "" && point.address === "");
  const rightKind = (next: Kind): void => {
    if (next === kind) return;
    const other = newDevice(next);
    const { id, enabled } = draft.device;
    if (untouched) device({ ...other, id, enabled, points: [newPoint(next)] });
    else device({ more: other.more });
  };
  const takeTemplate = (t: Template): void => {
    const next = t.kind === "line" ? "line" : "modbus";
    const made = next === kind ? draft.device : newDevice(next);
    const unit = t.device?.unit !== undefined && draft.device.unit === "1" ? String(t.device.unit) : draft.device.unit;
    const points = untouched || next !== kind ? [] : draft.device.points;
    change({
      device: { ...made, id: draft.device.id, unit, interval: "", template: t.id, off: [], parse: "", points },
      ...(isNewWire && { wire: withTemplate(draft.wire, t) }),
    });
  };
  const dropTemplate = (): void => {
    const points = draft.device.points.filter((point) => !point.over);
    const parse = draft.device.parse === "" ? "regex" : draft.device.parse;
    device({ template: "", off: [], parse, points: points.length > 0 ? points : [newPoint(kind)] });
  };
  const takeFound = async (found: Found): Promise<void> => {
    const [best] = found.templates ?? [];
    const unit = String(found.unit);
    const id = draft.device.id || slug(found.product) || t.field.suggestName(found.unit);
    const wire: WireDraft =
      isNewWire && found.baud > 0 ? { ...draft.wire, baud: String(found.baud), format: found.format } : draft.wire;
    if (best === undefined) {
      change({ wire, device: { ...draft.device, unit, id } });
    } else {
      const points = untouched ? [] : draft.device.points;
      change({ wire, device: { ...draft.device, unit, id, interval: "", template: best, off: [], parse: "", points } });
      setHow("template");
    }
    tell(t.field.taken(found.unit));
    await Promise.resolve();
    document.querySelector<HTMLElement>('[data-at="/device/id"]')?.focus();
  };
  /** The wire as it is asked by the tools: saved, or as it stands in the form, which then shows what is missing. */
  const line = (): Line | undefined => {
    if (!isNewWire) return { saved: draft.bridge };
    const made = toBridge(draft.wire);
    const faults = made.faults.map((f) => ({ ...f, pointer: `/wire${f.pointer}` }));
    if (faults.length > 0) {
      saving.reject(faults);
      return undefined;
    }
    return { bridge: made.bridge };
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
          {kind === "modbus" && (
            <details data-testid="scan-open">
              <summary>{t.field.scanTitle}</summary>
              <ScanField
                key={draft.bridge}
                bridge={() => {
                  const at = line();
                  if (!at) return undefined;
                  return at.bridge ? { bridge: at.bridge } : { saved: draft.bridge };
                }}
                serial={isNewWire ? draft.wire.medium === "serial" : of?.link?.serial !== undefined}
                pick={(found) => void takeFound(found)}
              />
            </details>
          )}
        </Step>
      )}
      <Step n={p.saved ? 1 : 2} title={t.device.stepDevice}>
        {!p.saved && <HowField how={how} setHow={setHow} />}
        {how === "template" && draft.device.template === "" && (
          <TemplateSearch
            kind={isNewWire ? "" : kind}
            pick={(e) => {
              void api.templates.get(e.id).then((found) => takeTemplate(found.data), saving.failed);
            }}
          />
        )}
        {draft.device.template !== "" && template.data && (
          <TemplateHead
            template={template.data}
            drop={dropTemplate}
            differs={isNewWire ? "" : differs(of, template.data)}
          />
        )}
        {draft.device.template !== "" && template.error !== undefined && (
          <Failed error={template.error} retry={template.reload} />
        )}
        <DeviceFields device={draft.device} change={device} kind={kind} saved={p.saved !== undefined} />
        {kind === "line" && <FrameFields device={draft.device} change={device} sample={sample} setSample={setSample} />}
      </Step>
      <Step n={p.saved ? 2 : 3} title={t.device.stepPoints}>
        {kind === "modbus" && draft.device.template === "" && <p class="muted">{t.device.pointsText}</p>}
        {template.data && draft.device.template !== "" && (
          <>
            <TemplatePoints
              template={template.data}
              off={draft.device.off}
              setOff={(off) => device({ off })}
              changed={draft.device.points.map((point) => point.id)}
              change={(id) => device({ points: [...draft.device.points, overPoint(id, kind)] })}
            />
            <h3>{t.field.ownPoints}</h3>
          </>
        )}
        <PointList
          points={draft.device.points}
          kind={kind}
          parse={draft.device.parse}
          unit={draft.device.unit}
          line={line}
          change={(points) => device({ points })}
        />
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

type How = "template" | "hand";

function HowField({ how, setHow }: { how: How; setHow: (how: How) => void }) {
  const t = useText();
  return (
    <ChoiceField
      label={t.field.how}
      at="/device/how"
      value={how}
      set={(v) => setHow(v as How)}
      choices={[
        { value: "template", label: t.field.byTemplate, text: t.field.byTemplateText, testid: "how-template" },
        { value: "hand", label: t.field.byHand, text: t.field.byHandText, testid: "how-hand" },
      ]}
    />
  );
}

/** differs gives the setting of a saved wire when a device is shipped with another one; "" when it fits. */
function differs(of: Bridge | undefined, template: Template): string {
  const serial = of?.link?.serial;
  if (!serial || !template.serial) return "";
  const wire = `${serial.baud ?? 9600} ${serial.format ?? "8N1"}`;
  return wire === `${template.serial.baud} ${template.serial.format}` ? "" : wire;
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
      {p.kind === "modbus" && (
        <details>
          <summary>{t.more}</summary>
          <div class="grid">
            <SettingFields
              settings={modbusDevice}
              entries={device.more}
              change={(more) => change({ more })}
              at="/device"
            />
          </div>
        </details>
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
