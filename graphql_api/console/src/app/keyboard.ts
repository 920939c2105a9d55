// Single keys and sequences such as `g t`: off in fields, in dialogs, and for people who turned them off (WCAG 2.1.4).
import { useEffect, useRef } from "react";
import { preference } from "./preferences.ts";

/** How long the second key of a sequence may take. */
const SEQUENCE_MILLISECONDS = 1500;

/** Every key that a page listens to, in the order in which `?` shows them. */
export type Keys = Record<string, { what: string; run(): void }>;

const active: Keys[] = [];
let first: { key: string; at: number } | undefined;

/** What `?` lists: the keys of the page that is shown, and those of every page. */
export const activeKeys = (): [keys: string, what: string][] =>
  active.flatMap((keys) => Object.entries(keys).map(([key, { what }]): [string, string] => [key, what]));

const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && (target.isContentEditable || target.closest("input, select, textarea, dialog, [popover]:popover-open") !== null) &&
  !(target instanceof HTMLInputElement && target.type === "checkbox" && !target.closest("dialog"));

/** Whether Enter acts on what has the focus: a link, a button. */
const takesEnter = (target: EventTarget | null): boolean => target instanceof HTMLElement && target.closest("a, button, summary, [tabindex='0']") !== null;

/** The name of a pressed key: `j`, `?`, `Enter`, `Shift c`. */
const nameOf = ({ key, shiftKey }: KeyboardEvent): string => (shiftKey && /^[a-z]$/i.test(key) ? `Shift ${key.toLowerCase()}` : key);

function onKeyDown(event: KeyboardEvent): void {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || isTyping(event.target)) return;
  const name = nameOf(event);
  if (name === "Enter" && takesEnter(event.target)) return;
  if (name.length === 1 && preference("keys") === "off" && name !== "?") return;
  const sequence = first && event.timeStamp - first.at < SEQUENCE_MILLISECONDS ? `${first.key} ${name}` : name;
  const match = (wanted: string) => active.findLast((keys) => wanted in keys)?.[wanted];
  const found = match(sequence) ?? match(name);
  first = !found && name.length === 1 ? { key: name, at: event.timeStamp } : undefined;
  if (!found) return;
  event.preventDefault();
  found.run();
}

/** Listens to keys while the component is mounted; the newest component wins. */
export function useKeys(keys: Keys): void {
  const newest = useRef(keys);
  newest.current = keys;
  const names = Object.keys(keys).join("\n");
  useEffect(() => {
    const own: Keys = {};
    for (const name of names.split("\n").filter(Boolean)) {
      own[name] = { what: newest.current[name]!.what, run: () => newest.current[name]?.run() };
    }
    if (active.length === 0) addEventListener("keydown", onKeyDown);
    active.push(own);
    return () => {
      active.splice(active.indexOf(own), 1);
      if (active.length === 0) removeEventListener("keydown", onKeyDown);
    };
  }, [names]);
}
