// Which screen of "System" stands where.
import { useText } from "../i18n";
import { Page } from "../parts/page";
import { Tabs } from "../parts/tabs";
import { mayAdminister } from "../session";
import { Audit } from "./audit";
import { BackupScreen } from "./backup";
import { CertificateScreen } from "./certificate";
import { GatewayScreen } from "./gateway";
import { History } from "./history";
import { Log } from "./log";
import { People } from "./people";

export function SystemScreen({ second }: { second: string | undefined }) {
  const t = useText();
  const tabs = [
    { to: "gateway", text: t.parts.gateway },
    { to: "log", text: t.parts.log },
    ...(mayAdminister.value
      ? [
          { to: "people", text: t.parts.people },
          { to: "settings", text: t.parts.settings },
          { to: "backup", text: t.backup.tab },
          { to: "certificate", text: t.certificate.tab },
          { to: "audit", text: t.parts.audit },
        ]
      : []),
  ];
  const here = tabs.find((tab) => tab.to === second)?.to ?? "gateway";
  return (
    <Page title={t.parts.system}>
      <Tabs under="system" tabs={tabs} here={here} label={t.parts.system} />
      {here === "gateway" && <GatewayScreen />}
      {here === "log" && <Log />}
      {here === "people" && <People />}
      {here === "settings" && <History />}
      {here === "backup" && <BackupScreen />}
      {here === "certificate" && <CertificateScreen />}
      {here === "audit" && <Audit />}
    </Page>
  );
}
