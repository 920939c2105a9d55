import { type DaskGraphQLError, isFinal, type TaskState, type Waiting } from "@dask-graphql/client";
import { useSyncExternalStore } from "react";
import { useClient } from "./context.tsx";
import { NOTHING, type Watched, watchOf } from "./watch.ts";

export interface TaskView<Output = unknown> {
  taskId: string | null;
  /** null before it was submitted. */
  state: TaskState | null;
  /** From 0 to 1; null if the attempt has not reported any, so that it can be the `value` of a <progress> as `?? undefined`. */
  progress: number | null;
  message: string | null;
  /** The latest data that the task reported beside its progress, any JSON. */
  data: unknown;
  /** Why it is QUEUED, and for how long; asked for every five seconds. null if it is not, or if that is not known yet. */
  waiting: Waiting | null;
  attempt: number;
  /** What the function returned; null unless SUCCEEDED. */
  output: Output | null;
  /** Why it ended without a result (`TaskFailed`), or why it cannot be read (`Refused`). */
  error: DaskGraphQLError | null;
  /** Whether it has been submitted and has not ended. */
  isOpen: boolean;
}

/**
 * A task, live: renders after each change, until its end.
 *
 * All components that use the same id share one subscription, which continues after a lost connection.
 *
 * @param taskId nothing for none.
 */
export function useTask<Output = unknown>(taskId: string | null | undefined): TaskView<Output> {
  const client = useClient();
  const watch = taskId ? watchOf(client, taskId) : undefined;
  const task = useSyncExternalStore(watch?.subscribe ?? never, watch?.read ?? nothing, nothing) as Watched<Output>;
  const { state, progress, message, data, waiting, attempt, final, error } = task;
  return {
    taskId: taskId || null, state, progress, message, data, waiting, attempt, output: final?.output ?? null, error,
    isOpen: state !== null && !isFinal(state),
  };
}

const never = () => () => {};
const nothing = (): Watched => NOTHING;
