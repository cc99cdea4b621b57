// One question at a time, in a dialog of the browser (it keeps the focus inside by itself).
import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { useText } from "../i18n";

interface Question {
  title: string;
  text: string;
  yes: string;
  no?: string;
  danger?: boolean;
  answer: (yes: boolean) => void;
}

const question = signal<Question | null>(null);

/** ask shows the question and gives the answer; closing it by Escape is a no. */
export function ask(q: Omit<Question, "answer">): Promise<boolean> {
  return new Promise((resolve) => {
    question.peek()?.answer(false);
    question.value = {
      ...q,
      answer: (yes) => {
        question.value = null;
        resolve(yes);
      },
    };
  });
}

export function Dialog() {
  const t = useText();
  const ref = useRef<HTMLDialogElement>(null);
  const q = question.value;
  useEffect(() => {
    if (q && ref.current && !ref.current.open) ref.current.showModal();
  }, [q]);
  if (!q) return null;
  return (
    <dialog ref={ref} aria-labelledby="ask-title" aria-describedby="ask-text" onClose={() => q.answer(false)}>
      <h2 id="ask-title">{q.title}</h2>
      <p id="ask-text">{q.text}</p>
      <div class="actions">
        <button
          type="button"
          class={q.danger ? "button danger" : "button primary"}
          data-testid="ask-yes"
          onClick={() => q.answer(true)}
        >
          {q.yes}
        </button>
        <button type="button" class="button" data-testid="ask-no" autofocus onClick={() => q.answer(false)}>
          {q.no ?? t.cancel}
        </button>
      </div>
    </dialog>
  );
}
