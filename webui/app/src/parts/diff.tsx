// A difference of settings; lines begin with + or -, so colour is not alone.
import { useText } from "../i18n";

export function Diff({ text }: { text: string }) {
  const t = useText();
  return (
    <pre class="diff" tabIndex={0} role="group" aria-label={t.history.diffLabel} data-testid="diff">
      {text
        .replace(/\n$/, "")
        .split("\n")
        .map((line, i) => (
          <span key={i} class={classOf(line)}>
            {line || " "}
          </span>
        ))}
    </pre>
  );
}

function classOf(line: string): string {
  if (line.startsWith("+ ")) return "plus";
  if (line.startsWith("- ")) return "minus";
  return line.startsWith(" ") ? "" : "about";
}
