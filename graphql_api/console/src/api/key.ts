// The API key or token of this tab, in sessionStorage: it ends with the tab, and no other page can read it.

const PLACE = "dask-graphql.key";
const listeners = new Set<() => void>();

export const apiKey = (): string => sessionStorage.getItem(PLACE) ?? "";

export function setApiKey(key: string): void {
  if (key) sessionStorage.setItem(PLACE, key);
  else sessionStorage.removeItem(PLACE);
  for (const listener of listeners) listener();
}

/** Calls `listener` after each change; returns a function that unsubscribes. */
export function onKeyChange(listener: () => void): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/** The header of a request and the payload of a connection_init; empty without a key. */
export const authorization = (): Record<string, string> => {
  const key = apiKey();
  return key ? { authorization: `Bearer ${key}` } : {};
};
