// Which account may read and write which topics.
import { useState } from "preact/hooks";
import { admin } from "../admin-api";
import type { Action, Rule, Verdict } from "../admin-types";
import { useText, type Messages } from "../i18n";
import { Checks } from "../model/check";
import { kindOf } from "../model/rule";
import { ask } from "../parts/dialog";
import { SelectField, TextField } from "../parts/field";
import { useSaving } from "../parts/form";
import { Icon } from "../parts/icon";
import { InlineForm } from "../parts/inline-form";
import { Failed, Skeleton, useLoad } from "../parts/load";
import { tellFailure } from "../parts/remove-wire";
import { tell } from "../parts/toast";
import { href } from "../router";

export function Rules() {
  const t = useText();
  const { data, error, reload } = useLoad("rules", async () => {
    const [rules, gateway] = await Promise.all([admin.rules(), admin.gateway()]);
    return { rules, anonymous: gateway.mqtt.allow_anonymous };
  });
  return (
    <>
      <p>{t.rules.intro}</p>
      <a class="button primary" href={href("mqtt", "rules", "new")} data-testid="rule-add">
        <Icon name="plus" />
        {t.rules.add}
      </a>
      {data ? (
        data.rules.length === 0 ? (
          <div class="note stale" data-testid="no-rules">
            <Icon name="stale" />
            <div>
              <p class="note-title">{t.rules.none}</p>
              <p>{t.rules.noneText}</p>
            </div>
          </div>
        ) : (
          <>
            <p class="muted">{t.rules.order}</p>
            <Groups rules={data.rules} reload={reload} />
          </>
        )
      ) : error !== undefined ? (
        <Failed error={error} retry={reload} />
      ) : (
        <Skeleton rows={2} />
      )}
      <Check />
    </>
  );
}

/** Groups shows the rules for everybody first, then those of each account. */
function Groups({ rules, reload }: { rules: Rule[]; reload: () => void }) {
  const t = useText();
  const names = [...new Set(rules.map((r) => r.account ?? ""))].sort();
  return (
    <>
      {names.map((name) => (
        <section key={name} aria-label={name || t.rules.everybody}>
          <h2>{name || t.rules.everybody}</h2>
          <ul class="cards">
            {rules
              .filter((r) => (r.account ?? "") === name)
              .map((r) => (
                <RuleCard key={r.id} rule={r} last={rules.length === 1} reload={reload} />
              ))}
          </ul>
        </section>
      ))}
    </>
  );
}

function doing(rule: Rule, t: Messages): string {
  const kind = kindOf(rule);
  if (kind !== "mixed") return t.rules.kinds[kind];
  const words = (actions: Action[] = []): string => actions.map((a) => t.rules.action[a]).join(", ");
  return t.rules.mixed(words(rule.allow), words(rule.deny));
}

function RuleCard({ rule, last, reload }: { rule: Rule; last: boolean; reload: () => void }) {
  const t = useText();
  const remove = async (): Promise<void> => {
    const { lastTitle, lastText, removed, restored } = t.rules;
    if (last && !(await ask({ title: lastTitle, text: lastText, yes: t.remove, danger: true }))) return;
    await admin.removeRule(rule.id);
    reload();
    const undo = async (): Promise<void> => {
      await admin.addRule(rule);
      tell(restored(rule.id));
      reload();
    };
    tell(removed(rule.id), { undo: () => void undo().catch(tellFailure) });
  };
  const denies = (rule.deny ?? []).length > 0;
  return (
    <li class="card row" data-testid={`rule-${rule.id}`}>
      <span class={`mark ${denies ? "bad" : "good"}`}>
        <Icon name={denies ? "bad" : "good"} />
        {doing(rule, t)}
      </span>
      <code>{rule.filter}</code>
      <span class="muted">{rule.id}</span>
      <div class="actions" role="group" aria-label={t.rules.actions(rule.id)}>
        <a class="button small" href={href("mqtt", "rules", rule.id)} data-testid={`rule-edit-${rule.id}`}>
          <Icon name="edit" />
          {t.edit}
        </a>
        <button
          type="button"
          class="button small"
          data-testid={`rule-remove-${rule.id}`}
          onClick={() => void remove().catch(tellFailure)}
        >
          <Icon name="trash" />
          {t.remove}
        </button>
      </div>
    </li>
  );
}

/** Check asks the gateway itself, so its answer is what a client would meet. */
function Check() {
  const t = useText();
  const saving = useSaving();
  const [q, set] = useState({ username: "", client_id: "", action: "write" as Action, topic: "" });
  const [verdict, setVerdict] = useState<Verdict>();
  const change = (part: Partial<typeof q>): void => {
    set({ ...q, ...part });
    setVerdict(undefined);
  };
  const submit = (): void => {
    const c = new Checks();
    c.text("/topic", q.topic);
    if (c.faults.length > 0) return saving.reject(c.faults);
    void saving.run(async () => setVerdict(await admin.check({ ...q, username: q.username.trim() })));
  };
  return (
    <section class="card" aria-labelledby="check-title">
      <h2 id="check-title">{t.rules.check}</h2>
      <p class="muted">{t.rules.checkText}</p>
      <InlineForm testid="check" saving={saving.state} submit={t.rules.checkGo} onSubmit={submit}>
        <div class="grid">
          <TextField
            label={t.rules.checkUser}
            hint={t.rules.checkUserHint}
            at="/username"
            value={q.username}
            set={(username) => change({ username })}
            testid="check-user"
            optional
          />
          <TextField
            label={t.rules.checkClient}
            at="/client_id"
            value={q.client_id}
            set={(client_id) => change({ client_id })}
            testid="check-client"
            optional
          />
          <SelectField
            label={t.rules.checkAction}
            at="/action"
            value={q.action}
            set={(action) => change({ action: action as Action })}
            options={(["write", "read"] as const).map((value) => ({ value, label: t.rules.checkActions[value] }))}
            testid="check-action"
          />
          <TextField
            label={t.rules.checkTopic}
            at="/topic"
            value={q.topic}
            set={(topic) => change({ topic })}
            testid="check-topic"
            code
          />
        </div>
        <div role="status">{verdict && <Answer verdict={verdict} />}</div>
      </InlineForm>
    </section>
  );
}

function Answer({ verdict }: { verdict: Verdict }) {
  const t = useText();
  const tone = verdict.allowed ? "good" : "bad";
  const why = verdict.rule ? t.rules.by(verdict.rule) : verdict.allowed ? t.rules.byNoneAllowed : t.rules.byNoneDenied;
  return (
    <div class={`note ${tone}`} data-testid="verdict" data-allowed={verdict.allowed} data-rule={verdict.rule}>
      <Icon name={tone} />
      <p>
        <strong>{verdict.allowed ? t.rules.allowed : t.rules.denied}</strong> {why}
      </p>
    </div>
  );
}
