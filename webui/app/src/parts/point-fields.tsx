// The points of a device: a card for each, as rows of a table would not fit a phone.
import { useText, type Messages } from "../i18n";
import { hex, manualNumber, readings, tables, type Reading, type Table } from "../model/address";
import { slug } from "../model/check";
import {
  binaryTypes,
  bits,
  canWrite,
  chosen,
  copyPoint,
  lineTypes,
  modbusTypes,
  newPoint,
  numeric,
  ordered,
  orders,
  sized,
  type Kind,
  type PointDraft,
} from "../model/device";
import {
  lineBinary,
  lineField,
  linePoint,
  lineWrite,
  modbusLength,
  modbusNumber,
  modbusPoint,
  modbusWrite,
  writeStep,
  type Parse,
} from "../model/field-settings";
import type { Setting } from "../model/setting";
import { wordOf } from "../words";
import { CheckField, ChoiceField, SelectField, TextField } from "./field";
import { Icon } from "./icon";
import { OrderTrial, type Line } from "./orders";
import { SettingFields } from "./setting-fields";

interface ListProps {
  points: PointDraft[];
  kind: Kind;
  parse: Parse | "";
  unit: string;
  line: () => Line | undefined;
  change: (points: PointDraft[]) => void;
}

/** PointList edits the points; pointers are /device/points/0 and so on. */
export function PointList({ points, kind, parse, unit, line, change }: ListProps) {
  const t = useText();
  const put = (i: number, part: Partial<PointDraft>): void =>
    change(points.map((p, at) => (at === i ? { ...p, ...part } : p)));
  return (
    <>
      {points.length === 0 && <p class="muted">{t.device.noPoints}</p>}
      <ol class="points">
        {points.map((p, i) => (
          <li key={p.key} class="point" data-row={p.id || t.device.point(i + 1)} data-testid={`point-${i}`}>
            <fieldset>
              <legend>{p.id || t.device.point(i + 1)}</legend>
              {p.over ? (
                <OverPoint point={p} i={i} change={(part) => put(i, part)} kind={kind} />
              ) : kind === "modbus" ? (
                <ModbusPoint point={p} i={i} change={(part) => put(i, part)} unit={unit} line={line} />
              ) : (
                <LinePoint point={p} i={i} change={(part) => put(i, part)} parse={parse} />
              )}
              <div class="actions">
                <button
                  type="button"
                  class="button small"
                  data-testid={`point-copy-${i}`}
                  onClick={() => change([...points.slice(0, i + 1), copyPoint(p), ...points.slice(i + 1)])}
                >
                  <Icon name="copy" />
                  {t.copy}
                </button>
                <button
                  type="button"
                  class="button small"
                  data-testid={`point-remove-${i}`}
                  onClick={() => change(points.filter((_, at) => at !== i))}
                >
                  <Icon name="trash" />
                  {t.remove}
                </button>
              </div>
            </fieldset>
          </li>
        ))}
      </ol>
      <button
        type="button"
        class="button"
        data-testid="point-add"
        onClick={() => change([...points, fresh(kind, parse)])}
      >
        <Icon name="plus" />
        {t.device.addPoint}
      </button>
    </>
  );
}

function fresh(kind: Kind, parse: Parse | ""): PointDraft {
  const point = newPoint(kind);
  if (kind === "modbus") return point;
  return { ...point, type: parse === "text" ? "string" : parse === "binary" ? "uint16" : point.type };
}

interface PointProps {
  point: PointDraft;
  i: number;
  change: (part: Partial<PointDraft>) => void;
}

function NameField({ point, i, change }: PointProps) {
  const t = useText();
  return (
    <TextField
      label={t.device.pointName}
      at={`/device/points/${i}/id`}
      value={point.id}
      set={(id) => change({ id: slug(id) })}
      testid={`point-id-${i}`}
    />
  );
}

function UnitField({ point, i, change }: PointProps) {
  const t = useText();
  return (
    <TextField
      label={t.device.unitOf}
      at={`/device/points/${i}/unit`}
      value={point.unit}
      set={(unit) => change({ unit })}
      placeholder="V, kWh, °C"
      testid={`point-unit-${i}`}
      optional
    />
  );
}

function More(p: PointProps & { settings: readonly Setting[] }) {
  return (
    <SettingFields
      settings={p.settings}
      entries={p.point.more}
      change={(more) => p.change({ more })}
      at={`/device/points/${p.i}`}
      row={p.i}
    />
  );
}

/** OverPoint changes what a template says of a point; where it is read stays. */
function OverPoint(p: PointProps & { kind: Kind }) {
  const t = useText();
  const settings = p.kind === "modbus" ? [...modbusNumber, ...modbusPoint] : linePoint;
  return (
    <>
      <p class="muted">{t.field.overText}</p>
      <div class="grid">
        <UnitField {...p} />
        <More {...p} settings={settings} />
      </div>
    </>
  );
}

function LinePoint(p: PointProps & { parse: Parse | "" }) {
  const { point, i, change, parse } = p;
  const t = useText();
  const binary = parse === "binary";
  const [first, ...rest] = lineBinary;
  const types = binary ? binaryTypes : lineTypes;
  return (
    <>
      <div class="grid">
        <NameField {...p} />
        {binary
          ? first && <More {...p} settings={[first]} />
          : parse !== "text" && <More {...p} settings={[lineField]} />}
        <SelectField
          label={t.device.type}
          at={`/device/points/${i}/type`}
          value={point.type}
          set={(type) => change({ type })}
          options={types.map((v) => ({ value: v, label: wordOf(t.device.lineTypes, v) ?? v }))}
          testid={`point-type-${i}`}
        />
        <UnitField {...p} />
      </div>
      <details>
        <summary>{t.more}</summary>
        <div class="grid">
          <More {...p} settings={binary ? [...rest, ...linePoint] : linePoint} />
        </div>
      </details>
      <CheckField
        label={t.device.writable}
        at={`/device/points/${i}/write`}
        value={point.writable}
        set={(writable) => change({ writable })}
        testid={`point-writable-${i}`}
      />
      {point.writable && (
        <div class="grid">
          <More {...p} settings={lineWrite} />
        </div>
      )}
    </>
  );
}

function ModbusPoint(p: PointProps & { unit: string; line: () => Line | undefined }) {
  const { point, i, change } = p;
  const t = useText();
  const at = `/device/points/${i}`;
  const single = bits(point.table);
  return (
    <>
      <div class="grid">
        <NameField {...p} />
        <SelectField
          label={t.device.table}
          at={`${at}/table`}
          value={point.table}
          set={(table) => change({ table: table as Table })}
          options={tables.map((v) => ({ value: v, label: t.device.tables[v] }))}
          testid={`point-table-${i}`}
        />
        <TextField
          label={t.device.address}
          at={`${at}/address`}
          value={point.address}
          set={(address) => change({ address })}
          hint={<AddressHint point={point} />}
          testid={`point-address-${i}`}
          code
        />
        {!single && (
          <SelectField
            label={t.device.type}
            at={`${at}/type`}
            value={point.type}
            set={(type) => change({ type })}
            options={modbusTypes.map((v) => ({ value: v, label: `${v} – ${wordOf(t.device.types, v) ?? ""}` }))}
            testid={`point-type-${i}`}
          />
        )}
        {!single && sized(point.type) && <More {...p} settings={[modbusLength]} />}
        {numeric(point) && <UnitField {...p} />}
      </div>
      <AddressChoice point={point} change={change} at={`${at}/address/choice`} />
      <OrderTrial point={point} i={i} unit={p.unit} line={p.line} take={change} />
      <details data-testid={`point-more-${i}`}>
        <summary>{t.more}</summary>
        <div class="grid">
          {!single && <NumberFields {...p} />}
          <More {...p} settings={modbusPoint} />
        </div>
      </details>
      {canWrite(point.table) && <WriteFields {...p} number={numeric(point)} />}
    </>
  );
}

/** NumberFields are order, scale and what else makes a number of registers. */
function NumberFields(p: PointProps) {
  const { point, i, change } = p;
  const t = useText();
  const at = `/device/points/${i}`;
  return (
    <>
      {ordered(point.type) && point.bit.trim() === "" && (
        <SelectField
          label={t.device.order}
          hint={t.device.orderHint}
          at={`${at}/order`}
          value={point.order}
          set={(order) => change({ order })}
          options={orders.map((v) => ({ value: v, label: v }))}
          testid={`point-order-${i}`}
        />
      )}
      {numeric(point) && (
        <>
          <TextField
            label={t.device.scale}
            at={`${at}/scale`}
            value={point.scale}
            set={(scale) => change({ scale })}
            placeholder="1"
            inputMode="decimal"
            testid={`point-scale-${i}`}
            optional
          />
          <TextField
            label={t.device.offset}
            at={`${at}/offset`}
            value={point.offset}
            set={(offset) => change({ offset })}
            placeholder="0"
            testid={`point-offset-${i}`}
            optional
          />
          <More {...p} settings={modbusNumber} />
        </>
      )}
      <TextField
        label={t.device.bit}
        hint={t.device.bitHint}
        at={`${at}/bit`}
        value={point.bit}
        set={(bit) => change({ bit })}
        inputMode="numeric"
        testid={`point-bit-${i}`}
        optional
      />
    </>
  );
}

function WriteFields(p: PointProps & { number: boolean }) {
  const { point, i, change, number } = p;
  const t = useText();
  const at = `/device/points/${i}/write`;
  return (
    <>
      <CheckField
        label={t.device.writable}
        at={at}
        value={point.writable}
        set={(writable) => change({ writable })}
        testid={`point-writable-${i}`}
      />
      {point.writable && number && (
        <div class="pair">
          <TextField
            label={t.device.min}
            at={`${at}/min`}
            value={point.min}
            set={(min) => change({ min })}
            testid={`point-min-${i}`}
            optional
          />
          <TextField
            label={t.device.max}
            at={`${at}/max`}
            value={point.max}
            set={(max) => change({ max })}
            testid={`point-max-${i}`}
            optional
          />
          <More {...p} settings={[writeStep]} />
        </div>
      )}
      {point.writable && (
        <div class="pair">
          <More {...p} settings={modbusWrite} />
        </div>
      )}
    </>
  );
}

function AddressHint({ point }: { point: PointDraft }) {
  const t = useText();
  const meaning = chosen(point);
  if (!meaning) return t.device.addressHint;
  const { wire } = meaning;
  return t.device.addressReadings(String(wire), hex(wire), manualNumber(point.table, wire));
}

/** AddressChoice speaks up when a number can mean two things, or belongs to another table. */
function AddressChoice({ point, change, at }: { point: PointDraft; change: PointProps["change"]; at: string }) {
  const t = useText();
  const all = readings(point.address, point.table);
  const elsewhere = all.find((r) => r.table !== point.table);
  if (elsewhere) {
    return (
      <p class="note stale">
        {t.device.otherTable(point.address, t.device.tables[elsewhere.table])}{" "}
        <button type="button" class="button small" onClick={() => change({ table: elsewhere.table, manual: true })}>
          {t.device.useOtherTable}
        </button>
      </p>
    );
  }
  if (all.length < 2) return null;
  return (
    <ChoiceField
      small
      label={t.device.readAs}
      at={at}
      value={chosen(point)?.manual ? "manual" : "wire"}
      set={(v) => change({ manual: v === "manual" })}
      choices={all.map((r) => readingChoice(r, point.address, t))}
    />
  );
}

function readingChoice(r: Reading, text: string, t: Messages) {
  return r.manual
    ? { value: "manual", label: t.device.readManual(text, r.wire) }
    : { value: "wire", label: t.device.readWire(r.wire) };
}
