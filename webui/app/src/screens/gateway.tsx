// The gateway itself: how it is, what it runs on, and what support asks for.
import { useEffect } from "preact/hooks";
import { admin } from "../admin-api";
import type { Gateway, HostFile } from "../admin-types";
import { useText, type Messages } from "../i18n";
import { live } from "../live";
import { AlarmList } from "../parts/alarms";
import { ask } from "../parts/dialog";
import { Facts, type Fact } from "../parts/facts";
import { Icon } from "../parts/icon";
import { Failed, Skeleton, useLoad } from "../parts/load";
import { tellFailure } from "../parts/remove-wire";
import { comeBack, restarting } from "../restart";
import { mayAdminister } from "../session";
import { age, bytes } from "../words";

const refreshEvery = 10_000; // ms
const littleDisk = 500_000_000; // bytes; below it a queue may soon find no room

export function GatewayScreen() {
  const t = useText();
  const { data, error, reload } = useLoad("gateway", admin.gateway);
  const alarms = live.picture.alarms.value;
  useEffect(() => {
    const timer = window.setInterval(() => {
      if (!document.hidden && !restarting.peek()) reload();
    }, refreshEvery);
    return () => window.clearInterval(timer);
  }, [reload]);
  return (
    <>
      <section aria-labelledby="health-title">
        <h2 id="health-title">{t.gateway.health}</h2>
        {alarms.length > 0 ? (
          <AlarmList alarms={alarms} />
        ) : (
          <p class="note good">
            <Icon name="good" />
            <span>{t.gateway.allWell}</span>
          </p>
        )}
      </section>
      {data ? (
        <section class="card" aria-label={t.parts.gateway} data-testid="gateway">
          <Facts facts={facts(data, t)} />
          <details data-testid="host-file">
            <summary>{t.host.title}</summary>
            <p class="muted">{t.host.text}</p>
            <Facts facts={hostFacts(data.host_file, t)} />
          </details>
        </section>
      ) : error !== undefined ? (
        <Failed error={error} retry={reload} />
      ) : (
        <Skeleton />
      )}
      {mayAdminister.value && (
        <section class="card form-step" aria-labelledby="support-title">
          <h2 id="support-title">{t.gateway.diagnostics}</h2>
          <p class="muted">{t.gateway.diagnosticsText}</p>
          <a class="button" href={admin.diagnostics} download data-testid="diagnostics">
            {t.gateway.diagnosticsGo}
          </a>
        </section>
      )}
      {mayAdminister.value && data && <Restart started={data.started} />}
    </>
  );
}

function Restart({ started }: { started: string }) {
  const t = useText();
  const restart = async (): Promise<void> => {
    const { askTitle, askText, go } = t.restart;
    if (!(await ask({ title: askTitle, text: askText, yes: go, danger: true }))) return;
    await admin.restart();
    await comeBack(started);
  };
  return (
    <section class="card form-step" aria-labelledby="restart-title">
      <h2 id="restart-title">{t.restart.title}</h2>
      <p class="muted">{t.restart.text}</p>
      <button
        type="button"
        class="button"
        data-testid="restart"
        aria-disabled={restarting.value !== null}
        onClick={() => {
          if (!restarting.value) void restart().catch(tellFailure);
        }}
      >
        {t.restart.go}
      </button>
    </section>
  );
}

function hostFacts(h: HostFile, t: Messages): Fact[] {
  const { host: w } = t;
  return [
    [w.file, h.file === "" ? w.none : <code>{h.file}</code>, "host-file-name"],
    [w.dataDir, <code>{h.data_dir}</code>],
    [w.page, w.pageWords(h.admin_address, w.tls[h.admin_tls])],
    [w.log, t.log.level_[h.log_level]],
    [w.durability, w.durabilities[h.durability]],
    [w.minFree, bytes(h.min_free_disk_bytes)],
    [w.limits, w.limitWords(h.max_connections, bytes(h.max_packet_size_bytes), h.max_queued_messages)],
  ];
}

function facts(g: Gateway, t: Messages): Fact[] {
  const { gateway: w } = t;
  const { machine: m, disk: d } = g;
  return [
    [w.version, g.version, "gateway-version"],
    [w.host, g.hostname],
    [w.up, age(g.uptime_seconds * 1000, t)],
    [w.clock, <Clock gateway={g} />, "gateway-clock"],
    m.cpus > 0 && [w.machine, w.machineWords(m.os, m.architecture, m.kernel)],
    m.cpus > 0 && [w.cpu, w.cpuWords(m.load_1min.toFixed(2), m.cpus)],
    m.memory_total_bytes > 0 && [
      w.memory,
      w.memoryWords(bytes(m.memory_available_bytes), bytes(m.memory_total_bytes), bytes(m.process_memory_bytes)),
    ],
    d.size_bytes > 0 && [w.disk, <Disk disk={d} />],
    d.spool_bytes >= 0 && [w.spool, bytes(d.spool_bytes)],
    [w.clients, g.mqtt.clients],
    [w.page, pageWords(t), "gateway-tls"],
    g.mqtt.endpoints.length > 0 && [
      w.mqtt,
      <ul>
        {g.mqtt.endpoints.map((e) => (
          <li key={e.address}>{w.endpoint(e.address, e.tls)}</li>
        ))}
      </ul>,
    ],
  ];
}

/** pageWords says whether what is typed into this page can be read on its way. */
function pageWords(t: Messages): string {
  if (location.protocol === "https:") return t.gateway.pageTLS;
  const here = /^(localhost|127\.|\[::1\])/.test(location.hostname);
  return here ? t.gateway.pageHere : t.gateway.pagePlain;
}

function Clock({ gateway }: { gateway: Gateway }) {
  const t = useText();
  const synchronized = gateway.machine.clock_synchronized;
  const words =
    synchronized === null ? t.gateway.clockUnknown : synchronized ? t.gateway.clockGood : t.gateway.clockBad;
  return (
    <>
      <time dateTime={gateway.time}>{new Date(gateway.time).toLocaleString()}</time>,{" "}
      <span class={synchronized === false ? "mark-words bad" : ""}>{words}</span>
    </>
  );
}

function Disk({ disk }: { disk: Gateway["disk"] }) {
  const t = useText();
  return (
    <>
      {t.gateway.diskWords(bytes(Math.max(0, disk.free_bytes)), bytes(disk.size_bytes))}
      {disk.free_bytes >= 0 && disk.free_bytes < littleDisk && (
        <p class="wrong">
          <Icon name="bad" />
          {t.gateway.diskLow}
        </p>
      )}
    </>
  );
}
