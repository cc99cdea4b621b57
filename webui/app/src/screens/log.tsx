// What the gateway says about its work.
import { useEffect, useRef, useState } from "preact/hooks";
import { admin } from "../admin-api";
import type { LogRecord } from "../admin-types";
import { useText } from "../i18n";
import { CheckField, SelectField, TextField } from "../parts/field";
import { Empty, Failed, Skeleton, useLoad } from "../parts/load";
import { Told } from "../parts/mark";

const pollEvery = 2000; // ms
const kept = 1000; // records on the screen
const levels = ["debug", "info", "warn", "error"] as const;
const tones = { debug: "waiting", info: "waiting", warn: "stale", error: "bad" } as const;

export function Log() {
  const t = useText();
  const [level, setLevel] = useState("info");
  const [word, setWord] = useState("");
  const [contains, setContains] = useState("");
  const [follow, setFollow] = useState(true);
  useEffect(() => {
    const timer = window.setTimeout(() => setContains(word.trim()), 400); // while somebody types
    return () => window.clearTimeout(timer);
  }, [word]);
  return (
    <>
      <div class="search">
        <SelectField
          label={t.log.level}
          at="/level"
          value={level}
          set={setLevel}
          options={levels.map((value) => ({ value, label: t.log.levels[value] }))}
          testid="log-level"
        />
        <TextField label={t.log.contains} at="/contains" value={word} set={setWord} testid="log-contains" optional />
        <CheckField label={t.log.follow} at="/follow" value={follow} set={setFollow} testid="log-follow" />
      </div>
      <Records key={`${level} ${contains}`} level={level} contains={contains} follow={follow} />
    </>
  );
}

function Records({ level, contains, follow }: { level: string; contains: string; follow: boolean }) {
  const t = useText();
  const { data, error, reload } = useLoad("log", () => admin.logs({ level, contains }));
  const news = useNews(data, follow, level, contains);
  if (!data) return error === undefined ? <Skeleton /> : <Failed error={error} retry={reload} />;
  const all = [...data, ...news].slice(-kept).reverse();
  if (all.length === 0) return <Empty icon="overview" title={t.log.empty} text={t.log.emptyText} />;
  return (
    <ul class="card plain log" aria-label={t.log.list} data-testid="log">
      {all.map((r) => (
        <Line key={r.seq} record={r} />
      ))}
    </ul>
  );
}

/** useNews asks for what came behind the records that are known, while follow is set and the tab is seen. */
function useNews(first: LogRecord[] | undefined, follow: boolean, level: string, contains: string): LogRecord[] {
  const [news, set] = useState<LogRecord[]>([]);
  const last = useRef("");
  last.current = (news.at(-1) ?? first?.at(-1))?.seq ?? "0";
  const ready = first !== undefined;
  useEffect(() => {
    if (!follow || !ready) return;
    let current = true;
    const timer = window.setInterval(() => {
      if (document.hidden) return;
      admin.logs({ level, contains, after: last.current }).then(
        (items) => {
          if (current && items.length > 0)
            set((old) => [...old.filter((r) => r.seq !== items[0]?.seq), ...items].slice(-kept));
        },
        () => undefined, // the banner says that the gateway is away
      );
    }, pollEvery);
    return () => {
      current = false;
      window.clearInterval(timer);
    };
  }, [follow, ready, level, contains]);
  return news;
}

function Line({ record }: { record: LogRecord }) {
  const t = useText();
  const more = Object.entries(record.attributes)
    .map(([name, value]) => `${name}=${value}`)
    .join(" ");
  return (
    <li data-level={record.level}>
      <time dateTime={record.time}>{new Date(record.time).toLocaleString()}</time>
      <span class={`mark ${tones[record.level]}`}>{t.log.level_[record.level]}</span>
      <span class="muted">{record.part}</span>
      <span class="words">
        <Told text={record.message} /> {more && <code class="muted">{more}</code>}
      </span>
    </li>
  );
}
