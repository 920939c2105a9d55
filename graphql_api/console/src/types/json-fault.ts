// Where a text stops being JSON. Browsers tell it differently, and for short texts not at all.

const TOKENS = {
  space: /[ \t\n\r]*/y,
  plain: /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y,
  name: /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y,
};

/** The line and the column of the first fault in a text that is not valid JSON, and what belongs there. */
export function jsonFault(text: string): string {
  let at = 0;
  const skip = (token: RegExp): boolean => {
    token.lastIndex = at;
    const found = token.test(text);
    if (found) at = token.lastIndex;
    return found;
  };
  const expect = (character: string): boolean => {
    skip(TOKENS.space);
    if (text[at] !== character) return false;
    at += 1;
    return true;
  };
  // Each returns what is missing at the place that it came to; nothing if all is well. Nesting is kept here, not on the stack.
  const fault = (): string | undefined => {
    const open: ("}" | "]")[] = [];
    for (;;) {
      // A value.
      if (expect("{")) {
        if (!expect("}")) {
          if (!(skip(TOKENS.space), skip(TOKENS.name))) return 'a name in " or a }';
          if (!expect(":")) return "a :";
          open.push("}");
          continue;
        }
      } else if (expect("[")) {
        if (!expect("]")) {
          open.push("]");
          continue;
        }
      } else if (!skip(TOKENS.plain)) return "a value";
      // After a value.
      for (;;) {
        const end = open.at(-1);
        if (!end) return (skip(TOKENS.space), at < text.length) ? "nothing more" : undefined;
        if (expect(end)) {
          open.pop();
          continue;
        }
        if (!expect(",")) return `a , or a ${end}`;
        if (end === "}" && !(skip(TOKENS.space), skip(TOKENS.name))) return 'a name in "';
        if (end === "}" && !expect(":")) return "a :";
        break;
      }
    }
  };
  const missing = fault();
  if (missing === undefined) return "This is not valid JSON.";
  skip(TOKENS.space);
  const before = text.slice(0, at).split("\n");
  return `Line ${before.length}, column ${before.at(-1)!.length + 1}: not valid JSON. It needs ${missing} here.`;
}
