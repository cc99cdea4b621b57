// The settings as a whole: their history, as a file, and from a file.
import { useState } from "preact/hooks";
import { admin } from "../admin-api";
import type { Applied, Revision } from "../admin-types";
import { ownChanges } from "../api";
import { useText } from "../i18n";
import { ApplyFile } from "../parts/apply-file";
import { Diff } from "../parts/diff";
import { ask } from "../parts/dialog";
import { Empty, Failed, Skeleton, useLoad } from "../parts/load";
import { Age } from "../parts/mark";
import { tellFailure } from "../parts/remove-wire";
import { saveText } from "../parts/save-text";
import { tell } from "../parts/toast";

const shownFirst = 20;

export function History() {
  const t = useText();
  const { data, error, reload } = useLoad(`revisions ${ownChanges.value}`, admin.revisions);
  const [all, showAll] = useState(false);
  return (
    <>
      <p>{t.history.intro}</p>
      <section aria-labelledby="revisions-title">
        <h2 id="revisions-title">{t.history.revisions}</h2>
        {data ? (
          data.length === 0 ? (
            <Empty icon="overview" title={t.history.empty} />
          ) : (
            <ul class="card plain" data-testid="revisions">
              {data.slice(0, all ? undefined : shownFirst).map((r, i) => (
                <RevisionRow key={r.revision} revision={r} newest={i === 0} before={data[0]?.revision ?? 0} />
              ))}
            </ul>
          )
        ) : error !== undefined ? (
          <Failed error={error} retry={reload} />
        ) : (
          <Skeleton />
        )}
        {data && data.length > shownFirst && !all && (
          <button type="button" class="button" onClick={() => showAll(true)}>
            {t.parts.more}
          </button>
        )}
      </section>
      <section class="card form-step" aria-labelledby="export-title">
        <h2 id="export-title">{t.history.export}</h2>
        <p class="muted">{t.history.exportText}</p>
        <a class="button" href="/api/v1/config" download="fieldgate.yaml" data-testid="export">
          {t.history.exportGo}
        </a>
      </section>
      <ApplyFile />
    </>
  );
}

function RevisionRow(p: { revision: Revision; newest: boolean; before: number }) {
  const t = useText();
  const [applied, setApplied] = useState<Applied>();
  const [text, setText] = useState<string>();
  const { revision, time, author, summary } = p.revision;
  const show = async (): Promise<void> => setText(text === undefined ? await admin.revision(revision) : undefined);
  const compare = async (): Promise<void> => {
    if (applied) setApplied(undefined);
    else setApplied(await admin.restore(revision, true));
  };
  return (
    <li data-testid={`revision-${revision}`}>
      <div class="device-line">
        <strong>{revision}</strong>
        <span lang="en">{summary}</span>
        <span class="muted">
          {t.history.by(author)} <Age time={time} />
        </span>
        <button
          type="button"
          class="button small"
          aria-expanded={text !== undefined}
          data-testid={`revision-show-${revision}`}
          onClick={() => void show().catch(tellFailure)}
        >
          {text === undefined ? t.revision.show : t.revision.hide}
        </button>
        {p.newest ? (
          <span class="mark good">{t.history.now}</span>
        ) : (
          <button
            type="button"
            class="button small"
            aria-expanded={applied !== undefined}
            data-testid={`revision-compare-${revision}`}
            onClick={() => void compare().catch(tellFailure)}
          >
            {t.history.compare}
          </button>
        )}
      </div>
      {text !== undefined && <Whole revision={revision} text={text} />}
      {applied && <Difference revision={revision} applied={applied} before={p.before} />}
    </li>
  );
}

/** Whole is the settings of a revision as a file. */
function Whole({ revision, text }: { revision: number; text: string }) {
  const t = useText();
  return (
    <div class="form-step">
      <pre
        class="diff"
        tabIndex={0}
        role="group"
        aria-label={t.revision.text(revision)}
        data-testid={`revision-text-${revision}`}
      >
        {text}
      </pre>
      <button
        type="button"
        class="button small"
        data-testid={`revision-download-${revision}`}
        onClick={() => saveText(`fieldgate-${revision}.yaml`, text)}
      >
        {t.revision.download}
      </button>
    </div>
  );
}

function Difference(p: { revision: number; applied: Applied; before: number }) {
  const t = useText();
  const { revision } = p;
  const restore = async (): Promise<void> => {
    const { restoreTitle, restoreText, restored, backTo } = t.history;
    const text = restoreText(p.applied.changes.length);
    if (!(await ask({ title: restoreTitle(revision), text, yes: t.history.restore }))) return;
    await admin.restore(revision, false);
    const undo = async (): Promise<void> => {
      await admin.restore(p.before, false);
      tell(backTo);
    };
    tell(restored(revision), { undo: () => void undo().catch(tellFailure) });
  };
  if (p.applied.changes.length === 0) return <p class="muted">{t.history.noDifference}</p>;
  return (
    <div class="form-step">
      <p>{t.history.difference(revision)}</p>
      <Diff text={p.applied.diff} />
      <button
        type="button"
        class="button"
        data-testid={`revision-restore-${revision}`}
        onClick={() => void restore().catch(tellFailure)}
      >
        {t.history.restore}
      </button>
    </div>
  );
}
