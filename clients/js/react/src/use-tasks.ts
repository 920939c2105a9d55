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

const EMPTY = { tasks: undefined, endCursor: null, error: null };

/**
 * A page of tasks, newest first, read again every `refreshMilliseconds` (0: never) while the page is visible.
 */
export function useTasks(query: TaskQuery = {}, { refreshMilliseconds = 2000 }: { refreshMilliseconds?: number } = {}): TaskList {
  const client = useClient();
  const [list, setList] = useState<Omit<TaskList, "refresh">>(EMPTY);
  const [asked, setAsked] = useState(0);
  const key = JSON.stringify(query);

  useEffect(() => setList(EMPTY), [client, key]);

  useEffect(() => {
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const read = async () => {
      clearTimeout(timer);
      if (document.visibilityState === "visible") {
        try {
          const page = await client.tasks(JSON.parse(key) as TaskQuery, { signal: stop.signal });
          setList({ ...page, error: null });
        } catch (reason) {
          if (stop.signal.aborted) return;
          setList((last) => ({ ...last, error: errorOf(reason) }));
        }
      }
      if (refreshMilliseconds > 0 && !stop.signal.aborted) timer = setTimeout(() => void read(), refreshMilliseconds);
    };
    const onVisibilityChange = () => document.visibilityState === "visible" && void read();
    void read();
    document.addEventListener("visibilitychange", onVisibilityChange);
    return () => {
      stop.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", onVisibilityChange);
    };
  }, [client, key, refreshMilliseconds, asked]);

  const refresh = useCallback(() => setAsked((last) => last + 1), []);
  return { ...list, refresh };
}
