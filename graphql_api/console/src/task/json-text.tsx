// JSON text with its keys, strings and numbers in colours.
import type { ReactNode } from "react";

const TOKEN = /("(?:\\.|[^"\\])*")(\s*:)?|\b(?:true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

export function JsonText({ text, label }: { text: string; label: string }) {
  const parts: ReactNode[] = [];
  let end = 0;
  for (const match of text.matchAll(TOKEN)) {
    const [whole, string, colon] = match;
    parts.push(text.slice(end, match.index));
    end = match.index + whole.length;
    const key = string && colon;
    parts.push(
      <span key={match.index} className={key ? "k" : string ? "s" : "n"}>{key ? string.slice(1, -1) : (string ?? whole)}</span>,
      key ? colon : "",
    );
  }
  parts.push(text.slice(end));
  return <pre className="codeblock" tabIndex={0} role="group" aria-label={label}>{parts}</pre>;
}
