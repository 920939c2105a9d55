import type { DaskGraphQLError, TaskQuery, TaskSummary } from "@dask-graphql/client";
import { useCallback, useEffect, useState } from "react";
import { useClient } from "./context.tsx";
import { errorOf } from "./watch.ts";

export interface TaskList {
  /** undefined before the first response. */
  tasks: TaskSummary[] | undefined;
  /** Pass it as `after` for the next page; null on the last one. */
  endCursor: string | null;
  /** Why the latest request failed; `tasks` keeps the last response. */
  error: DaskGraphQLError | null;
  /** Reads the page again, now. */
  refresh: () => void;
}

export interface TasksOptions {
  live?: boolean;
  pauseMilliseconds?: number;
}

const EMPTY = { tasks: undefined, endCursor: null, error: null };

/**
 * A page of tasks, newest first, which follows their changes while the page is visible.
 *
 * @param options.live whether it follows them; default true.
 * @param options.pauseMilliseconds between two readings of the page, however fast the tasks change; default 500.
 */
export function useTasks(query: TaskQuery = {}, { live = true, pauseMilliseconds = 500 }: TasksOptions = {}): TaskList {
  const client = useClient();
  const [list, setList] = useState<Omit<TaskList, "refresh">>(EMPTY);
  const [asked, setAsked] = useState(0);
  const key = JSON.stringify(query);

  useEffect(() => setList(EMPTY), [client, key]);

  useEffect(() => {
    const { where = {}, ...page } = JSON.parse(key) as TaskQuery;
    const stop = new AbortController();
    const { signal } = stop;
    const show = (change: Partial<TaskList>) => signal.aborted || setList((last) => ({ ...last, ...change }));
    const fail = (reason: unknown) => show({ error: errorOf(reason) });
    let stale = true; // whether something has changed since the last reading began
    let busy = false; // whether it is being read, or has just been
    const read = async () => {
      if (!stale || busy || signal.aborted || document.visibilityState !== "visible") return;
      [stale, busy] = [false, true];
      await client.tasks({ where, ...page }, { signal }).then((found) => show({ ...found, error: null }), fail);
      setTimeout(() => {
        busy = false;
        void read();
      }, pauseMilliseconds);
    };
    const follow = async () => {
      for await (const _ of client.changes(where, { signal })) {
        stale = true;
        void read();
      }
    };
    const onVisibilityChange = () => void read();
    void read();
    if (live) follow().catch(fail);
    document.addEventListener("visibilitychange", onVisibilityChange);
    return () => {
      stop.abort();
      document.removeEventListener("visibilitychange", onVisibilityChange);
    };
  }, [client, key, live, pauseMilliseconds, asked]);

  const refresh = useCallback(() => setAsked((last) => last + 1), []);
  return { ...list, refresh };
}
