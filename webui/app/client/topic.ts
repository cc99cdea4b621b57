/** matches tells whether a topic filter, a shared one too, takes a topic name [v5 4.7]. */
export function matches(filter: string, topic: string): boolean {
  const levels = filter.split("/");
  if (levels[0] === "$share") levels.splice(0, 2);
  const names = topic.split("/");
  if (topic.startsWith("$") && (levels[0] === "#" || levels[0] === "+")) return false;
  for (const [i, level] of levels.entries()) {
    if (level === "#") return true;
    if (i >= names.length || (level !== "+" && level !== names[i])) return false;
  }
  return levels.length === names.length;
}
