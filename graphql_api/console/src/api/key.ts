// The API key or token of this caller, and what else belongs to a session: in sessionStorage, which ends with the tab, or
// in localStorage if the person stays signed in on this device. No page of another origin can read either.

const PLACE = "dask-graphql.key";
const listeners = new Set<() => void>();
const told = () => {
  for (const listener of listeners) listener();
};

/** What is kept in a place of this session; null if nothing is. */
export const kept = (place: string): string | null => sessionStorage.getItem(place) ?? localStorage.getItem(place);

/** Keeps a value until the tab is closed, or until the person signs out. */
export function keep(place: string, value: string, onDevice: boolean): void {
  drop(place);
  (onDevice ? localStorage : sessionStorage).setItem(place, value);
}

export function drop(place: string): void {
  sessionStorage.removeItem(place);
  localStorage.removeItem(place);
}

/** Whether the person stays signed in on this device. */
export const staysSignedIn = (): boolean => localStorage.getItem(PLACE) !== null;

export const apiKey = (): string => kept(PLACE) ?? "";

/** Uses a key from now on; the empty one is none. */
export function setApiKey(key: string, onDevice = false): void {
  if (key) keep(PLACE, key, onDevice);
  else drop(PLACE);
  told();
}

// Another tab has signed in or out on this device.
addEventListener("storage", ({ key, storageArea }) => {
  if (storageArea === localStorage && (key === null || key === PLACE)) told();
});

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
