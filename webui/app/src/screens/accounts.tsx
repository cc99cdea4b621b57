// The logins of devices and programs.
import { useState } from "preact/hooks";
import { admin } from "../admin-api";
import type { Account } from "../admin-types";
import { useText } from "../i18n";
import { Checks } from "../model/check";
import { makePassword } from "../model/password";
import { CopyBox } from "../parts/copy";
import { ask } from "../parts/dialog";
import { PasswordField, TextField } from "../parts/field";
import { useSaving } from "../parts/form";
import { Icon } from "../parts/icon";
import { InlineForm } from "../parts/inline-form";
import { Empty, Failed, Skeleton, useLoad } from "../parts/load";
import { tellFailure } from "../parts/remove-wire";
import { tell } from "../parts/toast";

export function Accounts() {
  const t = useText();
  const { data, error, reload } = useLoad("accounts", admin.accounts);
  const [adding, setAdding] = useState(false);
  const [made, setMade] = useState<Account>();
  const show = (account: Account): void => {
    setMade(account);
    setAdding(false);
    reload();
  };
  return (
    <>
      <p>{t.accounts.intro}</p>
      {made && <Made account={made} />}
      {adding ? (
        <section class="card">
          <h2>{t.accounts.add}</h2>
          <PasswordForm close={() => setAdding(false)} done={show} />
        </section>
      ) : (
        <button type="button" class="button primary" data-testid="account-add" onClick={() => setAdding(true)}>
          <Icon name="plus" />
          {t.accounts.add}
        </button>
      )}
      {data ? (
        data.length === 0 ? (
          !adding && <Empty icon="account" title={t.accounts.empty} text={t.accounts.emptyText} />
        ) : (
          <ul class="cards">
            {data.map((a) => (
              <AccountCard key={a.username} account={a} reload={reload} made={show} />
            ))}
          </ul>
        )
      ) : error !== undefined ? (
        <Failed error={error} retry={reload} />
      ) : (
        <Skeleton rows={2} />
      )}
    </>
  );
}

/** Made shows a password for the last time. */
function Made({ account }: { account: Account }) {
  const t = useText();
  const text = `${t.connect.user}: ${account.username}\n${t.connect.password}: ${account.password ?? ""}`;
  return (
    <div class="note good" role="status">
      <Icon name="good" />
      <div>
        <p>{t.accounts.keep}</p>
        <CopyBox text={text} label={t.connect.copy(account.username)} testid="account-made" />
      </div>
    </div>
  );
}

/** PasswordForm makes an account, or gives one (username) another password. */
function PasswordForm(p: { username?: string; close: () => void; done: (account: Account) => void }) {
  const t = useText();
  const saving = useSaving();
  const [username, setUsername] = useState(p.username ?? "");
  const [password, setPassword] = useState("");
  const submit = (): void => {
    const c = new Checks();
    const name = p.username ?? c.text("/username", username);
    if (password === "") c.add("/password", "required");
    if (c.faults.length > 0) return saving.reject(c.faults);
    void saving.run(async () => {
      if (p.username === undefined) await admin.addAccount({ username: name, password });
      else await admin.changeAccount(name, { password });
      tell(p.username === undefined ? t.accounts.added(name) : t.accounts.passwordSet(name));
      p.done({ username: name, password });
    });
  };
  return (
    <InlineForm
      testid="account-form"
      saving={saving.state}
      submit={t.save}
      onSubmit={submit}
      close={p.close}
      more={
        <button type="button" class="button" data-testid="account-make" onClick={() => setPassword(makePassword())}>
          {t.accounts.make}
        </button>
      }
    >
      {p.username === undefined && (
        <TextField
          label={t.accounts.name}
          hint={t.accounts.nameHint}
          at="/username"
          value={username}
          set={setUsername}
          testid="account-name"
        />
      )}
      <PasswordField
        label={t.accounts.password}
        hint={t.accounts.passwordHint}
        at="/password"
        value={password}
        set={setPassword}
        autocomplete="new-password"
        testid="account-password"
      />
    </InlineForm>
  );
}

function AccountCard(p: { account: Account; reload: () => void; made: (account: Account) => void }) {
  const t = useText();
  const [changing, setChanging] = useState(false);
  const { username } = p.account;
  const enabled = p.account.enabled !== false;
  const toggle = async (): Promise<void> => {
    await admin.changeAccount(username, { enabled: !enabled });
    tell(enabled ? t.accounts.disabledToast(username) : t.accounts.enabledToast(username));
    p.reload();
  };
  const remove = async (): Promise<void> => {
    const { removeTitle, removeText, removed } = t.accounts;
    if (!(await ask({ title: removeTitle(username), text: removeText, yes: t.remove, danger: true }))) return;
    await admin.removeAccount(username);
    tell(removed(username));
    p.reload();
  };
  const small = { type: "button", class: "button small" } as const;
  return (
    <li class="card row" data-testid={`account-${username}`}>
      <span class="card-title">{username}</span>
      <span class={`mark ${enabled ? "good" : "waiting"}`}>
        <Icon name={enabled ? "good" : "pause"} />
        {enabled ? t.accounts.enabled : t.accounts.disabled}
      </span>
      {p.account.password_set === false && <span class="mark bad">{t.accounts.noPassword}</span>}
      <div class="actions" role="group" aria-label={t.accounts.actions(username)}>
        <button {...small} data-testid={`account-password-${username}`} onClick={() => setChanging(!changing)}>
          {t.accounts.setPassword}
        </button>
        <button {...small} data-testid={`account-lock-${username}`} onClick={() => void toggle().catch(tellFailure)}>
          {enabled ? t.accounts.disable : t.accounts.enable}
        </button>
        <button {...small} data-testid={`account-remove-${username}`} onClick={() => void remove().catch(tellFailure)}>
          <Icon name="trash" />
          {t.remove}
        </button>
      </div>
      {changing && (
        <div class="why">
          <PasswordForm
            username={username}
            close={() => setChanging(false)}
            done={(a) => {
              setChanging(false);
              p.made(a);
            }}
          />
        </div>
      )}
    </li>
  );
}
