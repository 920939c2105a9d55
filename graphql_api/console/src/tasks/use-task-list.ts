// The list that the address names, as a hook.
import type { TaskFilter } from "@dask-graphql/client";
import { useEffect, useMemo, useRef, useSyncExternalStore } from "react";
import { useSession } from "../app/session.ts";
import type { WireRow } from "./operations.ts";
import { inputText, type Row } from "./rows.ts";
import { TaskList, type View } from "./task-list.ts";

export interface ListInUse extends View {
  list: TaskList;
  /** Whether the rows are those of the filters before, until those of the new ones have come. */
  stale: boolean;
}

export function useTaskList(where: TaskFilter, newestFirst: boolean, held: boolean): ListInUse {
  const { catalogue } = useSession();
  const types = useRef(catalogue.taskTypes);
  types.current = catalogue.taskTypes;
  const key = JSON.stringify([where, newestFirst]);

  const list = useMemo(() => {
    const rowOf = ({ input, ...wire }: WireRow): Row => {
      const names = types.current.find(({ name }) => name === wire.name)?.arguments.map((argument) => [argument.name, argument.graphqlName] as const);
      return { ...wire, inputText: inputText(input, names ?? []), submitted: Date.parse(wire.submittedAt), left: false };
    };
    return new TaskList(where, newestFirst, rowOf);
  }, [key]);
  const view = useSyncExternalStore(list.subscribe, list.read);

  useEffect(() => list.start(), [list]);
  useEffect(() => list.hold(held), [list, held]);

  const before = useRef<View>(undefined);
  useEffect(() => {
    if (view.loaded) before.current = view;
  }, [view]);
  const stale = !view.loaded && !view.reason && before.current !== undefined;
  return { ...view, ...(stale && { rows: before.current!.rows, total: before.current!.total }), list, stale };
}
