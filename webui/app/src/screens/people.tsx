// Who may use this page, and the tokens of programs.
import { useState } from "preact/hooks";
import { admin } from "../admin-api";
import type { Person } from "../admin-types";
import { language, useText } from "../i18n";
import { Checks } from "../model/check";
import { ask } from "../parts/dialog";
import { ChoiceField, PasswordField, SelectField, TextField } from "../parts/field";
import { useSaving } from "../parts/form";
import { Icon } from "../parts/icon";
import { InlineForm } from "../parts/inline-form";
import { Failed, Skeleton, useLoad } from "../parts/load";
import { tellFailure } from "../parts/remove-wire";
import { tell } from "../parts/toast";
import { Tokens } from "../parts/tokens";
import { user } from "../session";
import type { Role } from "../types";

export const roles: Role[] = ["viewer", "operator", "admin"];

export function People() {
  const t = useText();
  const { data, error, reload } = useLoad("people", admin.people);
  const [adding, setAdding] = useState(false);
  const done = (): void => {
    setAdding(false);
    reload();
  };
  return (
    <>
      <p>{t.people.intro}</p>
      {adding ? (
        <section class="card">
          <h2>{t.people.add}</h2>
          <AddPerson close={() => setAdding(false)} done={done} />
        </section>
      ) : (
        <button type="button" class="button primary" data-testid="person-add" onClick={() => setAdding(true)}>
          <Icon name="plus" />
          {t.people.add}
        </button>
      )}
      {data ? (
        <ul class="cards">
          {data.map((p) => (
            <PersonCard key={p.name} person={p} reload={reload} />
          ))}
        </ul>
      ) : error !== undefined ? (
        <Failed error={error} retry={reload} />
      ) : (
        <Skeleton rows={2} />
      )}
      <Tokens />
    </>
  );
}

function AddPerson(p: { close: () => void; done: () => void }) {
  const t = useText();
  const saving = useSaving();
  const [draft, set] = useState({ name: "", role: "operator" as Role, password: "" });
  const submit = (): void => {
    const c = new Checks();
    const name = c.text("/name", draft.name);
    if (draft.password === "") c.add("/password", "required");
    if (c.faults.length > 0) return saving.reject(c.faults);
    void saving.run(async () => {
      await admin.addPerson({ ...draft, name, language: language.value });
      tell(t.people.added(name));
      p.done();
    });
  };
  return (
    <InlineForm testid="person-form" saving={saving.state} submit={t.save} onSubmit={submit} close={p.close}>
      <TextField
        label={t.people.name}
        at="/name"
        value={draft.name}
        set={(name) => set({ ...draft, name })}
        testid="person-name"
      />
      <RoleField value={draft.role} set={(role) => set({ ...draft, role })} />
      <PasswordField
        label={t.people.password}
        hint={t.people.passwordHint}
        at="/password"
        value={draft.password}
        set={(password) => set({ ...draft, password })}
        autocomplete="new-password"
        testid="person-password"
      />
    </InlineForm>
  );
}

function RoleField({ value, set }: { value: Role; set: (role: Role) => void }) {
  const t = useText();
  return (
    <ChoiceField
      label={t.people.role}
      at="/role"
      value={value}
      set={(role) => set(role as Role)}
      choices={roles.map((role) => ({ value: role, ...t.people.roles[role], testid: `role-${role}` }))}
      small
    />
  );
}

function PersonCard({ person, reload }: { person: Person; reload: () => void }) {
  const t = useText();
  const [changing, setChanging] = useState(false);
  const { name, role } = person;
  const you = user.value?.name === name;
  const setRole = async (next: Role): Promise<void> => {
    try {
      await admin.changePerson(name, { role: next });
      tell(t.people.roleSet(name));
    } finally {
      reload(); // a refused choice goes back to what stands
    }
  };
  const remove = async (): Promise<void> => {
    const { removeTitle, removeText, removed } = t.people;
    if (!(await ask({ title: removeTitle(name), text: removeText, yes: t.remove, danger: true }))) return;
    await admin.removePerson(name);
    tell(removed(name));
    reload();
  };
  return (
    <li class="card row" data-testid={`person-${name}`}>
      <span class="card-title">{name}</span>
      {you ? (
        <span class="muted">
          {t.people.you}, {t.people.roles[role].label}
        </span>
      ) : (
        <>
          <SelectField
            label={t.people.role}
            at={`/people/${name}`}
            value={role}
            set={(next) => void setRole(next as Role).catch(tellFailure)}
            options={roles.map((value) => ({ value, label: t.people.roles[value].label }))}
            testid={`person-role-${name}`}
          />
          <div class="actions" role="group" aria-label={t.people.actions(name)}>
            <button
              type="button"
              class="button small"
              data-testid={`person-password-${name}`}
              onClick={() => setChanging(!changing)}
            >
              {t.people.setPassword}
            </button>
            <button
              type="button"
              class="button small"
              data-testid={`person-remove-${name}`}
              onClick={() => void remove().catch(tellFailure)}
            >
              <Icon name="trash" />
              {t.remove}
            </button>
          </div>
        </>
      )}
      {changing && <NewPassword name={name} close={() => setChanging(false)} />}
    </li>
  );
}

function NewPassword({ name, close }: { name: string; close: () => void }) {
  const t = useText();
  const saving = useSaving();
  const [password, setPassword] = useState("");
  const submit = (): void => {
    if (password === "") return saving.reject([{ pointer: "/password", code: "required", detail: "" }]);
    void saving.run(async () => {
      await admin.changePerson(name, { password });
      tell(t.people.passwordSet(name));
      close();
    });
  };
  return (
    <div class="why">
      <InlineForm testid="person-new-password" saving={saving.state} submit={t.save} onSubmit={submit} close={close}>
        <PasswordField
          label={t.people.setPassword}
          hint={t.people.setPasswordText}
          at="/password"
          value={password}
          set={setPassword}
          autocomplete="new-password"
          testid="person-new"
        />
      </InlineForm>
    </div>
  );
}
