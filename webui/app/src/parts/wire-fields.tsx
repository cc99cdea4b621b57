// The link settings of a wire: what it speaks, and how it is connected. Used when
// a device is added on a new wire, and when a wire is edited.
import { api } from "../api";
import { language, useText, type Messages } from "../i18n";
import type { Kind } from "../model/device";
import {
  checksum,
  checksumType,
  framing,
  framings,
  lineSerial,
  lineWire,
  modbusSerial,
  modbusTCP,
  modbusWire,
  type Framing,
} from "../model/field-settings";
import type { Setting } from "../model/setting";
import { bauds, delimiters, formats, type Medium, type WireDraft } from "../model/wire";
import type { SerialPort } from "../types";
import { callText } from "../words";
import { ChoiceField, SelectField, TextField, type Choice } from "./field";
import { useLoad } from "./load";
import { SettingFields } from "./setting-fields";

interface Props {
  wire: WireDraft;
  change: (part: Partial<WireDraft>) => void;
  at: string; // JSON pointer of the bridge within the form
}

/** KindField asks what the device speaks; it is fixed once the wire is saved. */
export function KindField({ wire, change, at }: Props) {
  const t = useText();
  const kinds: Kind[] = ["modbus", "line"];
  return (
    <ChoiceField
      label={t.wire.kind}
      at={`${at}/kind`}
      value={wire.kind}
      set={(kind) =>
        change(kind === "line" && wire.medium === "rtu_over_tcp" ? { kind, medium: "tcp" } : { kind: kind as Kind })
      }
      choices={kinds.map((k) => ({ value: k, label: t.wire.kinds[k], text: t.wire.kindText[k], testid: `kind-${k}` }))}
    />
  );
}

export function LinkFields(p: Props) {
  const { wire, change, at } = p;
  const t = useText();
  const mediums: Medium[] = wire.kind === "line" ? ["serial", "tcp"] : ["serial", "tcp", "rtu_over_tcp"];
  return (
    <>
      <ChoiceField
        label={t.wire.medium}
        at={`${at}/link`}
        value={wire.medium}
        set={(m) => change({ medium: m as Medium })}
        choices={mediums.map((m) => ({
          value: m,
          label: t.wire.mediums[m],
          text: m === "tcp" && wire.kind === "line" ? t.wire.lineTcp : t.wire.mediumText[m],
          testid: `medium-${m}`,
        }))}
      />
      {wire.medium === "serial" ? <SerialFields {...p} /> : <HostFields {...p} />}
      {wire.kind === "line" && <FramingFields {...p} />}
      {wire.kind === "line" ? (
        <details data-testid="wire-more">
          <summary>{t.more}</summary>
          <div class="grid">
            {wire.medium === "serial" && <More {...p} settings={lineSerial} />}
            <More {...p} settings={lineWire} />
          </div>
        </details>
      ) : (
        <details data-testid="wire-more">
          <summary>{t.more}</summary>
          <div class="grid">
            <TextField
              label={t.wire.timeout}
              hint={t.wire.timeoutHint}
              at={`${at}/timeout`}
              value={wire.timeout}
              set={(timeout) => change({ timeout })}
              inputMode="numeric"
              testid="wire-timeout"
              optional
            />
            <More {...p} settings={modbusWire} />
            {wire.medium === "tcp" && <More {...p} settings={modbusTCP} />}
            {wire.medium === "serial" && <More {...p} settings={modbusSerial} />}
          </div>
        </details>
      )}
    </>
  );
}

function More({ wire, change, at, settings }: Props & { settings: readonly Setting[] }) {
  return <SettingFields settings={settings} entries={wire.more} change={(more) => change({ more })} at={at} />;
}

/** FramingFields ask where a frame of a line device ends, and how it is checked. */
function FramingFields(p: Props) {
  const { wire, change, at } = p;
  const t = useText();
  const checked = (wire.more[checksumType.path] ?? "") !== "" && wire.more[checksumType.path] !== "none";
  return (
    <>
      <div class="grid">
        <SelectField
          label={t.field.framing}
          at={`${at}/framing`}
          value={wire.framing}
          set={(form) => change({ framing: form as Framing })}
          options={framings.map((f) => ({ value: f, label: t.field.framings[f] }))}
          testid="wire-framing"
        />
        <More {...p} settings={framing[wire.framing]} />
        <More {...p} settings={[checksumType]} />
      </div>
      {checked && (
        <details>
          <summary>{t.field.settings.checksum}</summary>
          <div class="grid">
            <More {...p} settings={checksum} />
          </div>
        </details>
      )}
      {wire.framing === "delimiter" && <DelimiterField {...p} />}
    </>
  );
}

function HostFields({ wire, change, at }: Props) {
  const t = useText();
  const pointer = `${at}/link/${wire.medium}/address`;
  return (
    <div class="pair wide-first">
      <TextField
        label={t.wire.host}
        at={pointer}
        value={wire.host}
        set={(host) => change({ host })}
        placeholder="192.168.1.50"
        inputMode="url"
        testid="wire-host"
      />
      <TextField
        label={t.wire.tcpPort}
        at={`${pointer}/port`}
        value={wire.tcpPort}
        set={(tcpPort) => change({ tcpPort })}
        inputMode="numeric"
        testid="wire-port"
      />
    </div>
  );
}

function SerialFields(p: Props) {
  const { wire, change, at } = p;
  const t = useText();
  return (
    <>
      <PortField {...p} />
      <div class="pair">
        <SelectField
          label={t.wire.baud}
          hint={t.wire.baudHint}
          at={`${at}/link/serial/baud`}
          value={wire.baud}
          set={(baud) => change({ baud })}
          options={bauds.map((b) => ({ value: b, label: b }))}
          testid="wire-baud"
        />
        <SelectField
          label={t.wire.format}
          hint={t.wire.formatHint}
          at={`${at}/link/serial/format`}
          value={wire.format}
          set={(format) => change({ format })}
          options={formats.map((f) => ({ value: f, label: f }))}
          testid="wire-format"
        />
      </div>
    </>
  );
}

const other = "\u0000other"; // no path

function PortField({ wire, change, at }: Props) {
  const t = useText();
  const { data, error, reload } = useLoad("serial-ports", api.serialPorts);
  const ports = data ?? [];
  const listed = ports.some((p) => p.port === wire.port);
  const pointer = `${at}/link/serial/port`;
  const loading = data === undefined && error === undefined;
  const choices: Choice[] = [
    ...ports.map((p) => portChoice(p, wire.keep.id, t)),
    { value: other, label: t.wire.otherPort, testid: "port-other" },
  ];
  const typed = !listed && (wire.port !== "" || ports.length === 0);
  return (
    <>
      <ChoiceField
        label={t.wire.port}
        at={typed || loading ? `${pointer}/choice` : pointer}
        value={listed ? wire.port : typed ? other : ""}
        set={(port) => change({ port: port === other ? "/dev/" : port })}
        choices={loading ? [] : choices}
      />
      {loading && <p class="muted">{t.wire.portsLoading}</p>}
      {error !== undefined && (
        <p class="wrong">
          {t.wire.portsFailed} {callText(error, t, language.value === "en")}
        </p>
      )}
      {data?.length === 0 && <p class="muted">{t.wire.noPorts}</p>}
      {typed && !loading && (
        <TextField
          label={t.wire.otherPort}
          hint={t.wire.otherPortHint}
          at={pointer}
          value={wire.port}
          set={(port) => change({ port })}
          testid="wire-serial-port"
          code
        />
      )}
      <button type="button" class="button" onClick={reload} data-testid="ports-reload">
        {t.wire.look}
      </button>
    </>
  );
}

function portChoice(p: SerialPort, self: string, t: Messages): Choice {
  const used = p.used_by !== "" && p.used_by !== self ? t.wire.usedBy(p.used_by) : "";
  const bad = [used, p.problem].filter(Boolean).join("; ");
  const short = p.device || p.port;
  return {
    value: p.port,
    label: p.name || short,
    text: p.name ? <code>{short}</code> : undefined,
    testid: `port-${short}`,
    ...(bad && { bad }),
  };
}

function DelimiterField({ wire, change, at }: Props) {
  const t = useText();
  const custom = !delimiters.includes(wire.delimiter);
  const options = delimiters.map((d) => ({
    value: d,
    label: t.wire.delimiters[d as keyof Messages["wire"]["delimiters"]],
  }));
  const pointer = `${at}/framing/delimiter`;
  return (
    <div class="pair">
      <SelectField
        label={t.wire.delimiter}
        at={custom ? `${pointer}/choice` : pointer}
        value={custom ? other : wire.delimiter}
        set={(d) => change({ delimiter: d === other ? "" : d })}
        options={[...options, { value: other, label: t.wire.delimiterOther }]}
        testid="wire-delimiter"
      />
      {custom && (
        <TextField
          label={t.wire.delimiterOther}
          hint={t.wire.delimiterHint}
          at={pointer}
          value={wire.delimiter}
          set={(delimiter) => change({ delimiter })}
          code
        />
      )}
    </div>
  );
}
