// The API key or token of this tab: in sessionStorage, which ends with the tab and is read by no other page.

const PLACE = "dask-graphql.key";
const listeners = new Set<() => void>();

export const apiKey = (): string => sessionStorage.getItem(PLACE) ?? "";

export function setApiKey(key: string): void {
  if (key) sessionStorage.setItem(PLACE, key);
  else sessionStorage.removeItem(PLACE);
  for (const listener of listeners) listener();
}

/** Calls `listener` after each change; returns what ends that. */
export function onKeyChange(listener: () => void): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/** Header of a request, and payload of a connection_init; nothing where no key was given. */
export const authorization = (): Record<string, string> => {
  const key = apiKey();
  return key ? { authorization: `Bearer ${key}` } : {};
};
