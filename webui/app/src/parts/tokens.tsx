// Tokens for programs: shown once, revoked at any time.
import { useState } from "preact/hooks";
import { admin } from "../admin-api";
import type { Token } from "../admin-types";
import { useText } from "../i18n";
import { Checks } from "../model/check";
import type { Role } from "../types";
import { CopyBox } from "./copy";
import { ask } from "./dialog";
import { SelectField, TextField } from "./field";
import { useSaving } from "./form";
import { Icon } from "./icon";
import { InlineForm } from "./inline-form";
import { Failed, Skeleton, useLoad } from "./load";
import { Age } from "./mark";
import { tellFailure } from "./remove-wire";
import { tell } from "./toast";

const roles: Role[] = ["viewer", "operator", "admin"];

export function Tokens() {
  const t = useText();
  const { data, error, reload } = useLoad("tokens", admin.tokens);
  const [adding, setAdding] = useState(false);
  const [made, setMade] = useState<Token>();
  const done = (token: Token): void => {
    setMade(token);
    setAdding(false);
    reload();
  };
  return (
    <section class="card form-step" aria-labelledby="tokens-title">
      <h2 id="tokens-title">{t.people.tokens}</h2>
      <p class="muted">{t.people.tokensText}</p>
      {made?.token && (
        <div class="note good" role="status">
          <Icon name="good" />
          <div>
            <p>{t.people.tokenShown}</p>
            <CopyBox text={made.token} label={made.name} testid="token-made" />
          </div>
        </div>
      )}
      {data ? (
        data.length === 0 ? (
          <p>{t.people.tokensEmpty}</p>
        ) : (
          <ul class="plain">
            {data.map((token) => (
              <Row key={token.id} token={token} reload={reload} />
            ))}
          </ul>
        )
      ) : error !== undefined ? (
        <Failed error={error} retry={reload} />
      ) : (
        <Skeleton rows={1} />
      )}
      {adding ? (
        <AddToken close={() => setAdding(false)} done={done} />
      ) : (
        <button type="button" class="button" data-testid="token-add" onClick={() => setAdding(true)}>
          <Icon name="plus" />
          {t.people.addToken}
        </button>
      )}
    </section>
  );
}

function Row({ token, reload }: { token: Token; reload: () => void }) {
  const t = useText();
  const revoke = async (): Promise<void> => {
    const { revokeTitle, revokeText, revoked } = t.people;
    const yes = t.people.revoke;
    if (!(await ask({ title: revokeTitle(token.name), text: revokeText, yes, danger: true }))) return;
    await admin.removeToken(token.id);
    tell(revoked(token.name));
    reload();
  };
  return (
    <li class="device-line" data-testid={`token-${token.name}`}>
      <strong>{token.name}</strong>
      <span>{t.people.roles[token.role].label}</span>
      <span class="muted">
        {t.people.tokenBy(token.author)} <Age time={token.created} />
      </span>
      <button
        type="button"
        class="button small"
        data-testid={`token-revoke-${token.name}`}
        aria-label={`${t.people.revoke}: ${token.name}`}
        onClick={() => void revoke().catch(tellFailure)}
      >
        {t.people.revoke}
      </button>
    </li>
  );
}

function AddToken(p: { close: () => void; done: (token: Token) => void }) {
  const t = useText();
  const saving = useSaving();
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>("viewer");
  const submit = (): void => {
    const c = new Checks();
    const text = c.text("/name", name);
    if (c.faults.length > 0) return saving.reject(c.faults);
    void saving.run(async () => p.done(await admin.addToken({ name: text, role })));
  };
  return (
    <InlineForm testid="token-form" saving={saving.state} submit={t.people.addToken} onSubmit={submit} close={p.close}>
      <TextField label={t.people.tokenName} at="/name" value={name} set={setName} testid="token-name" />
      <SelectField
        label={t.people.role}
        at="/role"
        value={role}
        set={(value) => setRole(value as Role)}
        options={roles.map((value) => ({ value, label: t.people.roles[value].label }))}
        testid="token-role"
      />
    </InlineForm>
  );
}
