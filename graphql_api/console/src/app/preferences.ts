// What a person has chosen, kept on this device: the theme, the density of tables, the zone of times, single keys.
import { useSyncExternalStore } from "react";
import type { Catalogue } from "../api/task-types.ts";

/** The first of each is the default. */
const CHOICES = {
  theme: ["system", "light", "dark"],
  density: ["compact", "roomy"],
  zone: ["local", "utc"],
  keys: ["on", "off"],
  notify: ["off", "on"],
} as const;

type Choices = { [Name in keyof typeof CHOICES]: (typeof CHOICES)[Name][number] };

const listeners = new Set<() => void>();
const place = (name: keyof Choices) => `dask-graphql.${name}`;

export function preference<Name extends keyof Choices>(name: Name): Choices[Name] {
  const kept = localStorage.getItem(place(name));
  const options = CHOICES[name] as unknown as readonly Choices[Name][];
  return options.find((option) => option === kept) ?? options[0]!;
}

export function prefer<Name extends keyof Choices>(name: Name, value: Choices[Name]): void {
  localStorage.setItem(place(name), value);
  apply();
  for (const listener of listeners) listener();
}

/** The choice after this one: a button steps through them. */
export function preferNext(name: keyof Choices): void {
  const options: readonly string[] = CHOICES[name];
  prefer(name, options[(options.indexOf(preference(name)) + 1) % options.length] as never);
}

/** Marks the document; the style sheets do the rest. */
export function apply(): void {
  const root = document.documentElement.dataset;
  const theme = preference("theme");
  if (theme === "system") delete root["theme"];
  else root["theme"] = theme;
  root["density"] = preference("density");
}

const subscribe = (listener: () => void) => {
  listeners.add(listener);
  return () => void listeners.delete(listener);
};

export const usePreference = <Name extends keyof Choices>(name: Name): Choices[Name] => useSyncExternalStore(subscribe, () => preference(name));

/** Where something of a caller is kept on this device: callers of one device do not see each other's. */
export const placeOf = (what: string, { name, tenant }: Catalogue["caller"]): string => `dask-graphql.${what} ${JSON.stringify([tenant, name])}`;
