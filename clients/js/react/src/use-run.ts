import type { DaskGraphQLError, SubmissionOutcome, SubmitOptions } from "@dask-graphql/client";
import { useCallback, useRef, useState } from "react";
import { useClient } from "./context.tsx";
import { type TaskView, useTask } from "./use-task.ts";
import { errorOf, watchOf } from "./watch.ts";

export interface Run<Input extends object, Output> extends TaskView<Output> {
  /** Submits the task; what follows is in this object. A later call replaces the earlier one. */
  run: (input: Input, options?: SubmitOptions) => Promise<void>;
  outcome: SubmissionOutcome | null;
  /** From the call of `run` to the end of the task. */
  isRunning: boolean;
  /** Cancels the task. */
  cancel: () => Promise<void>;
  /** Forgets the task; it continues. */
  reset: () => void;
}

interface Submitted {
  taskId: string | null;
  outcome: SubmissionOutcome | null;
  refusal: DaskGraphQLError | null;
  submitting: boolean;
}

const NONE: Submitted = { taskId: null, outcome: null, refusal: null, submitting: false };

/**
 * Submits tasks of one type, and shows the latest one as `useTask` does.
 *
 * @param name the task type's registered name: `estimate_pi`.
 */
export function useRun<Input extends object = Record<string, unknown>, Output = unknown>(name: string): Run<Input, Output> {
  const client = useClient();
  const [submitted, setSubmitted] = useState(NONE);
  const latest = useRef(0);
  const task = useTask<Output>(submitted.taskId);
  const { taskId, outcome, refusal, submitting } = submitted;

  const run = useCallback(async (input: Input, options: SubmitOptions = {}) => {
    const round = ++latest.current;
    setSubmitted({ ...NONE, submitting: true });
    let next: Submitted;
    try {
      const accepted = await client.submit(name, input, options);
      if (accepted.outcome !== "CACHED") watchOf(client, accepted.taskId).restart();
      next = { ...NONE, ...accepted };
    } catch (reason) {
      next = { ...NONE, refusal: errorOf(reason) };
    }
    if (round === latest.current) setSubmitted(next);
  }, [client, name]);

  const cancel = useCallback(async () => {
    if (taskId) await client.cancel(taskId);
  }, [client, taskId]);

  const reset = useCallback(() => {
    latest.current++;
    setSubmitted(NONE);
  }, []);

  const ended = task.output !== null || task.error !== null || (task.state !== null && !task.isOpen);
  return { ...task, run, outcome, error: refusal ?? task.error, isRunning: submitting || (taskId !== null && !ended), cancel, reset };
}
