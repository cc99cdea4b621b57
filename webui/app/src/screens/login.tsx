import { useState } from "preact/hooks";
import { api, ApiError } from "../api";
import { useText } from "../i18n";
import { Checks } from "../model/check";
import { useSaving } from "../parts/form";
import { PasswordField, TextField } from "../parts/field";
import { Gate } from "../parts/gate";
import { LanguageField } from "../parts/language";
import { enter } from "../session";

/** Login stands alone, or in front of a page whose session has ended; again says which. */
export function Login({ again }: { again: boolean }) {
  const t = useText();
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const saving = useSaving();

  const submit = (): void => {
    const c = new Checks();
    c.text("/name", name);
    if (password === "") c.add("/password", "required");
    if (c.faults.length > 0) return saving.reject(c.faults);
    void saving.run(async () => {
      try {
        enter(await api.login(name.trim(), password));
      } catch (error) {
        const wrong = error instanceof ApiError && error.status === 401;
        throw wrong ? new ApiError(401, "login", t.login.wrong) : error;
      }
    });
  };

  return (
    <Gate
      title={t.login.title}
      intro={again && <p class="note stale">{t.login.again}</p>}
      testid="login"
      saving={saving.state}
      submit={saving.state.busy ? t.login.submitting : t.login.submit}
      onSubmit={submit}
    >
      <TextField
        label={t.setup.name}
        at="/name"
        value={name}
        set={setName}
        testid="login-name"
        autocomplete="username"
      />
      <PasswordField
        label={t.setup.password}
        at="/password"
        value={password}
        set={setPassword}
        testid="login-password"
        autocomplete="current-password"
        hint={t.login.forgot}
      />
      <LanguageField />
    </Gate>
  );
}
