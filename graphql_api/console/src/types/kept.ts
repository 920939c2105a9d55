// What a form keeps on this device: drafts for seven days, and which task types a caller has pinned or used.
import { hashId } from "@dask-graphql/client";
import { useSyncExternalStore } from "react";
import type { Catalogue, TaskType } from "../api/task-types.ts";
import { placeOf } from "../app/preferences.ts";
import type { Draft, Drafts } from "./draft.ts";

const KEPT_MILLISECONDS = 7 * 24 * 3600 * 1000;
/** More than people type; what is longer would take the place of everything else that the page keeps. */
const LONGEST_DRAFT = 100_000;
/** Older ones make room: a browser keeps about 5 million characters for all that a page stores. */
const MOST_DRAFTS = 20;
const RECENT = 5;
/** Names of fields that nobody wants to find on a disk. */
const SECRET = /passw|secret|token|credential|api_?key/i;

type Caller = Catalogue["caller"];

const DRAFT = "dask-graphql.draft ";

/** A draft is of the fields that the form had: another release of the task type may have others. */
const draftPlace = (caller: Caller, { name, arguments: members, types }: TaskType) =>
  `${placeOf("draft", caller)} ${name} ${hashId(JSON.stringify([members.map(({ graphqlName, graphqlType }) => [graphqlName, graphqlType]), types]))}`;

export interface KeptDraft {
  /** Milliseconds since 1970. */
  at: number;
  drafts: Drafts;
}

/** Reads, and forgets every draft that is too old, or one of too many. */
export function keptDraft(caller: Caller, type: TaskType): KeptDraft | undefined {
  const drafts = Object.keys(localStorage).filter((key) => key.startsWith(DRAFT)).map((key) => ({ key, at: readJson<KeptDraft>(key)?.at ?? 0 }));
  drafts.sort((one, other) => other.at - one.at);
  drafts.forEach(({ key, at }, index) => {
    if (at < Date.now() - KEPT_MILLISECONDS || index >= MOST_DRAFTS) localStorage.removeItem(key);
  });
  return readJson<KeptDraft>(draftPlace(caller, type));
}

/** Returns when it was kept; undefined if there is no room, or storage is not permitted. */
export function keepDraft(caller: Caller, type: TaskType, drafts: Drafts): number | undefined {
  const at = Date.now();
  const text = JSON.stringify({ at, drafts: withoutSecrets(drafts) });
  if (text.length > LONGEST_DRAFT) return undefined;
  try {
    localStorage.setItem(draftPlace(caller, type), text);
    return at;
  } catch {
    return undefined;
  }
}

/** Of all callers: who signs out leaves nothing that was typed behind. */
export function forgetDrafts(): void {
  for (const key of Object.keys(localStorage)) if (key.startsWith(DRAFT)) localStorage.removeItem(key);
}

export const forgetDraft = (caller: Caller, type: TaskType): void => localStorage.removeItem(draftPlace(caller, type));

function withoutSecrets(draft: Draft | Drafts): unknown {
  if (Array.isArray(draft)) return draft.map(withoutSecrets);
  if (typeof draft !== "object") return draft;
  return Object.fromEntries(Object.entries(draft).filter(([name]) => !SECRET.test(name)).map(([name, item]) => [name, withoutSecrets(item)]));
}

function readJson<Value>(key: string): Value | undefined {
  try {
    return (JSON.parse(localStorage.getItem(key) ?? "null") as Value | null) ?? undefined;
  } catch {
    return undefined;
  }
}

export interface Chosen {
  pinned: string[];
  /** The one that was run last comes first. */
  recent: string[];
}

const listeners = new Set<() => void>();
const NOBODY = '{"pinned":[],"recent":[]}';

const subscribe = (listener: () => void) => {
  listeners.add(listener);
  return () => void listeners.delete(listener);
};

export function useChosen(caller: Caller): Chosen {
  const text = useSyncExternalStore(subscribe, () => localStorage.getItem(placeOf("types", caller)) ?? NOBODY);
  return JSON.parse(text) as Chosen;
}

function choose(caller: Caller, change: (chosen: Chosen) => Chosen): void {
  const key = placeOf("types", caller);
  localStorage.setItem(key, JSON.stringify(change(readJson<Chosen>(key) ?? { pinned: [], recent: [] })));
  for (const listener of listeners) listener();
}

export const togglePin = (caller: Caller, name: string): void =>
  choose(caller, ({ pinned, recent }) => ({
    recent, pinned: pinned.includes(name) ? pinned.filter((other) => other !== name) : [...pinned, name].sort(),
  }));

export const noteUse = (caller: Caller, name: string): void =>
  choose(caller, ({ pinned, recent }) => ({ pinned, recent: [name, ...recent.filter((other) => other !== name)].slice(0, RECENT) }));
