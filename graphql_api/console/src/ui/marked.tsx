// Text in which what somebody looks for is marked.
import type { ReactNode } from "react";

/** @param wanted in lower case; empty: nothing is marked. */
export function Marked({ text, wanted }: { text: string; wanted: string }) {
  if (!wanted) return text;
  const low = text.toLowerCase();
  // A few letters have another length in lower case, so that places would not fit.
  if (low.length !== text.length) return text;
  const parts: ReactNode[] = [];
  let end = 0;
  for (let at = low.indexOf(wanted); at >= 0; at = low.indexOf(wanted, end)) {
    parts.push(text.slice(end, at), <mark key={at}>{text.slice(at, at + wanted.length)}</mark>);
    end = at + wanted.length;
  }
  return [...parts, text.slice(end)];
}
