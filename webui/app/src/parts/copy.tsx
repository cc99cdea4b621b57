// Text that a person takes away: shown once more as it is, with a button that copies it.
import { useText } from "../i18n";
import { Icon } from "./icon";
import { tell } from "./toast";

/** copyText puts a text on the clipboard, also on pages without TLS, where browsers hide navigator.clipboard. */
export async function copyText(text: string): Promise<boolean> {
  if (window.isSecureContext) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // refused: the old way may still work
    }
  }
  const box = document.createElement("textarea");
  const before = document.activeElement;
  box.value = text;
  box.className = "hidden";
  document.body.append(box);
  box.select();
  // eslint-disable-next-line @typescript-eslint/no-deprecated -- the only way without TLS
  const done = document.execCommand("copy");
  box.remove();
  if (before instanceof HTMLElement) before.focus();
  return done;
}

export function CopyButton({ text, label, testid }: { text: string; label?: string; testid?: string }) {
  const t = useText();
  const copy = async (): Promise<void> => {
    const done = await copyText(text);
    tell(done ? t.parts.copied : t.parts.copyFailed, { failed: !done });
  };
  return (
    <button
      type="button"
      class="button small"
      aria-label={label && `${t.parts.copy}: ${label}`}
      data-testid={testid}
      onClick={() => void copy()}
    >
      <Icon name="copy" />
      {t.parts.copy}
    </button>
  );
}

/** CopyBox shows a text that is typed or pasted elsewhere. */
export function CopyBox({ text, label, testid }: { text: string; label: string; testid?: string }) {
  return (
    <div class="copy-box">
      <pre tabIndex={0} role="group" aria-label={label} data-testid={testid}>
        {text}
      </pre>
      <CopyButton text={text} label={label} />
    </div>
  );
}
