// What the list shows stands in the address: `#/tasks?state=failed,running&type=a,b&since=24h&q=nan&sort=-duration`.
import type { TaskFilter, TaskState } from "@dask-graphql/client";
import { address } from "../app/route.ts";

const STATES: readonly TaskState[] = ["QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"];

/** Every parameter of the address, by its name there. */
export interface Filters {
  state: TaskState[];
  type: string[];
  tag: string[];
  error: string[];
  /** Names of callers; `me` is the person who looks. */
  by: string;
  /** `1h`, `24h`, `7d`, `today`, or a time. */
  since: string;
  until: string;
  /** As `since` and `until`: when it ended. */
  ended: string;
  endedUntil: string;
  /** Seconds. */
  longer: string;
  shorter: string;
  worker: string;
  /** The key of a group of failures. */
  failure: string;
  q: string;
  /** A column, with `-` before it the other way round: `-submitted`, `duration`. */
  sort: string;
}

export const NEWEST = "-submitted";
export const OLDEST = "submitted";

const list = (text: string | null): string[] => (text ?? "").split(",").filter(Boolean);

export function readFilters(query: URLSearchParams): Filters {
  const text = (name: string) => query.get(name) ?? "";
  const states = list(query.get("state")).map((word) => word.toUpperCase());
  return {
    state: STATES.filter((state) => states.includes(state)),
    type: list(query.get("type")), tag: list(query.get("tag")), error: list(query.get("error")),
    by: text("by"), since: text("since"), until: text("until"), ended: text("ended"), endedUntil: text("endedUntil"), longer: text("longer"), shorter: text("shorter"),
    worker: text("worker"), failure: text("failure"), q: text("q"), sort: text("sort") || NEWEST,
  };
}

export function addressOf({ state, type, tag, error, sort, ...others }: Filters): string {
  const lists = { state: state.map((one) => one.toLowerCase()), type, tag, error };
  return address(["tasks"], {
    ...Object.fromEntries(Object.entries(lists).map(([name, values]) => [name, values.join(",")])), ...others,
    ...(sort !== NEWEST && { sort }),
  });
}

export const NO_FILTERS: Filters = readFilters(new URLSearchParams());

/** Whether anything but the order is chosen. */
export const isFiltered = (filters: Filters): boolean => addressOf({ ...filters, sort: NEWEST }) !== addressOf(NO_FILTERS);

const UNITS: Record<string, number> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

/** The time that `24h`, `today` or `2026-01-31T12:00` means; undefined if it means none. */
export function timeOf(text: string, now: number): Date | undefined {
  const [, number, unit] = /^(\d{1,4})([mhd])$/.exec(text) ?? [];
  if (number && unit) return new Date(now - Number(number) * UNITS[unit]!);
  if (text === "today") return new Date(new Date(now).setHours(0, 0, 0, 0));
  const date = new Date(text);
  return Number.isNaN(date.getTime()) ? undefined : date;
}

const secondsOf = (text: string): number | undefined => (text !== "" && Number.isFinite(Number(text)) && Number(text) >= 0 ? Number(text) : undefined);

/** What the api is asked. @param me the caller's name, for `by=me`. */
export function whereOf({ state, type, tag, error, by, since, until, ended, endedUntil, longer, shorter, worker, failure, q }: Filters, me: string, now: number): TaskFilter {
  const [after, before, least, most] = [timeOf(since, now), timeOf(until, now), secondsOf(longer), secondsOf(shorter)];
  const [endedAfter, endedBefore] = [timeOf(ended, now), timeOf(endedUntil, now)];
  return {
    ...(state.length > 0 && { states: state }),
    // More are refused; an address may have any number.
    ...(type.length > 0 && { names: type.slice(0, 10) }),
    ...(tag.length > 0 && { tags: tag.slice(0, 100) }),
    ...(error.length > 0 && { errorCodes: error.slice(0, 100) }),
    ...(by && { submittedBy: by === "me" ? me : by }),
    ...(after && { submittedAfter: after.toISOString() }),
    ...(before && { submittedBefore: before.toISOString() }),
    ...(endedAfter && { finishedAfter: endedAfter.toISOString() }),
    ...(endedBefore && { finishedBefore: endedBefore.toISOString() }),
    ...(least !== undefined && { minRunSeconds: least }),
    ...(most !== undefined && { maxRunSeconds: most }),
    ...(worker && { worker }),
    ...(failure && { failureGroup: failure }),
    ...(q && { text: q }),
  } as TaskFilter;
}

/** A task id that was typed or pasted: 32 hex digits. */
export const taskIdIn = (text: string): string | undefined => /^\s*([0-9a-f]{32})\s*$/i.exec(text)?.[1]?.toLowerCase();
