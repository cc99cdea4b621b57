// A person changes the own password, which ends all other logins.
import { useState } from "preact/hooks";
import { admin } from "../admin-api";
import { useText } from "../i18n";
import { Checks } from "../model/check";
import { PasswordField } from "./field";
import { useSaving } from "./form";
import { InlineForm } from "./inline-form";
import { tell } from "./toast";

export function OwnPassword() {
  const t = useText();
  const saving = useSaving();
  const [present, setPresent] = useState("");
  const [next, setNext] = useState("");
  const submit = (): void => {
    const c = new Checks();
    if (present === "") c.add("/current_password", "required");
    if (next === "") c.add("/password", "required");
    if (c.faults.length > 0) return saving.reject(c.faults);
    void saving.run(async () => {
      await admin.changePassword(present, next);
      setPresent("");
      setNext("");
      tell(t.own_account.done);
    });
  };
  return (
    <section class="card" aria-labelledby="own-password">
      <h2 id="own-password">{t.own_account.title}</h2>
      <p class="muted">{t.own_account.others}</p>
      <InlineForm testid="own-password" saving={saving.state} submit={t.own_account.submit} onSubmit={submit}>
        <PasswordField
          label={t.own_account.present}
          at="/current_password"
          value={present}
          set={setPresent}
          autocomplete="current-password"
          testid="own-present"
        />
        <PasswordField
          label={t.own_account.next}
          hint={t.own_account.nextHint}
          at="/password"
          value={next}
          set={setNext}
          autocomplete="new-password"
          testid="own-next"
        />
      </InlineForm>
    </section>
  );
}
