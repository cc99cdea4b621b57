// Which screen stands where, and the frame around it.
import { useEffect } from "preact/hooks";
import { language, useText } from "./i18n";
import { live } from "./live";
import { Dialog } from "./parts/dialog";
import { Icon, type IconName } from "./parts/icon";
import { Skeleton } from "./parts/load";
import { Toasts } from "./parts/toast";
import { restarting } from "./restart";
import { href, segments } from "./router";
import { Account } from "./screens/account";
import { DeviceScreen } from "./screens/device";
import { DeviceAdd, DeviceEdit } from "./screens/device-form";
import { Devices } from "./screens/devices";
import { FramesScreen } from "./screens/frames";
import { HandScreen } from "./screens/by-hand";
import { Login } from "./screens/login";
import { Mqtt } from "./screens/mqtt";
import { Overview } from "./screens/overview";
import { PointsTable } from "./screens/points-table";
import { Setup } from "./screens/setup";
import { TemplatesScreen } from "./screens/templates";
import { SystemScreen } from "./screens/system";
import { UplinkAdd, UplinkEdit } from "./screens/uplink-form";
import { Uplinks } from "./screens/uplinks";
import { WireScreen } from "./screens/wire";
import { begin, phase, system, user } from "./session";

export function App() {
  const lang = language.value;
  useEffect(() => {
    document.documentElement.lang = lang;
  }, [lang]);
  const at = phase.value;
  const known = user.value !== null;
  return (
    <>
      {at === "starting" && <Skeleton />}
      {at === "unreachable" && <Unreachable />}
      {at === "setup" && <Setup />}
      {at === "login" && <Login again={known} />}
      {/* The frame stays while somebody logs in again, so that a half-filled form is still there. */}
      {known && (
        <div hidden={at !== "in"}>
          <Frame />
        </div>
      )}
      <Dialog />
      <Toasts />
    </>
  );
}

function Unreachable() {
  const t = useText();
  return (
    <main class="gate">
      <h1>{t.start.unreachable}</h1>
      <p>{t.start.unreachableHint}</p>
      <button type="button" class="button primary" onClick={() => void begin()}>
        {t.retry}
      </button>
    </main>
  );
}

function Frame() {
  const t = useText();
  return (
    <div class="frame">
      <a
        class="skip"
        href="#main"
        onClick={(e) => {
          e.preventDefault(); // the part after # is the screen
          document.getElementById("main")?.focus();
        }}
      >
        {t.skip}
      </a>
      <Head />
      {restarting.value ? <Restarting {...restarting.value} /> : live.lost.value && <NotLive />}
      <main id="main" tabIndex={-1}>
        <Screen />
      </main>
      <footer>{system.value && t.nav.version(system.value.version, system.value.hostname)}</footer>
    </div>
  );
}

function NotLive() {
  const t = useText();
  return (
    <div class="banner" role="alert" data-testid="not-live">
      <Icon name="bad" />
      <span>{t.live.lost}</span>
      <button type="button" class="button small" onClick={() => live.retryNow()}>
        {t.live.retry}
      </button>
    </div>
  );
}

/** Restarting stands while the gateway is away because somebody asked for it. */
function Restarting({ seconds, late }: { seconds: number; late: boolean }) {
  const t = useText();
  return (
    <div class="banner" role="status" data-testid="restarting" data-late={late}>
      <Icon name={late ? "bad" : "waiting"} />
      <span>
        <strong>{late ? t.restart.late : t.restart.runningText}</strong>{" "}
        {/* For the eye only: nobody wants to hear every second. */}
        <span aria-hidden="true">{t.restart.running(seconds)}</span>
      </span>
    </div>
  );
}

function Head() {
  const t = useText();
  const [first] = segments.value;
  const items: { to: string; icon: IconName; text: string; testid: string }[] = [
    { to: "", icon: "overview", text: t.nav.overview, testid: "nav-overview" },
    { to: "devices", icon: "devices", text: t.nav.devices, testid: "nav-devices" },
    { to: "uplinks", icon: "uplinks", text: t.nav.uplinks, testid: "nav-uplinks" },
    { to: "mqtt", icon: "mqtt", text: t.parts.mqtt, testid: "nav-mqtt" },
    { to: "system", icon: "system", text: t.parts.system, testid: "nav-system" },
    { to: "account", icon: "account", text: t.nav.account, testid: "nav-account" },
  ];
  const here = first === "wires" || first === "templates" ? "devices" : (first ?? "");
  return (
    <header>
      <span class="brand">fieldgate</span>
      <nav aria-label={t.nav.main}>
        {items.map((item) => (
          <a
            key={item.to}
            href={href(item.to)}
            aria-current={item.to === here ? "page" : undefined}
            data-testid={item.testid}
          >
            <Icon name={item.icon} />
            <span>{item.text}</span>
          </a>
        ))}
      </nav>
    </header>
  );
}

function Screen() {
  const [first, second, third, fourth] = segments.value;
  switch (first) {
    case "devices":
      if (second === undefined) return <Devices />;
      if (second === "new" && (third === undefined || third === "on")) return <DeviceAdd key={fourth} on={fourth} />;
      if (third === "points") return <PointsTable key={second} id={second} />;
      return third === "edit" ? <DeviceEdit key={second} id={second} /> : <DeviceScreen key={second} id={second} />;
    case "wires":
      if (second === undefined) return <Devices />;
      if (third === "hand") return <HandScreen key={second} id={second} />;
      return third === "frames" ? <FramesScreen key={second} id={second} /> : <WireScreen key={second} id={second} />;
    case "templates":
      return <TemplatesScreen id={second} />;
    case "uplinks":
      if (second === undefined) return <Uplinks />;
      return second === "new" ? <UplinkAdd /> : <UplinkEdit key={second} id={second} />;
    case "mqtt":
      return <Mqtt second={second} third={third} />;
    case "system":
      return <SystemScreen second={second} />;
    case "account":
      return <Account />;
    default:
      return <Overview />;
  }
}
