// The columns of the table: which there are, which a person shows, and how they sort what is loaded.
import { useSyncExternalStore } from "react";
import type { Row } from "./rows.ts";
import { ranMilliseconds } from "./rows.ts";

export interface Column {
  key: "state" | "type" | "input" | "tags" | "by" | "submitted" | "duration" | "tries" | "worker";
  title: string;
  /** Its class in the style sheet. */
  cell: string;
  number?: boolean;
  /** What rows are sorted by; none: it says nothing about an order. `submitted` is sorted by the api. */
  value?(row: Row, now: number): string | number;
  /** Cannot be hidden. */
  fixed?: boolean;
}

const STATE_ORDER = ["RUNNING", "QUEUED", "FAILED", "CANCELLED", "SUCCEEDED"];

export const COLUMNS: readonly Column[] = [
  { key: "state", title: "State", cell: "c-state", value: ({ state }) => STATE_ORDER.indexOf(state), fixed: true },
  { key: "type", title: "Task type", cell: "c-type", value: ({ name }) => name, fixed: true },
  { key: "input", title: "Input", cell: "c-input" },
  { key: "tags", title: "Tags", cell: "c-tags" },
  { key: "by", title: "Submitted by", cell: "c-by", value: ({ submittedBy }) => submittedBy ?? "" },
  { key: "submitted", title: "Submitted", cell: "c-at", number: true },
  { key: "duration", title: "Run time", cell: "c-dur", value: (row, now) => ranMilliseconds(row, now) ?? -1 },
  { key: "tries", title: "Tries", cell: "c-try", number: true, value: ({ attempt }) => attempt },
  { key: "worker", title: "Worker", cell: "c-worker", value: ({ worker }) => worker ?? "" },
];

/** The column that an order of the address names, if it is one that the page sorts by itself. */
export const sortedHere = (sort: string): Column | undefined => COLUMNS.find(({ key, value }) => value && key === sort.replace(/^-/, ""));

/** The rows in the order of a column; those that are equal stay in the order of the api. */
export function sortedBy(rows: readonly Row[], sort: string, now: number): readonly Row[] {
  const column = sortedHere(sort);
  if (!column?.value) return rows;
  const sign = sort.startsWith("-") ? -1 : 1;
  const values = new Map(rows.map((row) => [row, column.value!(row, now)]));
  return [...rows].sort((one, other) => {
    const [a, b] = [values.get(one)!, values.get(other)!];
    return sign * (a < b ? -1 : a > b ? 1 : 0);
  });
}

// Which columns a person has hidden, on this device.

const PLACE = "dask-graphql.hidden-columns";
const listeners = new Set<() => void>();
const hiddenText = () => localStorage.getItem(PLACE) ?? "";

const subscribe = (listener: () => void) => {
  listeners.add(listener);
  return () => void listeners.delete(listener);
};

export function toggleColumn(key: Column["key"]): void {
  const hidden = new Set(hiddenText().split(",").filter(Boolean));
  if (!hidden.delete(key)) hidden.add(key);
  localStorage.setItem(PLACE, [...hidden].join(","));
  for (const listener of listeners) listener();
}

export function useColumns(): { shown: readonly Column[]; hidden: ReadonlySet<string> } {
  const text = useSyncExternalStore(subscribe, hiddenText);
  const hidden = new Set(text.split(","));
  return { shown: COLUMNS.filter(({ key, fixed }) => fixed || !hidden.has(key)), hidden };
}
