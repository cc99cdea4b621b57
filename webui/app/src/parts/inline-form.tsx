// A small form that opens in its place: a button, then fields, then the button again.
import type { ComponentChildren } from "preact";
import { useText } from "../i18n";
import { Form, type Saving } from "./form";

interface Props {
  saving: Saving;
  submit: string;
  onSubmit: () => void;
  close?: () => void;
  overwrite?: () => void;
  loadTheirs?: () => void;
  testid: string;
  children: ComponentChildren;
  more?: ComponentChildren;
}

export function InlineForm(p: Props) {
  const t = useText();
  return (
    <div class="inline-form">
      <Form
        testid={p.testid}
        saving={p.saving}
        onSubmit={p.onSubmit}
        {...(p.overwrite && { overwrite: p.overwrite })}
        {...(p.loadTheirs && { loadTheirs: p.loadTheirs })}
        actions={
          <>
            <button
              type="submit"
              class="button primary"
              data-testid={`${p.testid}-submit`}
              aria-disabled={p.saving.busy}
            >
              {p.submit}
            </button>
            {p.more}
            {p.close && (
              <button type="button" class="button" onClick={p.close}>
                {t.cancel}
              </button>
            )}
          </>
        }
      >
        {p.children}
      </Form>
    </div>
  );
}
