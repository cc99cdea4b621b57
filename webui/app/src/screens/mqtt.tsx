// Which screen of "MQTT" stands where.
import { useText } from "../i18n";
import { Page } from "../parts/page";
import { Tabs } from "../parts/tabs";
import { mayAdminister } from "../session";
import { Accounts } from "./accounts";
import { ClientScreen } from "./client";
import { Clients } from "./clients";
import { Connect } from "./connect";
import { HomeAssistantScreen } from "./home-assistant";
import { RuleAdd, RuleEdit } from "./rule-form";
import { Rules } from "./rules";
import { Topics } from "./topics";

export function Mqtt({ second, third }: { second: string | undefined; third: string | undefined }) {
  const t = useText();
  const admin = mayAdminister.value;
  if (second === "clients" && third !== undefined) return <ClientScreen key={third} id={third} />;
  if (second === "rules" && admin && third !== undefined)
    return third === "new" ? <RuleAdd /> : <RuleEdit key={third} id={third} />;
  const tabs = [
    { to: "connect", text: t.parts.connect },
    { to: "clients", text: t.parts.clients },
    { to: "topics", text: t.parts.topics },
    { to: "home-assistant", text: t.home.tab },
    ...(admin
      ? [
          { to: "accounts", text: t.parts.accounts },
          { to: "rules", text: t.parts.rules },
        ]
      : []),
  ];
  const here = tabs.find((tab) => tab.to === second)?.to ?? "connect";
  return (
    <Page title={t.parts.mqtt}>
      <Tabs under="mqtt" tabs={tabs} here={here} label={t.parts.mqtt} />
      {here === "connect" && <Connect />}
      {here === "clients" && <Clients />}
      {here === "topics" && <Topics key={third ?? ""} at={third ?? ""} />}
      {here === "home-assistant" && <HomeAssistantScreen />}
      {here === "accounts" && <Accounts />}
      {here === "rules" && <Rules />}
    </Page>
  );
}
