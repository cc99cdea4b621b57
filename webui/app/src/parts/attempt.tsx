// Something that a person asks for and that may fail: once at a time, with what went wrong.
import { useState } from "preact/hooks";
import { language, useText } from "../i18n";
import { callText } from "../words";
import { Icon } from "./icon";

/** useAttempt runs one piece of work at a time and keeps why the last one failed; run says whether it went well. */
export function useAttempt() {
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const run = async (work: () => Promise<void>): Promise<boolean> => {
    if (busy) return false;
    setBusy(true);
    setError(undefined);
    try {
      await work();
      return true;
    } catch (e) {
      setError(e);
      return false;
    } finally {
      setBusy(false);
    }
  };
  return { busy, error, run, forget: () => setError(undefined) };
}

/** NotDone says why it failed; nothing while it did not. */
export function NotDone({ error, testid }: { error: unknown; testid: string }) {
  const t = useText();
  if (error === undefined) return null;
  return (
    <div class="note bad" role="alert" data-testid={testid}>
      <Icon name="bad" />
      <p>{callText(error, t, language.value === "en")}</p>
    </div>
  );
}
