// The address is the state: `#/tasks?state=failed,running&type=train_model`, `#/tasks/<id>`, `#/types/<name>`, `#/cluster`.
import { useEffect, useState } from "react";

export interface Route {
  /** The parts of the address after `#/`: a page, and what it shows. Links into the console are stable. */
  parts: string[];
  /** The parameters of the page. */
  query: URLSearchParams;
}

export function useRoute(): Route {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const follow = () => setHash(location.hash);
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  // Links of the first version, which people may have saved.
  const [path = "", query] = hash.replace(/^#task=/, "#/tasks/").replace(/^#\/?/, "").split("?");
  return { parts: path.split("/").filter(Boolean).map(decoded), query: new URLSearchParams(query) };
}

/** A part as it was before `address`; one that nobody has encoded stays as it is, and names nothing. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** An address of this page: `["tasks"]` and `{state: "failed"}` are `#/tasks?state=failed`; empty values are left out. */
export function address(parts: string[], query: Record<string, string | undefined> = {}): string {
  const given = Object.entries(query).filter((entry): entry is [string, string] => Boolean(entry[1]));
  // Commas stay readable: they separate the values of a filter.
  const text = new URLSearchParams(given).toString().replaceAll("%2C", ",");
  return `#/${parts.map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

/** Goes to an address; `replace` leaves no step back to this one. */
export function go(to: string, { replace = false } = {}): void {
  if (!replace) location.hash = to;
  else {
    history.replaceState(null, "", to);
    dispatchEvent(new HashChangeEvent("hashchange"));
  }
}
