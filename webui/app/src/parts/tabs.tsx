// The screens below one entry of the navigation.
import { href } from "../router";

export interface Tab {
  to: string; // below the first part of the address
  text: string;
}

export function Tabs(p: { under: string; tabs: Tab[]; here: string; label: string }) {
  return (
    <div class="tabs" role="navigation" aria-label={p.label}>
      {p.tabs.map((tab) => (
        <a
          key={tab.to}
          href={href(p.under, tab.to)}
          aria-current={tab.to === p.here ? "page" : undefined}
          data-testid={`tab-${tab.to}`}
        >
          {tab.text}
        </a>
      ))}
    </div>
  );
}
