// What is wrong now, each with what it is, what to do, and where it is put right.
import { useText } from "../i18n";
import { href } from "../router";
import type { Alarm } from "../types";
import { wordOf } from "../words";
import { Icon } from "./icon";
import { Age, Told } from "./mark";

export function AlarmList({ alarms }: { alarms: Alarm[] }) {
  const t = useText();
  return (
    <ul class="cards">
      {alarms.map((a) => (
        <li key={a.part + a.code} class="note bad" data-testid={`alarm-${a.part}`}>
          <Icon name="bad" />
          <div>
            <p class="note-title">
              {partLink(a.part)}
              {alarmWord(a.code, t.gateway.alarmCodes)}
            </p>
            <p>
              <Told text={a.message} />
            </p>
            <p class="muted">
              <Age time={a.since} lasting />
            </p>
          </div>
        </li>
      ))}
    </ul>
  );
}

function alarmWord(code: string, words: Record<string, string>): string {
  const word = wordOf(words, code);
  return word ? ` – ${word}` : "";
}

/** partLink leads from "bridge/cabinet" to where it is put right. */
function partLink(part: string) {
  const [kind, id] = part.split("/");
  if (id && kind === "bridge") return <a href={href("wires", id)}>{id}</a>;
  if (id && kind === "uplink") return <a href={href("uplinks", id)}>{id}</a>;
  return part;
}
