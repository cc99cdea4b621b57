// Parts of a form: a label, the control, a hint, and what is wrong with it.
import { createContext, type ComponentChildren } from "preact";
import { useContext, useId, useState } from "preact/hooks";
import { language, useText } from "../i18n";
import type { OwnFault } from "../model/check";
import { faultText } from "../words";
import { Icon } from "./icon";

/** The faults of the form around, by JSON pointer; each field shows its own. */
export const Faults = createContext<readonly OwnFault[]>([]);

interface FieldProps {
  label: string;
  at: string; // JSON pointer
  hint?: ComponentChildren;
  optional?: boolean;
  testid?: string;
}

interface Wiring {
  id: string;
  "aria-invalid": boolean;
  "aria-describedby": string | undefined;
  "data-at": string;
  "data-testid": string | undefined;
}

function useFaults(at: string): string[] {
  const t = useText();
  const english = language.value === "en";
  return useContext(Faults)
    .filter((f) => f.pointer === at)
    .map((f) => faultText(f, t, english));
}

function Field(p: FieldProps & { control: (w: Wiring) => ComponentChildren; class?: string }) {
  const t = useText();
  const id = useId();
  const wrong = useFaults(p.at);
  const described = [p.hint ? `${id}-hint` : "", wrong.length > 0 ? `${id}-wrong` : ""].filter(Boolean).join(" ");
  return (
    <div class={`field ${p.class ?? ""}`}>
      <label for={id}>
        {p.label}
        {p.optional && <span class="optional"> ({t.optional})</span>}
      </label>
      {p.control({
        id,
        "aria-invalid": wrong.length > 0,
        "aria-describedby": described || undefined,
        "data-at": p.at,
        "data-testid": p.testid,
      })}
      {wrong.length > 0 && (
        <p class="wrong" id={`${id}-wrong`} data-testid={`fault-${p.at}`}>
          <Icon name="bad" />
          {wrong.join(" ")}
        </p>
      )}
      {p.hint && (
        <div class="hint" id={`${id}-hint`}>
          {p.hint}
        </div>
      )}
    </div>
  );
}

interface TextProps extends FieldProps {
  value: string;
  set: (value: string) => void;
  inputMode?: "text" | "decimal" | "numeric" | "url";
  autocomplete?: string;
  placeholder?: string;
  code?: boolean;
  disabled?: boolean;
}

export function TextField(p: TextProps) {
  return (
    <Field
      {...p}
      control={(w) => (
        <input
          {...w}
          type="text"
          class={p.code ? "code" : ""}
          value={p.value}
          inputMode={p.inputMode}
          autocomplete={p.autocomplete ?? "off"}
          autocapitalize="none"
          spellcheck={false}
          placeholder={p.placeholder}
          disabled={p.disabled}
          onInput={(e) => p.set(e.currentTarget.value)}
        />
      )}
    />
  );
}

export function AreaField(p: FieldProps & { value: string; set: (value: string) => void; rows?: number }) {
  return (
    <Field
      {...p}
      control={(w) => (
        <textarea
          {...w}
          class="code"
          rows={p.rows ?? 2}
          value={p.value}
          autocapitalize="none"
          spellcheck={false}
          onInput={(e) => p.set(e.currentTarget.value)}
        />
      )}
    />
  );
}

export function PasswordField(p: FieldProps & { value: string; set: (value: string) => void; autocomplete: string }) {
  const t = useText();
  const [shown, show] = useState(false);
  const id = useId();
  return (
    <Field
      {...p}
      control={(w) => (
        <div class="with-button">
          <input
            {...w}
            {...(shown ? { type: "text" as const } : { type: "password" as const })}
            value={p.value}
            autocomplete={p.autocomplete}
            autocapitalize="none"
            spellcheck={false}
            onInput={(e) => p.set(e.currentTarget.value)}
          />
          <button
            type="button"
            id={id}
            class="button"
            aria-pressed={shown}
            aria-label={shown ? t.setup.hide : t.setup.show}
            onClick={() => show(!shown)}
          >
            <Icon name="eye" />
          </button>
        </div>
      )}
    />
  );
}

export interface Option {
  value: string;
  label: string;
}

export function SelectField(p: FieldProps & { value: string; set: (value: string) => void; options: Option[] }) {
  const known = p.options.some((o) => o.value === p.value);
  const options = known ? p.options : [...p.options, { value: p.value, label: p.value }];
  return (
    <Field
      {...p}
      control={(w) => (
        <select {...w} value={p.value} onChange={(e) => p.set(e.currentTarget.value)}>
          {options.map((o) => (
            <option key={o.value} value={o.value}>
              {o.label}
            </option>
          ))}
        </select>
      )}
    />
  );
}

export function CheckField(p: FieldProps & { value: boolean; set: (value: boolean) => void }) {
  return (
    <Field
      {...p}
      class="check"
      control={(w) => (
        <input {...w} type="checkbox" checked={p.value} onChange={(e) => p.set(e.currentTarget.checked)} />
      )}
    />
  );
}

export interface Choice {
  value: string;
  label: string;
  text?: ComponentChildren;
  bad?: string; // a problem, in words
  testid?: string;
}

/** ChoiceField is a group of radio buttons with room for an explanation each. */
export function ChoiceField(p: {
  label: string;
  at: string;
  value: string;
  set: (value: string) => void;
  choices: Choice[];
  small?: boolean;
}) {
  const name = useId();
  const wrong = useFaults(p.at);
  return (
    <fieldset
      class={p.small ? "choices small" : "choices"}
      aria-describedby={wrong.length > 0 ? `${name}-wrong` : undefined}
    >
      <legend>{p.label}</legend>
      {p.choices.map((c, i) => (
        <label key={c.value} class="choice">
          <input
            type="radio"
            name={name}
            value={c.value}
            checked={c.value === p.value}
            data-at={i === 0 ? p.at : undefined}
            data-testid={c.testid}
            onChange={() => p.set(c.value)}
          />
          <span class="choice-words">
            <span class="choice-label">{c.label}</span>
            {c.text && <span class="choice-text">{c.text}</span>}
            {c.bad && (
              <span class="wrong">
                <Icon name="bad" />
                {c.bad}
              </span>
            )}
          </span>
        </label>
      ))}
      {wrong.length > 0 && (
        <p class="wrong" id={`${name}-wrong`} data-testid={`fault-${p.at}`}>
          <Icon name="bad" />
          {wrong.join(" ")}
        </p>
      )}
    </fieldset>
  );
}
