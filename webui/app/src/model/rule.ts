// An access rule as the form holds it and as the settings hold it.
import type { Action, Rule } from "../admin-types";
import { Checks, type OwnFault } from "./check";

export type Kind = "read" | "write" | "both" | "denyRead" | "denyWrite" | "deny";

export interface RuleDraft {
  id: string;
  one: boolean; // for one account, not for everybody
  account: string;
  filter: string;
  kind: Kind | "mixed"; // mixed: allows one and denies the other, as only a file says it
  keep: Pick<Rule, "allow" | "deny">;
}

const both: Action[] = ["read", "write"];
const kinds: Record<Kind, Pick<Rule, "allow" | "deny">> = {
  read: { allow: ["read"] },
  write: { allow: ["write"] },
  both: { allow: both },
  denyRead: { deny: ["read"] },
  denyWrite: { deny: ["write"] },
  deny: { deny: both },
};

/** kindOf names what a rule does, mixed when it both allows and denies. */
export function kindOf(rule: Pick<Rule, "allow" | "deny">): Kind | "mixed" {
  const { allow = [], deny = [] } = rule;
  if (allow.length > 0 && deny.length > 0) return "mixed";
  if (deny.length > 0) return deny.length > 1 ? "deny" : deny[0] === "read" ? "denyRead" : "denyWrite";
  return allow.length > 1 ? "both" : allow[0] === "write" ? "write" : "read";
}

export function newRule(account: string): RuleDraft {
  return { id: "", one: true, account, filter: "", kind: "read", keep: {} };
}

export function fromRule(r: Rule): RuleDraft {
  const { id, account = "", filter, allow = [], deny = [] } = r;
  return { id, one: account !== "", account, filter, kind: kindOf(r), keep: { allow, deny } };
}

export function toRule(d: RuleDraft): { rule: Rule; faults: OwnFault[] } {
  const c = new Checks();
  const rule: Rule = {
    id: c.name("/id", d.id),
    filter: c.text("/filter", d.filter),
    ...(d.kind === "mixed" ? d.keep : kinds[d.kind]),
  };
  if (d.one) rule.account = c.text("/account", d.account);
  return { rule, faults: c.faults };
}
