// The frame of the screens in front of the page: setting up, and logging in.
import type { ComponentChildren } from "preact";
import { setup } from "../session";
import { Form, type Saving } from "./form";

interface Props {
  title: string;
  intro: ComponentChildren;
  testid: string;
  saving: Saving;
  submit: string;
  onSubmit: () => void;
  children: ComponentChildren;
}

export function Gate(p: Props) {
  return (
    <main class="gate" id="main">
      <h1>{p.title}</h1>
      <p class="muted">{setup.value?.hostname ?? "fieldgate"}</p>
      {p.intro}
      <Form
        testid={p.testid}
        saving={p.saving}
        onSubmit={p.onSubmit}
        actions={
          <button
            type="submit"
            class="button primary wide"
            data-testid={`${p.testid}-submit`}
            aria-disabled={p.saving.busy}
          >
            {p.submit}
          </button>
        }
      >
        {p.children}
      </Form>
    </main>
  );
}
