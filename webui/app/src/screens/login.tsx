import { useState } from "preact/hooks";
import { api, ApiError } from "../api";
import { useText } from "../i18n";
import { Checks } from "../model/check";
import { Form, useSaving } from "../parts/form";
import { PasswordField, TextField } from "../parts/field";
import { LanguageField } from "../parts/language";
import { enter, setup } from "../session";

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
    <main class="gate" id="main">
      <h1>{t.login.title}</h1>
      <p class="muted">{setup.value?.hostname ?? "fieldgate"}</p>
      {again && <p class="note stale">{t.login.again}</p>}
      <Form
        testid="login"
        saving={saving.state}
        onSubmit={submit}
        actions={
          <button
            type="submit"
            class="button primary wide"
            data-testid="login-submit"
            aria-disabled={saving.state.busy}
          >
            {saving.state.busy ? t.login.submitting : t.login.submit}
          </button>
        }
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
      </Form>
    </main>
  );
}
