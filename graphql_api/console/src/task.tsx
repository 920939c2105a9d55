// One task as it goes: its events live, then its result.
import { useEffect, useState } from "react";
import { type Refusal, refusal, request, subscribe } from "./api.ts";
import { between, call, clock, count, grouped, inTens } from "./format.ts";
import {
  CANCEL, ENDS, EVENTS, type FibonacciResult, isFinal, READ, RESULT, type Task, type TaskEvent,
} from "./operations.ts";

const END_DIGITS = 300;
const KEPT_EVENTS = 200;

export function RefusalView({ reason }: { reason: Refusal }) {
  return (
    <p className="refusal" role="alert">
      {reason.code && <code>{reason.code}</code>} {reason.message}
    </p>
  );
}

/** Mount it anew for each task id and submission: it follows one life of one task. */
export function TaskView({ taskId, outcome, onChange }: { taskId: string; outcome?: string; onChange(): void }) {
  const [task, setTask] = useState<Task>();
  const [events, setEvents] = useState<TaskEvent[]>([]);
  const [reason, setReason] = useState<Refusal>();

  useEffect(() => {
    let current = true;
    const on = { error: (why: Refusal) => current && setReason(why) };
    // The first look may arrive after the final record, which must stay.
    request<{ task: Task | null }>(READ, { taskId }).then(
      ({ task }) => current && task && setTask((known) => (isFinal(known?.state) ? known : task)),
      (why: unknown) => on.error(refusal(why)),
    );
    const endEvents = subscribe<{ taskEvents: TaskEvent }>(EVENTS, { taskId }, {
      ...on,
      next: ({ taskEvents: event }) => {
        // They come in order; after a reconnect the first ones come again.
        setEvents((known) => (event.seq <= (known.at(-1)?.seq ?? 0) ? known : [...known, event].slice(-KEPT_EVENTS)));
        if (event.kind !== "PROGRESS") onChange();
      },
    });
    const endResult = subscribe<{ taskResult: Task }>(RESULT, { taskId }, {
      ...on,
      next: ({ taskResult }) => {
        setTask(taskResult);
        onChange();
      },
    });
    return () => {
      current = false;
      endEvents();
      endResult();
    };
  }, [taskId, onChange]);

  const state = isFinal(task?.state) ? task!.state : (events.at(-1)?.state ?? task?.state);
  const progress = events.findLast((event) => event.progress !== null)?.progress;
  const cancel = () => request(CANCEL, { taskId }).catch((why: unknown) => setReason(refusal(why)));

  return (
    <section className="card" aria-labelledby="task-title">
      <header className="row">
        <h2 id="task-title">{task ? call(task.name, task.input) : "Task"}</h2>
        <span className={`state ${state ?? "UNKNOWN"}`} role="status">
          {state ?? "not submitted yet"}
        </span>
        {outcome && <span className="hint">{outcome}</span>}
        {state && !isFinal(state) && (
          <button type="button" className="quiet end" onClick={cancel}>
            Cancel
          </button>
        )}
      </header>
      <p className="id">
        <code>{taskId}</code>
      </p>
      {state === "RUNNING" && <progress {...(progress == null ? {} : { value: progress })} aria-label="Progress" />}
      {reason && <RefusalView reason={reason} />}
      {task?.error && <RefusalView reason={task.error} />}
      {task?.result && <ResultView taskId={taskId} result={task.result} />}
      <dl>
        <Fact name="In the queue" value={between(task?.submittedAt, task?.startedAt)} />
        <Fact name="Ran" value={between(task?.startedAt, task?.finishedAt)} />
        <Fact name="Attempts" value={task && task.attempt > 1 ? count(task.attempt) : undefined} />
        <Fact name="Shared by" value={task ? `${count(task.submissions)} submission${task.submissions === 1 ? "" : "s"}` : undefined} />
      </dl>
      <ol className="events" aria-label="Events">
        {events.filter(({ kind }) => kind !== "PROGRESS").map(({ seq, kind, at, attempt, message }) => (
          <li key={seq}>
            <time dateTime={at}>{clock(at)}</time> {kind}
            {attempt > 1 && ` (attempt ${attempt})`} {message && <span className="hint">{message}</span>}
          </li>
        ))}
      </ol>
    </section>
  );
}

function Fact({ name, value }: { name: string; value: string | undefined }) {
  return value === undefined ? null : (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

function ResultView({ taskId, result }: { taskId: string; result: NonNullable<Task["result"]> }) {
  if (!isFibonacci(result)) {
    return (
      <p>
        The result is a <code>{result.__typename}</code>: read it in <a href="/graphql">GraphiQL</a>.
      </p>
    );
  }
  return (
    <>
      {result.value === null ? <LongNumber taskId={taskId} result={result} /> : <p className="number">{grouped(result.value)}</p>}
      <dl>
        <Fact name="Digits" value={count(result.digits)} />
        <Fact name="Bits" value={count(result.bitLength)} />
        <div className="wide">
          <dt>SHA-256 of the digits</dt>
          <dd>
            <code>{result.sha256}</code>
          </dd>
        </div>
      </dl>
    </>
  );
}

const isFibonacci = (result: NonNullable<Task["result"]>): result is FibonacciResult =>
  result.__typename === "FibonacciResult";

/** A number too long to inline: its two ends, and the whole as a download. */
function LongNumber({ taskId, result }: { taskId: string; result: FibonacciResult }) {
  const [ends, setEnds] = useState<{ head: string; tail: string }>();
  const [reason, setReason] = useState<Refusal>();
  useEffect(() => {
    const variables = { taskId, length: END_DIGITS, tail: Math.max(0, result.digits - END_DIGITS) };
    request<{ task: { result: { head: string; tail: string } | null } | null }>(ENDS, variables).then(
      ({ task }) => setEnds(task?.result ?? undefined),
      (why: unknown) => setReason(refusal(why)),
    );
  }, [taskId, result.digits]);
  if (reason) return <RefusalView reason={reason} />;
  return (
    <>
      <p className="number">
        {inTens(ends?.head ?? "")}
        <span className="gap">… {count(Math.max(0, result.digits - 2 * END_DIGITS))} more digits …</span>
        {inTens(ends?.tail ?? "")}
      </p>
      {result.blob && (
        <p>
          <a href={result.blob.url} download={`fibonacci-${result.n}.txt`}>
            Download all {count(result.digits)} digits
          </a>
        </p>
      )}
    </>
  );
}
