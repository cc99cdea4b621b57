// Names and what belongs to them, one to a line.
import type { ComponentChildren } from "preact";

export type Fact = [name: string, value: ComponentChildren, testid?: string] | false | null | undefined;

export function Facts({ facts }: { facts: Fact[] }) {
  return (
    <dl class="facts">
      {facts.map(
        (f) =>
          f && (
            <div key={f[0]}>
              <dt>{f[0]}</dt>
              <dd data-testid={f[2]}>{f[1]}</dd>
            </div>
          ),
      )}
    </dl>
  );
}
