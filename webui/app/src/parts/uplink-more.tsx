// The settings of an uplink that most people leave as they are: protocol, certificates, limits of the queue.
import { useText } from "../i18n";
import type { UplinkDraft } from "../model/uplink";
import { SelectField, TextField } from "./field";

interface Props {
  draft: UplinkDraft;
  change: (part: Partial<UplinkDraft>) => void;
}

export function UplinkMore(p: Props) {
  const t = useText();
  const { draft, change } = p;
  return (
    <>
      <SelectField
        label={t.link.version}
        at="/version"
        value={draft.version}
        set={(version) => change({ version })}
        options={(["4", "5"] as const).map((value) => ({ value, label: t.link.versions[value] }))}
        testid="uplink-version"
      />
      <TextField
        label={t.link.keepAlive}
        hint={t.link.keepAliveHint}
        at="/keep_alive"
        value={draft.keepAlive}
        set={(keepAlive) => change({ keepAlive })}
        optional
      />
      {draft.tls && <Certificates {...p} />}
      <Limits {...p} />
    </>
  );
}

function Certificates({ draft, change }: Props) {
  const t = useText();
  return (
    <>
      <h3>{t.link.tls}</h3>
      <TextField
        label={t.link.caFile}
        hint={t.link.caFileHint}
        at="/tls/ca_file"
        value={draft.caFile}
        set={(caFile) => change({ caFile })}
        testid="uplink-ca-file"
        code
        optional
      />
      <TextField
        label={t.link.certFile}
        hint={t.link.certHint}
        at="/tls/cert_file"
        value={draft.certFile}
        set={(certFile) => change({ certFile })}
        testid="uplink-cert-file"
        code
        optional
      />
      <TextField
        label={t.link.keyFile}
        at="/tls/key_file"
        value={draft.keyFile}
        set={(keyFile) => change({ keyFile })}
        testid="uplink-key-file"
        code
        optional
      />
      <TextField
        label={t.link.serverName}
        hint={t.link.serverNameHint}
        at="/tls/server_name"
        value={draft.serverName}
        set={(serverName) => change({ serverName })}
        optional
      />
      <TextField
        label={t.link.alpn}
        hint={t.link.alpnHint}
        at="/tls/alpn"
        value={draft.alpn}
        set={(alpn) => change({ alpn })}
        testid="uplink-alpn"
        code
        optional
      />
    </>
  );
}

function Limits({ draft, change }: Props) {
  const t = useText();
  return (
    <>
      <h3>{t.link.queue}</h3>
      <div class="grid">
        <TextField
          label={t.link.maxMessages}
          hint={t.link.maxMessagesHint}
          at="/queue/max_messages"
          value={draft.maxMessages}
          set={(maxMessages) => change({ maxMessages })}
          inputMode="numeric"
          testid="uplink-max-messages"
          optional
        />
        <TextField
          label={t.link.maxBytes}
          hint={t.link.maxBytesHint}
          at="/queue/max_bytes"
          value={draft.maxBytes}
          set={(maxBytes) => change({ maxBytes })}
          optional
        />
        <TextField
          label={t.link.maxAge}
          hint={t.link.maxAgeHint}
          at="/queue/max_age"
          value={draft.maxAge}
          set={(maxAge) => change({ maxAge })}
          optional
        />
        <SelectField
          label={t.link.full}
          at="/queue/full"
          value={draft.full}
          set={(full) => change({ full })}
          options={(["drop_oldest", "reject"] as const).map((value) => ({ value, label: t.link.fullNames[value] }))}
        />
      </div>
    </>
  );
}
