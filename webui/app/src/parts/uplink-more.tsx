// The settings of an uplink that most people leave as they are: protocol, certificates, limits of the queue.
import { useText } from "../i18n";
import type { UplinkDraft } from "../model/uplink";
import { SelectField, TextField } from "./field";

interface Props {
  draft: UplinkDraft;
  change: (part: Partial<UplinkDraft>) => void;
}

/** A setting that is text: where it stands in the settings, and how it is asked for. */
interface Setting {
  key: "keepAlive" | "caFile" | "certFile" | "keyFile" | "serverName" | "alpn" | "maxMessages" | "maxBytes" | "maxAge";
  at: string; // its last key names the test id too: /tls/ca_file is uplink-ca-file
  label: string;
  hint?: string;
  code?: boolean;
}

function Texts({ draft, change, settings }: Props & { settings: Setting[] }) {
  return (
    <>
      {settings.map((s) => (
        <TextField
          key={s.key}
          label={s.label}
          {...(s.hint !== undefined && { hint: s.hint })}
          at={s.at}
          value={draft[s.key]}
          set={(text) => change({ [s.key]: text })}
          testid={`uplink-${(s.at.split("/").at(-1) ?? "").replaceAll("_", "-")}`}
          {...(s.code && { code: true })}
          {...(s.key === "maxMessages" && { inputMode: "numeric" as const })}
          optional
        />
      ))}
    </>
  );
}

export function UplinkMore(p: Props) {
  const t = useText();
  const { link: w } = t;
  return (
    <>
      <SelectField
        label={w.version}
        at="/version"
        value={p.draft.version}
        set={(version) => p.change({ version })}
        options={(["4", "5"] as const).map((value) => ({ value, label: w.versions[value] }))}
        testid="uplink-version"
      />
      <Texts {...p} settings={[{ key: "keepAlive", at: "/keep_alive", label: w.keepAlive, hint: w.keepAliveHint }]} />
      {p.draft.tls && (
        <>
          <h3>{w.tls}</h3>
          <Texts
            {...p}
            settings={[
              { key: "caFile", at: "/tls/ca_file", label: w.caFile, hint: w.caFileHint, code: true },
              { key: "certFile", at: "/tls/cert_file", label: w.certFile, hint: w.certHint, code: true },
              { key: "keyFile", at: "/tls/key_file", label: w.keyFile, code: true },
              { key: "serverName", at: "/tls/server_name", label: w.serverName, hint: w.serverNameHint },
              { key: "alpn", at: "/tls/alpn", label: w.alpn, hint: w.alpnHint, code: true },
            ]}
          />
        </>
      )}
      <h3>{w.queue}</h3>
      <div class="grid">
        <Texts
          {...p}
          settings={[
            { key: "maxMessages", at: "/queue/max_messages", label: w.maxMessages, hint: w.maxMessagesHint },
            { key: "maxBytes", at: "/queue/max_bytes", label: w.maxBytes, hint: w.maxBytesHint },
            { key: "maxAge", at: "/queue/max_age", label: w.maxAge, hint: w.maxAgeHint },
          ]}
        />
        <SelectField
          label={w.full}
          at="/queue/full"
          value={p.draft.full}
          set={(full) => p.change({ full })}
          options={(["drop_oldest", "reject"] as const).map((value) => ({ value, label: w.fullNames[value] }))}
        />
      </div>
    </>
  );
}
