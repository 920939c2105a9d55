// Which tasks are selected: some by their ids, or all that a filter means.
import type { TaskFilter, TaskState } from "@dask-graphql/client";
import { useCallback, useEffect, useRef, useState } from "react";
import type { Cluster } from "../api/operations.ts";
import { inState } from "../cluster/watch.ts";
import { count } from "../ui/format.ts";
import { STATE_WORDS } from "../ui/state.tsx";
import { NOTHING, type Selection } from "./bulk.ts";
import { type Filters, isFiltered } from "./filters.ts";
import type { Row } from "./rows.ts";

const STATES = Object.keys(STATE_WORDS) as TaskState[];

/** @param filterKey another filter means other tasks: nothing is selected then. */
export function useSelection(filterKey: string) {
  const [selection, set] = useState<Selection>(NOTHING);
  const last = useRef<string>(undefined);
  const clear = useCallback(() => set(NOTHING), []);
  useEffect(clear, [filterKey, clear]);

  /** Selects or deselects; with the ids in their order, all from the last one to this one. */
  const choose = useCallback((taskId: string, order?: readonly string[]) => {
    const [from, to] = order && last.current !== undefined ? [order.indexOf(last.current), order.indexOf(taskId)].sort((a, b) => a - b) : [];
    last.current = taskId;
    set((before) => {
      const ids = new Set("ids" in before ? before.ids : []);
      if (order && from !== undefined && from >= 0) order.slice(from, to! + 1).forEach((one) => ids.add(one));
      else if (!ids.delete(taskId)) ids.add(taskId);
      return { ids };
    });
  }, []);

  const isChosen = useCallback((taskId: string) => !("ids" in selection) || selection.ids.has(taskId), [selection]);

  /** All that a filter means now: tasks to come are not meant. */
  const everything = (where: TaskFilter, number: number | null, filters: Filters): Selection => ({
    where: { ...where, submittedBefore: where.submittedBefore ?? new Date().toISOString() }, count: number, states: filters.state.length > 0 ? filters.state : STATES,
  });

  /** `Select all 61 failed`: what is selected has one state, or is all that is loaded. */
  const offer = (where: TaskFilter, filters: Filters, total: number | null, rows: ReadonlyMap<string, Row>, cluster: Cluster | undefined, allLoaded: boolean) => {
    if (!("ids" in selection) || selection.ids.size === 0) return undefined;
    const states = new Set([...selection.ids].map((taskId) => rows.get(taskId)?.state));
    const [state] = states;
    const narrowed = states.size === 1 && state && !(filters.state.length === 1 && filters.state[0] === state) ? state : undefined;
    if (!narrowed && !allLoaded && filters.state.length !== 1) return undefined;
    const number = narrowed ? (!isFiltered(filters) && cluster ? inState(cluster, narrowed) : null) : total;
    if (number !== null && number <= selection.ids.size) return undefined;
    const words = narrowed ?? (filters.state.length === 1 ? filters.state[0] : undefined);
    return {
      label: `Select all${number === null ? "" : ` ${count(number)}`}${words ? ` ${STATE_WORDS[words].toLowerCase()}` : ""}${number === null ? " that match" : ""}`,
      choose: () => set(everything(narrowed ? { ...where, states: [narrowed] } : where, number, narrowed ? { ...filters, state: [narrowed] } : filters)),
    };
  };

  return { selection, set, clear, choose, isChosen, everything, offer };
}
