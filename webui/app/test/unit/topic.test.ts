import { describe, expect, it } from "vitest";
import { matches } from "../../client/topic";

describe("a topic filter", () => {
  it.each([
    ["a/b", "a/b", true],
    ["a/b", "a/B", false],
    ["a/+", "a/b", true],
    ["a/+", "a", false],
    ["a/+", "a/", true],
    ["a/+", "a/b/c", false],
    ["+/+", "/x", true],
    ["/+", "/x", true],
    ["+", "/x", false],
    ["sport/#", "sport", true],
    ["sport/#", "sport/a/b", true],
    ["#", "a/b", true],
    ["#", "$SYS/x", false],
    ["+/x", "$SYS/x", false],
    ["$SYS/#", "$SYS/x", true],
    ["$share/group/a/+", "a/b", true],
    ["$share/group/a/+", "b/b", false],
  ])("%s on %s: %s", (filter, topic, expected) => {
    expect(matches(filter, topic)).toBe(expected);
  });
});
