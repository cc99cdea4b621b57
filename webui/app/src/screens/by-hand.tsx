// Reading and writing registers by hand, on the wire of a running bridge and between its polls.
import { api } from "../api";
import { useText } from "../i18n";
import { HandRead } from "../parts/hand-read";
import { HandWriting } from "../parts/hand-write";
import { Empty, Failed, Skeleton, useLoad } from "../parts/load";
import { Page } from "../parts/page";
import { href } from "../router";
import { mayChange } from "../session";

export function HandScreen({ id }: { id: string }) {
  const t = useText();
  const { hand } = t.field;
  const { data, error, missing, reload } = useLoad(`hand ${id}`, () => api.bridges.get(id));
  const units = (data?.data.devices ?? []).flatMap((d) => (d.unit === undefined ? [] : [d.unit]));
  const unit = String(units[0] ?? 1);
  return (
    <Page title={hand.title(id)} back={href("wires", id)}>
      {data ? (
        mayChange.value && data.data.kind === "modbus" ? (
          <>
            <p>{hand.intro}</p>
            <HandRead id={id} unit={unit} />
            <HandWriting id={id} unit={unit} />
          </>
        ) : (
          <p class="muted">{mayChange.value ? hand.noModbus : t.control.lookOnly}</p>
        )
      ) : missing ? (
        <Empty icon="cable" title={t.wire.notFound(id)} />
      ) : error !== undefined ? (
        <Failed error={error} retry={reload} />
      ) : (
        <Skeleton />
      )}
    </Page>
  );
}
