// What the page proves itself with to browsers.
import { useState } from "preact/hooks";
import { admin } from "../admin-api";
import type { Certificate } from "../admin-types";
import { useText, type Messages } from "../i18n";
import { now } from "../live";
import { AreaField } from "../parts/field";
import { ask } from "../parts/dialog";
import { Facts, type Fact } from "../parts/facts";
import { FileButton } from "../parts/file-button";
import { useGuard, useSaving } from "../parts/form";
import { Icon } from "../parts/icon";
import { InlineForm } from "../parts/inline-form";
import { Failed, Skeleton, useLoad } from "../parts/load";
import { tellFailure } from "../parts/remove-wire";
import { tell } from "../parts/toast";

const day = 86_400_000; // ms
const soonBelow = 30; // days

export function CertificateScreen() {
  const t = useText();
  const { data, error, reload } = useLoad("certificate", admin.certificate);
  return (
    <>
      <p>{t.certificate.intro}</p>
      {data ? (
        data.mode === "off" ? (
          <p class="note stale" data-testid="certificate-off">
            <Icon name="bad" />
            <span>{t.certificate.off}</span>
          </p>
        ) : (
          <>
            <Present certificate={data} />
            {data.mode === "files" ? (
              <p class="muted">{t.certificate.files}</p>
            ) : (
              <>
                <Replace reload={reload} />
                <Renew reload={reload} />
              </>
            )}
          </>
        )
      ) : error !== undefined ? (
        <Failed error={error} retry={reload} />
      ) : (
        <Skeleton />
      )}
    </>
  );
}

function Present({ certificate: c }: { certificate: Certificate }) {
  const t = useText();
  const left = c.not_after === null ? Infinity : Math.floor((Date.parse(c.not_after) - now.value) / day);
  return (
    <section class="card" aria-label={t.certificate.tab} data-testid="certificate">
      {left < soonBelow && (
        <p class={left < 0 ? "note bad" : "note stale"}>
          <Icon name="bad" />
          <span>{left < 0 ? t.certificate.expired : t.certificate.soon(left)}</span>
        </p>
      )}
      <Facts facts={facts(c, t)} />
    </section>
  );
}

function facts(c: Certificate, t: Messages): Fact[] {
  const { certificate: w } = t;
  const date = (text: string): string => new Date(text).toLocaleDateString();
  return [
    [w.kind, c.self_signed ? w.own : w.foreign, "certificate-kind"],
    c.subject !== undefined && [w.subject, <code>{c.subject}</code>, "certificate-subject"],
    c.issuer !== undefined && !c.self_signed && [w.issuer, <code>{c.issuer}</code>],
    c.names.length > 0 && [w.names, <code>{c.names.join(", ")}</code>],
    c.not_before !== null && c.not_after !== null && [w.valid, w.validWords(date(c.not_before), date(c.not_after))],
    c.sha256_fingerprint !== undefined && [
      w.fingerprint,
      <>
        <code>{c.sha256_fingerprint}</code>
        <p class="hint">{w.fingerprintHint}</p>
      </>,
    ],
  ];
}

function Replace({ reload }: { reload: () => void }) {
  const t = useText();
  const saving = useSaving();
  const [draft, set] = useState({ certificate: "", key: "" });
  useGuard(draft.certificate + draft.key !== "");
  const replace = (): void => {
    const missing = (["certificate", "key"] as const).filter((part) => draft[part].trim() === "");
    if (missing.length > 0)
      return saving.reject(missing.map((part) => ({ pointer: `/${part}`, code: "required", detail: "" })));
    void saving.run(async () => {
      await admin.replaceCertificate(draft);
      tell(t.certificate.replaced);
      set({ certificate: "", key: "" });
      reload();
    });
  };
  const part = (name: "certificate" | "key", label: string, hint: string) => (
    <>
      <AreaField
        label={label}
        hint={hint}
        at={`/${name}`}
        value={draft[name]}
        set={(text) => set({ ...draft, [name]: text })}
        rows={4}
        testid={`certificate-${name}`}
      />
      <FileButton
        label={`${t.certificate.file}: ${label}`}
        accept=".pem,.crt,.cer,.key"
        testid={`certificate-${name}-file`}
        chosen={(file) => void file.text().then((text) => set((d) => ({ ...d, [name]: text })), tellFailure)}
      />
    </>
  );
  return (
    <details class="card form-step">
      <summary data-testid="certificate-replace">{t.certificate.replace}</summary>
      <p class="muted">{t.certificate.replaceText}</p>
      <InlineForm
        testid="certificate-form"
        saving={saving.state}
        submit={saving.state.busy ? t.saving : t.certificate.replaceGo}
        onSubmit={replace}
      >
        <div class="form-step">
          {part("certificate", t.certificate.chain, t.certificate.chainHint)}
          {part("key", t.certificate.key, t.certificate.keyHint)}
        </div>
      </InlineForm>
    </details>
  );
}

function Renew({ reload }: { reload: () => void }) {
  const t = useText();
  const renew = async (): Promise<void> => {
    const { renewTitle, renewAsk, renewed } = t.certificate;
    if (!(await ask({ title: renewTitle, text: renewAsk, yes: t.certificate.renew, danger: true }))) return;
    await admin.renewCertificate();
    tell(renewed);
    reload();
  };
  return (
    <section class="card form-step" aria-label={t.certificate.renew}>
      <p class="muted">{t.certificate.renewText}</p>
      <button
        type="button"
        class="button"
        data-testid="certificate-renew"
        onClick={() => void renew().catch(tellFailure)}
      >
        {t.certificate.renew}
      </button>
    </section>
  );
}
