// The position that a person points at: the charts of one page show it together.
import { useSyncExternalStore } from "react";

const places = new Map<string, number>();
const listeners = new Set<() => void>();

const subscribe = (listener: () => void) => {
  listeners.add(listener);
  return () => void listeners.delete(listener);
};

/** Moves the cursor of all charts of a group; `undefined` hides it. */
export function moveCursor(group: string, x: number | undefined): void {
  if (x === undefined) places.delete(group);
  else places.set(group, x);
  for (const listener of listeners) listener();
}

export const useCursor = (group: string): number | undefined => useSyncExternalStore(subscribe, () => places.get(group));
