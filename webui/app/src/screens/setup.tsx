import { useState } from "preact/hooks";
import { api, ApiError } from "../api";
import { language, useText, type Messages } from "../i18n";
import { Checks, type OwnFault } from "../model/check";
import { useSaving } from "../parts/form";
import { PasswordField, TextField } from "../parts/field";
import { Gate } from "../parts/gate";
import { LanguageField } from "../parts/language";
import { tell } from "../parts/toast";
import { begin, enter, setup } from "../session";
import type { Claim } from "../types";

const shortest = 8;

/** Setup claims the gateway: the first person makes the first login. */
export function Setup() {
  const t = useText();
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const saving = useSaving();
  const codeRequired = setup.value?.code_required === true;

  const submit = (): void => {
    const faults = check(name, password, codeRequired ? code : undefined);
    if (faults.length > 0) return saving.reject(faults);
    const body: Claim = { name: name.trim(), password, language: language.value };
    if (codeRequired) body.code = code.trim();
    void saving.run(async () => {
      try {
        enter((await api.claim(body)).user);
      } catch (error) {
        if (!(error instanceof ApiError) || error.status !== 409) throw error;
        await begin();
        tell(t.setup.taken);
      }
    });
  };

  return (
    <Gate
      title={t.setup.title}
      intro={<p>{t.setup.intro}</p>}
      testid="setup"
      saving={saving.state}
      submit={saving.state.busy ? t.setup.submitting : t.setup.submit}
      onSubmit={submit}
    >
      <LanguageField />
      {codeRequired && (
        <TextField
          label={t.setup.code}
          hint={t.setup.codeHint}
          at="/code"
          value={code}
          set={setCode}
          testid="setup-code"
          autocomplete="one-time-code"
          code
        />
      )}
      <TextField
        label={t.setup.name}
        hint={t.setup.nameHint}
        at="/name"
        value={name}
        set={setName}
        testid="setup-name"
        autocomplete="username"
      />
      <PasswordField
        label={t.setup.password}
        hint={<span aria-live="polite">{password !== "" && strength(password, t)}</span>}
        at="/password"
        value={password}
        set={setPassword}
        testid="setup-password"
        autocomplete="new-password"
      />
    </Gate>
  );
}

function check(name: string, password: string, code: string | undefined): OwnFault[] {
  const c = new Checks();
  if (code !== undefined) c.text("/code", code);
  c.text("/name", name);
  if (password === "") c.add("/password", "required");
  return c.faults;
}

/** strength judges by length and variety; what is allowed at all is the gateway's to say. */
function strength(password: string, t: Messages): string {
  const s = t.setup.strength;
  if (password.length < shortest) return s.short(shortest);
  const kinds = [/[a-z]/, /[A-Z]/, /\d/, /[^A-Za-z\d]/].filter((k) => k.test(password)).length;
  const worth = (new Set(password).size < 5 ? 0 : password.length) + kinds * 2;
  if (worth < 14) return s.weak;
  return worth < 20 ? s.fair : s.strong;
}
