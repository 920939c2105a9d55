// What the page of a task and the panel beside a form have in common.
import { ResultView } from "../results/result.tsx";
import { LiveItems } from "../results/stream-view.tsx";
import { Loading } from "../ui/banner.tsx";
import { duration } from "../ui/format.ts";
import { Progress, RefusalView } from "../ui/parts.tsx";
import { State } from "../ui/state.tsx";
import type { TaskRun } from "./use-task.ts";
import { WaitingLine } from "./waiting.tsx";

/** The state, which is read out when it changes. */
export const LiveState = ({ run: { state, progress }, big = false }: { run: TaskRun; big?: boolean }) => (
  <span role="status" aria-label="State">{state && <State state={state} progress={progress} big={big} />}</span>
);

/** How far it is, or what it waits for; nothing once it has ended. */
export function Advance({ run: { taskId, state, progress, record, events }, now, usual }: { run: TaskRun; now: number; usual?: number | undefined }) {
  if (state === "QUEUED") return <WaitingLine taskId={taskId} />;
  if (state !== "RUNNING") return null;
  const message = events.findLast(({ kind }) => kind === "PROGRESS")?.message;
  return (
    <div className="advance">
      <Progress value={progress} />
      <p className="row small muted">
        <span>{progressWords(progress)}</span>
        {message && <span className="anywhere">{message}</span>}
        <span className="end">{leftWords(progress, record?.startedAt, now, usual)}</span>
      </p>
    </div>
  );
}

const progressWords = (progress: number | null): string => (progress === null ? "No progress reported" : `${Math.floor(progress * 100)} %`);

/**
 * How long it will still take; nothing while that would be a guess.
 *
 * @param usual how long such tasks usually run, in milliseconds: what a task without progress is measured by.
 */
export function leftWords(progress: number | null, startedAt: string | null | undefined, now: number, usual?: number): string | undefined {
  const ran = startedAt ? now - Date.parse(startedAt) : 0;
  if (progress === null && usual !== undefined && startedAt) {
    return ran < usual ? `usually done in about ${duration(Math.max(1000, Math.ceil((usual - ran) / 1000) * 1000))}` : ran > 2 * usual && ran > 1000 ? "longer than usual" : undefined;
  }
  // An early estimate would jump.
  if (progress === null || progress < 0.05 || progress >= 1 || ran < 1000) return undefined;
  return `about ${duration(Math.max(1000, (ran / progress) * (1 - progress)))} left`;
}

/** The result, or what there is of it. */
export function RunResult({ run: { taskId, type, state, result, resultOf, final, events } }: { run: TaskRun }) {
  const open = final === undefined;
  const hasRun = events.some((event) => event.state === "RUNNING");
  if (isComing({ type, final, state })) return <section className="card"><div className="body only"><Loading what="the result" /></div></section>;
  return (
    <>
      {result && resultOf === "an earlier run" && (
        <p className="small muted">This is the result of an earlier run{open && ", until there is a new one"}.</p>
      )}
      {result && type && <ResultView taskId={taskId} type={type} result={result} whole={resultOf !== "so far"} />}
      {type?.stream && hasRun && state !== "SUCCEEDED" && !result && <LiveItems taskId={taskId} type={type} stream={type.stream} />}
      {final?.state === "SUCCEEDED" && !type && (
        <p className="muted">The task type {final.name} is no longer there, so its result cannot be shown.</p>
      )}
    </>
  );
}

/** The task has succeeded, and its result is on its way to the page. */
const isComing = ({ type, final, state }: Pick<TaskRun, "type" | "final" | "state">): boolean => Boolean(type && state === "SUCCEEDED" && !final);

/** Whether there is anything for `RunResult` to show. */
export const hasResult = ({ type, state, result, final, events }: TaskRun): boolean =>
  isComing({ type, final, state }) || Boolean(result && type) || (final?.state === "SUCCEEDED" && !type) ||
  Boolean(type?.stream && state !== "SUCCEEDED" && events.some((event) => event.state === "RUNNING"));

export const Reason = ({ run: { reason } }: { run: TaskRun }) => reason && <RefusalView reason={reason} />;
