// A task in short, for beside the form that has started it.
import { isFinal, type SubmissionOutcome } from "@dask-graphql/client";
import { useNow } from "../api/poll.ts";
import { address } from "../app/route.ts";
import { useSession } from "../app/session.ts";
import { Loading } from "../ui/banner.tsx";
import { shortTime } from "../ui/format.ts";
import { ErrorSummary } from "./error.tsx";
import { Advance, hasResult, LiveState, Reason, RunResult } from "./parts.tsx";
import type { TaskRecord } from "./operations.ts";
import { useTask } from "./use-task.ts";

interface PanelProps {
  taskId: string;
  /** What the submission has led to. */
  outcome?: SubmissionOutcome | undefined;
}

/** State, progress, error and result of a task, live. */
export function TaskPanel({ taskId, outcome }: PanelProps) {
  const run = useTask(taskId, useSession().catalogue.taskTypes);
  const { state, record, missing, final } = run;
  const now = useNow(state !== undefined && !isFinal(state));
  return (
    <section className="card task" aria-label="Task" aria-busy={!final}>
      <header>
        <h2>{record?.name ?? "Task"} <code className="muted">{taskId.slice(0, 8)}</code></h2>
        <LiveState run={run} />
        <a className="btn slim end" href={address(["tasks", taskId])}>Open</a>
      </header>
      <div className="body stack">
        {outcome && <p className="small muted">{outcomeWords(outcome, record)}</p>}
        <Advance run={run} now={now} />
        <Reason run={run} />
        {final?.error && <ErrorSummary error={final.error} state={final.state} />}
        {hasResult(run) ? <RunResult run={run} /> : !record && !missing && <Loading what="the task" rows={3} />}
      </div>
    </section>
  );
}

/** The answer to a click on Run. */
export function outcomeWords(outcome: SubmissionOutcome, record: TaskRecord | undefined): string {
  switch (outcome) {
    case "NEW": return "Started.";
    case "JOINED": return "The same task was already on its way. You share its result.";
    case "CACHED": return `This result was already there${record?.finishedAt ? `, from ${shortTime(record.finishedAt)}` : ""}.`;
    case "RECOMPUTED": return "Running again.";
  }
}
