// A page of the list of tasks, kept up to date by the changes that the api announces.
import type { TaskFilter } from "@dask-graphql/client";
import { useEffect, useRef, useState } from "react";
import { onDisconnect, subscribe } from "../api/client.ts";
import { type Poll, usePoll } from "../api/poll.ts";
import { CHANGES, type TaskChange, type TaskLine, TASKS, type TaskPage } from "../api/operations.ts";

/** How often the page is requested while its changes do not arrive. */
const FALLBACK_MILLISECONDS = 1500;
/** And while they do: that a task expires is no change. */
const IDLE_MILLISECONDS = 30_000;
/** Changes within this time cause one request. */
const GATHER_MILLISECONDS = 400;

/** Lines that stay are replaced by what comes with a change; the page is requested again if others come or go. */
export function useTaskPage(where: TaskFilter, first: number, after?: string): Poll<TaskPage> {
  const [live, setLive] = useState(false);
  const [changed, setChanged] = useState<Record<string, TaskLine>>({});
  const variables = { first, where, ...(after && { after }) };
  const { data, reason, refresh } = usePoll<TaskPage>(TASKS, variables, live ? IDLE_MILLISECONDS : FALLBACK_MILLISECONDS);
  const listed = useRef(new Set<string>());
  listed.current = new Set(data?.tasks.edges.map(({ node }) => node.taskId));
  const key = JSON.stringify([where, after]);

  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const refreshSoon = () => {
      timer ??= setTimeout(() => {
        timer = undefined;
        refresh();
      }, GATHER_MILLISECONDS);
    };
    const stop = subscribe<{ tasksChanged: TaskChange }>(CHANGES, { where: JSON.parse(key)[0] }, {
      error: () => setLive(false),
      next: ({ tasksChanged: { reset, matches, taskId, task } }) => {
        setLive(true);
        const isListed = taskId !== null && listed.current.has(taskId);
        if (matches && task && isListed) setChanged((known) => ({ ...known, [task.taskId]: task }));
        // A new task is on the first page.
        else if (reset || isListed || (matches && !after)) refreshSoon();
      },
    });
    const stopListening = onDisconnect(() => setLive(false));
    return () => {
      stop();
      stopListening();
      clearTimeout(timer);
      setChanged({});
    };
  }, [key, refresh]);

  const edges = data?.tasks.edges.map(({ node }) => ({ node: newer(node, changed[node.taskId]) }));
  return { data: data && edges && { tasks: { ...data.tasks, edges } }, reason, refresh };
}

/** A response may have been on its way when a change came. */
const newer = (one: TaskLine, other: TaskLine | undefined): TaskLine => (other && other.seq > one.seq ? other : one);
