import { admin } from "../admin-api";
import type { Rule } from "../admin-types";
import type { Stored } from "../api";
import { useText } from "../i18n";
import { slug } from "../model/check";
import { fromRule, newRule, toRule, type Kind, type RuleDraft } from "../model/rule";
import { ChoiceField, SelectField, TextField } from "../parts/field";
import { Form, useDraft, useSaving } from "../parts/form";
import { Empty, Failed, Skeleton, useLoad } from "../parts/load";
import { Page } from "../parts/page";
import { tell } from "../parts/toast";
import { go, href } from "../router";

const back = href("mqtt", "rules");
const kinds: Kind[] = ["read", "write", "both", "denyRead", "denyWrite", "deny"];

export function RuleAdd() {
  const t = useText();
  const { data, error, reload } = useLoad("rule new", async () => {
    const [accounts, rules] = await Promise.all([admin.accounts(), admin.rules()]);
    return { accounts: accounts.map((a) => a.username), first: rules.length === 0 };
  });
  return (
    <Page title={t.rules.addTitle} back={back}>
      {data ? (
        <>
          {data.first && <p class="note stale">{t.rules.first}</p>}
          <RuleForm begin={() => newRule(data.accounts[0] ?? "")} accounts={data.accounts} />
        </>
      ) : error !== undefined ? (
        <Failed error={error} retry={reload} />
      ) : (
        <Skeleton />
      )}
    </Page>
  );
}

export function RuleEdit({ id }: { id: string }) {
  const t = useText();
  const { data, error, missing, reload } = useLoad(`rule ${id}`, async () => {
    const [saved, accounts] = await Promise.all([admin.rule(id), admin.accounts()]);
    return { saved, accounts: accounts.map((a) => a.username) };
  });
  return (
    <Page title={t.rules.editTitle(id)} back={back}>
      {data ? (
        <RuleForm
          key={data.saved.etag}
          begin={() => fromRule(data.saved.data)}
          accounts={data.accounts}
          saved={data.saved}
          reload={reload}
        />
      ) : missing ? (
        <Empty icon="account" title={t.rules.notFound(id)} />
      ) : error !== undefined ? (
        <Failed error={error} retry={reload} />
      ) : (
        <Skeleton />
      )}
    </Page>
  );
}

interface Props {
  begin: () => RuleDraft;
  accounts: string[];
  saved?: Stored<Rule>;
  reload?: () => void;
}

function RuleForm(p: Props) {
  const t = useText();
  const { draft, change } = useDraft(p.begin);
  const saving = useSaving((pointer) =>
    pointer.replace(/^\/(allow|deny).*/, "/kind").replace(/^\/filter.*/, "/filter"),
  );
  const save = (etag: string | undefined): void => {
    const { rule, faults } = toRule(draft);
    if (faults.length > 0) return saving.reject(faults);
    void saving.run(async () => {
      if (p.saved) await admin.changeRule(rule, etag ?? p.saved.etag);
      else await admin.addRule(rule);
      tell(t.rules.saved(rule.id));
      go("/mqtt/rules");
    });
  };
  return (
    <Form
      testid="rule-form"
      saving={saving.state}
      onSubmit={() => save(undefined)}
      overwrite={() => save("*")}
      loadTheirs={() => p.reload?.()}
      actions={
        <>
          <button type="submit" class="button primary" data-testid="rule-save" aria-disabled={saving.state.busy}>
            {saving.state.busy ? t.saving : t.save}
          </button>
          <a class="button" href={back}>
            {t.cancel}
          </a>
        </>
      }
    >
      <section class="card form-step">
        <Fields draft={draft} change={change} accounts={p.accounts} saved={p.saved !== undefined} />
      </section>
    </Form>
  );
}

function Fields(p: {
  draft: RuleDraft;
  change: (part: Partial<RuleDraft>) => void;
  accounts: string[];
  saved: boolean;
}) {
  const t = useText();
  const { draft, change } = p;
  return (
    <>
      <ChoiceField
        label={t.rules.who}
        at="/one"
        value={draft.one ? "one" : "all"}
        set={(who) => change({ one: who === "one" })}
        choices={[
          { value: "one", label: t.rules.one, testid: "rule-one" },
          { value: "all", label: t.rules.everybody, text: t.rules.everybodyText, testid: "rule-all" },
        ]}
        small
      />
      {draft.one &&
        (p.accounts.length > 0 && (draft.account === "" || p.accounts.includes(draft.account)) ? (
          <SelectField
            label={t.rules.account}
            at="/account"
            value={draft.account}
            set={(account) => change({ account })}
            options={p.accounts.map((value) => ({ value, label: value }))}
            testid="rule-account"
          />
        ) : (
          <TextField
            label={t.rules.account}
            at="/account"
            value={draft.account}
            set={(account) => change({ account })}
            testid="rule-account"
          />
        ))}
      <TextField
        label={t.rules.filter}
        hint={
          <>
            <p>{t.rules.filterHint}</p>
            <p>{t.rules.own}</p>
          </>
        }
        at="/filter"
        value={draft.filter}
        set={(filter) => change({ filter })}
        testid="rule-filter"
        code
      />
      <ChoiceField
        label={t.rules.may}
        at="/kind"
        value={draft.kind}
        set={(kind) => change({ kind: kind as Kind })}
        choices={kinds.map((value) => ({
          value,
          label: t.rules.kinds[value],
          text: t.rules.kindText[value],
          testid: `rule-kind-${value}`,
        }))}
        small
      />
      <TextField
        label={t.rules.name}
        hint={t.rules.nameHint}
        at="/id"
        value={draft.id}
        set={(id) => change({ id: slug(id) })}
        disabled={p.saved}
        testid="rule-id"
      />
    </>
  );
}
