// A list of tasks as pages and changes make it: pure functions, so that what moves and what waits is decided in one place.
import { isFinal, type TaskState, type Waiting } from "@dask-graphql/client";
import type { WireRow } from "./operations.ts";

/** A task in the list. Its input is kept as a text of bounded length: ten thousand tasks may be loaded. */
export interface Row extends Omit<WireRow, "input"> {
  inputText: string;
  submitted: number;
  /** It does not meet the filter any more; it goes as soon as rows may move. */
  left: boolean;
}

const INPUT_CHARACTERS = 240;

/** `store: "DE-0415", days: 28`, in the order and with the names of the form. */
export function inputText(input: unknown, names: readonly (readonly [python: string, graphql: string])[]): string {
  if (typeof input !== "object" || input === null || Array.isArray(input)) return JSON.stringify(input) ?? "";
  const known = names.filter(([python]) => python in input);
  const others = Object.keys(input).filter((key) => !names.some(([python]) => python === key)).map((key) => [key, key] as const);
  let text = "";
  for (const [python, graphql] of [...known, ...others]) {
    text += `${text && ", "}${graphql}: ${JSON.stringify((input as Record<string, unknown>)[python])}`;
    if (text.length > INPUT_CHARACTERS) return `${text.slice(0, INPUT_CHARACTERS)}…`;
  }
  return text;
}

export interface Rows {
  /** In the order of the api. */
  shown: readonly Row[];
  byId: ReadonlyMap<string, Row>;
  /** Tasks that belong into what is loaded, and have not been shown yet. */
  waiting: ReadonlyMap<string, Row>;
  /** Whether rows have to be put in order again: of tasks that were submitted again. */
  moved: boolean;
}

export const EMPTY: Rows = { shown: [], byId: new Map(), waiting: new Map(), moved: false };

/** Further new tasks are read from the api, by reading the list again. */
export const MOST_WAITING = 500;

export const isOpen = (state: TaskState): boolean => !isFinal(state);

/** The order of the api: by time, then by id. */
const before = (one: Row, other: Row, newestFirst: boolean): number => {
  const order = one.submitted - other.submitted || (one.taskId < other.taskId ? -1 : 1);
  return newestFirst ? -order : order;
};

const made = (shown: readonly Row[], waiting: ReadonlyMap<string, Row> = new Map(), moved = false): Rows => ({
  shown, waiting, moved, byId: new Map(shown.map((row) => [row.taskId, row])),
});

/** A response may have been on its way when a change came. */
const newer = (one: Row, other: Row | undefined): Row => (other && other.seq > one.seq && other.submitted >= one.submitted ? other : one);

/** A page below what is loaded. */
export function withPage(rows: Rows, page: readonly Row[]): Rows {
  const fresh = page.filter(({ taskId }) => !rows.byId.has(taskId));
  const waiting = new Map([...rows.waiting].filter(([taskId]) => !page.some((row) => row.taskId === taskId)));
  return made([...rows.shown, ...fresh], waiting, rows.moved);
}

/**
 * The list, read again from its start. What is below stays if the page reaches it; what came while it was read stays above.
 *
 * @param isAll whether the page is the whole list.
 */
export function withStart(rows: Rows, page: readonly Row[], newestFirst: boolean, isAll: boolean): { rows: Rows; joined: boolean } {
  const [first, last] = [page[0], page.at(-1)];
  if (!first || !last) return { rows: EMPTY, joined: true };
  const joined = isAll || rows.byId.has(last.taskId);
  const ids = new Set(page.map(({ taskId }) => taskId));
  const came = (row: Row) => newestFirst && !row.left && !ids.has(row.taskId) && before(row, first, newestFirst) < 0;
  const below = isAll || !joined ? [] : rows.shown.filter((row) => !ids.has(row.taskId) && before(last, row, newestFirst) < 0);
  const waiting = new Map([...rows.waiting].filter(([, row]) => came(row)));
  return { rows: made([...rows.shown.filter(came), ...page.map((row) => newer(row, rows.byId.get(row.taskId))), ...below], waiting), joined };
}

export interface Change {
  taskId: string;
  row: Row | undefined;
  matches: boolean;
}

/** @param reaches whether the list is loaded to its end, so that a task beyond the last row belongs into it. */
export function withChanges(rows: Rows, changes: Iterable<Change>, newestFirst: boolean, reaches: boolean): Rows {
  const byId = new Map(rows.byId);
  const waiting = new Map(rows.waiting);
  const changed = new Map<string, Row>();
  let { moved } = rows;
  const last = rows.shown.at(-1);
  for (const { taskId, row, matches } of changes) {
    const known = byId.get(taskId);
    if (known) {
      const next = row ? { ...newer(row, known), left: !matches } : { ...known, left: true };
      moved ||= next.left || next.submitted !== known.submitted;
      byId.set(taskId, next);
      changed.set(taskId, next);
    } else if (row && matches) {
      if (reaches || !last || before(row, last, newestFirst) < 0) waiting.set(taskId, row);
    } else waiting.delete(taskId);
  }
  const shown = changed.size > 0 ? rows.shown.map((row) => changed.get(row.taskId) ?? row) : rows.shown;
  return { shown, byId, waiting, moved };
}

/** Puts everything into its place: new tasks come, those that have left go. */
export function settled(rows: Rows, newestFirst: boolean): Rows {
  if (rows.waiting.size === 0 && !rows.moved) return rows;
  const staying = rows.shown.filter((row) => !row.left);
  return made([...staying, ...rows.waiting.values()].sort((one, other) => before(one, other, newestFirst)));
}

/** Without those whose records the api has deleted by now. */
export function unexpired(rows: Rows, now: number): Rows {
  const kept = rows.shown.filter(({ expiresAt }) => expiresAt === null || Date.parse(expiresAt) > now);
  return kept.length === rows.shown.length ? rows : made(kept, rows.waiting, rows.moved);
}

// What a row says.

/** How long it has run, or ran, in milliseconds. */
export const ranMilliseconds = (row: Row, now: number): number | undefined =>
  row.startedAt === null ? undefined : Math.max(0, (row.finishedAt ? Date.parse(row.finishedAt) : now) - Date.parse(row.startedAt));

const CODES: Record<string, string> = {
  TIMEOUT: "Timed out", WORKER_LOST: "Worker lost", OUT_OF_MEMORY: "Out of memory", NOT_INSTALLED: "Not installed on a worker",
  RESULT_TOO_LARGE: "Result too large", EXPIRED_BEFORE_START: "Not started in time", FILE_NOT_FOUND: "File not found",
};

const WAITING: Record<Waiting["reason"], string> = {
  QUEUED_BEHIND: "in the queue", NO_WORKER: "no worker", LAUNCHING: "worker starts", NOT_BEFORE: "starts later", RETRY: "tries again",
  LIMIT: "at its limit", PAUSED: "type paused", SCHEDULER_AWAY: "no scheduler",
};

/** What stands beside the state. @param waited how long a queued task has waited, as text. */
export function detail(row: Row, waited: string): string {
  switch (row.state) {
    case "QUEUED":
      return [waited, row.waiting && WAITING[row.waiting.reason]].filter(Boolean).join(" · ");
    case "RUNNING":
      return [row.progress !== null && `${Math.floor(row.progress * 100)} %`, row.message].filter(Boolean).join(" · ");
    case "FAILED":
      return row.error ? (CODES[row.error.code] ?? (row.error.code === "TASK_FAILED" ? (row.error.type ?? row.error.message) : row.error.code)) : "";
    case "CANCELLED":
      return row.cancelledBy ? `by ${row.cancelledBy}` : "";
    case "SUCCEEDED":
      return "";
  }
}
