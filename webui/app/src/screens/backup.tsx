// Everything that the gateway keeps as one file, and back.
import { useState } from "preact/hooks";
import { admin } from "../admin-api";
import { useText } from "../i18n";
import { NotDone, useAttempt } from "../parts/attempt";
import { ask } from "../parts/dialog";
import { CheckField } from "../parts/field";
import { FileButton } from "../parts/file-button";
import { Icon } from "../parts/icon";
import { comeBack } from "../restart";
import { tell } from "../parts/toast";
import { bytes } from "../words";

export function BackupScreen() {
  const t = useText();
  return (
    <>
      <p>{t.backup.intro}</p>
      <Make />
      <Restore />
      <p class="muted">{t.backup.shell}</p>
    </>
  );
}

function Make() {
  const t = useText();
  const [messages, setMessages] = useState(true);
  return (
    <section class="card form-step" aria-labelledby="make-title">
      <h2 id="make-title">{t.backup.make}</h2>
      <p class="note stale">
        <Icon name="bad" />
        <span>{t.backup.secret}</span>
      </p>
      <CheckField
        label={t.backup.messages}
        hint={t.backup.messagesHint}
        at="/messages"
        value={messages}
        set={setMessages}
        testid="backup-messages"
      />
      <a class="button primary" href={admin.backup(messages)} download data-testid="backup-make">
        {t.backup.download}
      </a>
      <p class="muted">{t.backup.notIn}</p>
    </section>
  );
}

function Restore() {
  const t = useText();
  const [file, setFile] = useState<File>();
  const { busy, error, run, forget } = useAttempt();
  const restore = async (chosen: File): Promise<void> => {
    const { restoreTitle, restoreAsk, restoreGo, restored } = t.backup;
    if (!(await ask({ title: restoreTitle, text: restoreAsk(chosen.name), yes: restoreGo, danger: true }))) return;
    await run(async () => {
      const { started } = await admin.gateway();
      await admin.restoreBackup(chosen);
      tell(restored);
      setFile(undefined);
      await comeBack(started);
    });
  };
  return (
    <section class="card form-step" aria-labelledby="restore-title">
      <h2 id="restore-title">{t.backup.restore}</h2>
      <p>{t.backup.restoreText}</p>
      <p class="muted">{t.backup.restoreMessages}</p>
      <div class="actions">
        <FileButton
          label={t.backup.file}
          accept=".backup,.gz,application/gzip"
          testid="restore-file"
          chosen={(next) => {
            forget();
            setFile(next);
          }}
        />
      </div>
      {file && <p data-testid="restore-chosen">{t.backup.chosen(file.name, bytes(file.size))}</p>}
      <NotDone error={error} testid="restore-failed" />
      {file && (
        <button
          type="button"
          class="button danger"
          data-testid="restore-go"
          aria-disabled={busy}
          onClick={() => {
            if (!busy) void restore(file);
          }}
        >
          {busy ? t.backup.sending : t.backup.restoreGo}
        </button>
      )}
    </section>
  );
}
