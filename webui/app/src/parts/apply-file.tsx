// Settings from a file: what would change is shown before anything does.
import { useState } from "preact/hooks";
import { admin } from "../admin-api";
import type { Applied } from "../admin-types";
import { ApiError } from "../api";
import { language, useText } from "../i18n";
import type { Fault } from "../types";
import { callText, faultText } from "../words";
import { useAttempt } from "./attempt";
import { Diff } from "./diff";
import { AreaField } from "./field";
import { FileButton } from "./file-button";
import { useGuard } from "./form";
import { Icon } from "./icon";
import { tellFailure } from "./remove-wire";
import { tell } from "./toast";

export function ApplyFile() {
  const t = useText();
  const [text, setText] = useState("");
  const [plan, setPlan] = useState<Applied>();
  const attempt = useAttempt();
  const { busy, error } = attempt;
  const [typed, setTyped] = useState(false);
  useGuard(typed);
  const change = (next: string, byHand = false): void => {
    setText(next);
    setTyped(byHand && next !== "");
    setPlan(undefined);
    attempt.forget();
  };
  const run = async (work: () => Promise<void>): Promise<void> => {
    if (!(await attempt.run(work))) setPlan(undefined);
  };
  const dryRun = async (): Promise<void> => setPlan(await admin.apply(text, true));
  const apply = async (): Promise<void> => {
    const done = await admin.apply(text, false);
    tell(t.history.applied(done.changes.length));
    change("");
  };
  return (
    <section class="card form-step" aria-labelledby="apply-title">
      <h2 id="apply-title">{t.history.apply}</h2>
      <p class="muted">{t.history.applyText}</p>
      <div class="actions">
        <FileButton
          label={t.history.file}
          accept=".yaml,.yml,.json,application/yaml,text/yaml"
          testid="apply-file"
          chosen={(file) => void file.text().then((next) => change(next), tellFailure)}
        />
        <button
          type="button"
          class="button"
          data-testid="apply-load"
          onClick={() => void admin.exported().then((next) => change(next), tellFailure)}
        >
          {t.history.intoEditor}
        </button>
      </div>
      <AreaField
        label={t.history.yaml}
        at="/yaml"
        value={text}
        set={(next) => change(next, true)}
        rows={10}
        testid="apply-text"
      />
      {error !== undefined && <Wrong error={error} />}
      <div role="status">{plan && <Plan plan={plan} />}</div>
      <div class="actions">
        <button
          type="button"
          class="button"
          data-testid="apply-dry-run"
          aria-disabled={busy || text.trim() === ""}
          onClick={() => {
            if (text.trim() !== "") void run(dryRun);
          }}
        >
          {t.history.dryRun}
        </button>
        {plan && plan.changes.length > 0 && (
          <button
            type="button"
            class="button primary"
            data-testid="apply-go"
            aria-disabled={busy}
            onClick={() => void run(apply)}
          >
            {t.history.applyGo(plan.changes.length)}
          </button>
        )}
      </div>
    </section>
  );
}

function Plan({ plan }: { plan: Applied }) {
  const t = useText();
  if (plan.changes.length === 0) return <p>{t.history.noDifference}</p>;
  return (
    <div class="form-step">
      <ul data-testid="plan">
        {plan.changes.map((c) => (
          <li key={`${c.section}/${c.id}`}>
            <strong>{t.history.change[c.action]}</strong> <code>{`${c.section}/${c.id}`}</code>
          </li>
        ))}
      </ul>
      <Diff text={plan.diff} />
    </div>
  );
}

/** Wrong names every fault with its line; faults of the grammar carry theirs in the words. */
function Wrong({ error }: { error: unknown }) {
  const t = useText();
  const english = language.value === "en";
  const faults: Fault[] = error instanceof ApiError ? error.faults : [];
  return (
    <div class="note bad" role="alert" data-testid="apply-wrong">
      <Icon name="bad" />
      <div>
        {faults.length === 0 ? (
          <p class="told">{callText(error, t, english)}</p>
        ) : (
          <>
            <p>{t.history.wrong(faults.length)}</p>
            <ul>
              {faults.map((f) => (
                <li key={f.pointer + f.code}>
                  {f.line !== undefined && <strong>{t.history.line(f.line)}: </strong>}
                  <code>{f.pointer}</code> {faultText(f, t, english)}
                </li>
              ))}
            </ul>
          </>
        )}
      </div>
    </div>
  );
}
