// What is done with many tasks: by their ids, or with all that a filter means; the api does it in pages.
import type { TaskFilter, TaskState } from "@dask-graphql/client";
import { request } from "../api/client.ts";
import { counted, count as counts } from "../ui/format.ts";
import { type Action, ACTIONS, type BulkPage, bulkOf } from "./operations.ts";

/** What is selected: tasks by their ids, or all that met a filter when it was chosen. */
export type Selection = { ids: ReadonlySet<string> } | { where: TaskFilter; count: number | null; states: readonly TaskState[] };

export const NOTHING: Selection = { ids: new Set() };

export const isSelected = (selection: Selection): boolean => !("ids" in selection) || selection.ids.size > 0;

/** Ids in one request, as many as the api takes. */
const MOST_IDS = 1000;
/** Pages that are counted before a person is asked: 10,000 tasks. */
const MOST_COUNTED_PAGES = 10;

export function wheresOf(selection: Selection): TaskFilter[] {
  if (!("ids" in selection)) return [selection.where];
  const ids = [...selection.ids];
  return Array.from({ length: Math.ceil(ids.length / MOST_IDS) }, (_, at) => ({ ids: ids.slice(at * MOST_IDS, (at + 1) * MOST_IDS) }) as TaskFilter);
}

export interface Tally {
  done: number;
  wantedByOthers: number;
  refused: { message: string; count: number }[];
  /** Further tasks are meant that were not counted. */
  more: boolean;
}

/**
 * Does it, or with `dryRun` counts what would be done.
 *
 * @throws Refused the api refused it as a whole.
 */
export async function act(action: Action, selection: Selection, { dryRun = false, onProgress }: { dryRun?: boolean; onProgress?(done: number): void } = {}): Promise<Tally> {
  const tally: Tally = { done: 0, wantedByOthers: 0, refused: [], more: false };
  let pages = 0;
  for (const where of wheresOf(selection)) {
    let after: string | null = null;
    for (;;) {
      const { result }: BulkPage = await request<BulkPage>(bulkOf(action), { where, after, dryRun });
      pages += 1;
      tally.done += result.done;
      tally.wantedByOthers += result.wantedByOthers;
      for (const { message, count } of result.refused) {
        const known = tally.refused.find((one) => one.message === message);
        if (known) known.count += count;
        else tally.refused.push({ message, count });
      }
      onProgress?.(tally.done);
      // Without a step forward the next page would be the same: there is no room for more at the moment.
      if (!result.hasNextPage || result.endCursor === after) break;
      after = result.endCursor;
      if (dryRun && pages >= MOST_COUNTED_PAGES) return { ...tally, more: true };
    }
  }
  return tally;
}

/** `Cancel 2`, `Run again 3`: what applies to a selection, and to how many of it; null if only the api knows. */
export function applicable(selection: Selection, stateOf: (taskId: string) => TaskState | undefined): [Action, number | null][] {
  return (Object.keys(ACTIONS) as Action[]).flatMap((action): [Action, number | null][] => {
    const states: readonly TaskState[] = ACTIONS[action].states;
    if (!("ids" in selection)) return selection.states.some((state) => states.includes(state)) ? [[action, selection.states.every((state) => states.includes(state)) ? selection.count : null]] : [];
    const number = [...selection.ids].filter((taskId) => states.includes(stateOf(taskId) ?? "QUEUED")).length;
    return number > 0 ? [[action, number]] : [];
  });
}

/** What the dialog says before many are changed. */
export function consequence(action: Action, { done, wantedByOthers, refused, more }: Tally): string[] {
  const tasks = `${more ? "More than " : ""}${counted(done, "task")}`;
  const others = wantedByOthers > 0 && `${counts(wantedByOthers)} of them ${wantedByOthers === 1 ? "was" : "were"} also submitted by others.`;
  const words = {
    cancel: `${tasks} that wait or run will be cancelled. The work that running ones have done is lost.`,
    withdraw: `Your request for ${tasks.toLowerCase()} is taken back. Those that nobody else wants are cancelled.`,
    retry: `${tasks} that failed or were cancelled will run again, with the same input.`,
    forget: `${tasks} will be deleted with their results, errors and logs, for everybody. This cannot be undone.`,
  }[action];
  return [words, ...(others ? [others] : []), ...refused.map(({ message, count }) => `Not ${counted(count, "task")}: ${message}`)];
}

/** What has happened, for a toast. */
export function outcome(action: Action, { done, refused }: Tally): { text: string; kind: "succeeded" | "cancelled" | "warning" | "failed" } {
  const number = refused.reduce((sum, { count }) => sum + count, 0);
  const text = done === 0 && number === 0 ? "Nothing to do: the tasks had changed meanwhile" : `${counted(done, "task")} ${action === "retry" && done === 1 ? "runs again" : ACTIONS[action].done}`;
  if (number === 0) return { text, kind: done === 0 ? "warning" : action === "retry" ? "succeeded" : "cancelled" };
  return { text: `${text}; ${counts(number)} could not be: ${refused[0]!.message}`, kind: "failed" };
}
