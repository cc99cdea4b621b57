// Control characters, as people can read and type them.

/** escaped shows control characters as \r, \n, \t or \x03. */
export function escaped(text: string): string {
  return text
    .replaceAll("\\", "\\\\")
    .replaceAll("\r", "\\r")
    .replaceAll("\n", "\\n")
    .replaceAll("\t", "\\t")
    .replace(/\p{Cc}/gu, (ch) => "\\x" + ch.charCodeAt(0).toString(16).padStart(2, "0"));
}

/** unescaped reads what escaped writes, and an escaped quotation mark. */
export function unescaped(text: string): string {
  const named: Record<string, string> = { r: "\r", n: "\n", t: "\t", "\\": "\\", '"': '"' };
  return text.replace(/\\(?:x([0-9a-fA-F]{2})|(.))/g, (all, code: string | undefined, letter: string | undefined) =>
    code !== undefined ? String.fromCharCode(parseInt(code, 16)) : (named[letter ?? ""] ?? all),
  );
}
