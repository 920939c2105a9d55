// One task as it goes: its events live, then its result.
import { useEffect, useState } from "react";
import { type Refusal, refusal, request, subscribe } from "./api.ts";
import { call, count, counted, duration } from "./format.ts";
import { useNow, usePoll } from "./hooks.ts";
import {
  CANCEL, type Cluster, EVENTS, isFinal, type Outcome, partialOf, READ, resultOf, STATE, type Task, type TaskEvent, type TaskState,
} from "./operations.ts";
import { Fact, Facts, Progress, RefusalView, StateMark } from "./parts.tsx";
import { CopyButton, ResultView } from "./result.tsx";
import type { TaskType } from "./task-types.ts";
import { type Span, spansOf, Timeline } from "./timeline.tsx";

const KEPT_EVENTS = 500;
const LOOK_AGAIN_MILLISECONDS = 5000;

const OUTCOMES: Record<Outcome, string> = {
  NEW: "a new task",
  JOINED: "joined: the same task was in flight already",
  CACHED: "cached: its result was there already",
  RECOMPUTED: "runs again",
};

export interface Submitted {
  taskId: string;
  outcome: Outcome;
  /** The id as it was computed here before the request; nothing where that is not possible. */
  foretold: string | undefined;
  /** Tells two submissions of one task apart. */
  round: number;
}

interface TaskProps {
  taskId: string;
  taskTypes: TaskType[];
  cluster: Cluster | undefined;
  submitted?: Submitted | undefined;
  onChange?(): void;
  heading: "h1" | "h2";
}

/** Follows a task through all of its lives: somebody may have it computed again after it ended. */
export function TaskView(props: TaskProps) {
  const { data, refresh } = usePoll<{ task: { seq: number; state: TaskState } | null }>(STATE, { taskId: props.taskId }, LOOK_AGAIN_MILLISECONDS);
  const [ended, setEnded] = useState<number>();
  const [life, setLife] = useState(0);
  const seen = data?.task;
  useEffect(() => {
    if (ended === undefined || !seen || seen.seq <= ended) return;
    setEnded(undefined);
    setLife((last) => last + 1);
  }, [seen, ended]);
  const onEnd = (seq: number) => {
    setEnded(seq);
    refresh();
  };
  return <TaskLife key={`${props.submitted?.round ?? 0} ${life}`} {...props} onEnd={onEnd} />;
}

function TaskLife({ taskId, taskTypes, cluster, submitted, onChange, onEnd, heading: Heading }: TaskProps & { onEnd(seq: number): void }) {
  const [record, setRecord] = useState<Task>();
  const [final, setFinal] = useState<Task>();
  const [partial, setPartial] = useState<Task["result"]>();
  const [events, setEvents] = useState<TaskEvent[]>([]);
  const [reason, setReason] = useState<Refusal>();
  const [cancelling, setCancelling] = useState(false);

  useEffect(
    () =>
      subscribe<{ taskEvents: TaskEvent }>(EVENTS, { taskId }, {
        error: setReason,
        next: ({ taskEvents: event }) => {
          // They come in order; after a reconnect the first ones come again.
          setEvents((known) => (event.seq <= (known.at(-1)?.seq ?? 0) ? known : [...known, event].slice(-KEPT_EVENTS)));
          if (event.kind !== "PROGRESS") onChange?.();
        },
      }),
    // The callbacks of one life do not change what they mean.
    [taskId],
  );

  // The record again with each change of state: who runs it, and since when.
  const changes = events.filter(({ kind }) => kind !== "PROGRESS").length;
  useEffect(() => {
    let current = true;
    request<{ task: Task | null }>(READ, { taskId }).then(
      ({ task }) => current && task && setRecord(task),
      (why: unknown) => {
        const told = refusal(why);
        // That the api is away stands at the top of the page already, and passes.
        if (current && told.code) setReason(told);
      },
    );
    return () => {
      current = false;
    };
  }, [taskId, changes]);

  const type = taskTypes.find(({ name }) => name === record?.name);
  const wish = record && resultOf(type);
  useEffect(() => {
    if (!wish) return;
    return subscribe<{ taskResult: Task }>(wish, { taskId }, {
      error: setReason,
      next: ({ taskResult }) => {
        setFinal(taskResult);
        setReason(undefined);
        onEnd(taskResult.seq);
        onChange?.();
      },
    });
  }, [taskId, wish]);

  const shows = type && record?.state === "RUNNING" && !final ? partialOf(type) : undefined;
  useEffect(() => {
    if (!shows) return;
    // From the newest event on, with which comes what there is already. A fault tells the result's subscription, too.
    return subscribe<{ taskEvents: { task: { partial: Task["result"] } } }>(shows, { taskId, afterSeq: (record?.seq ?? 1) - 1 }, {
      error: () => undefined,
      next: ({ taskEvents: { task } }) => setPartial(task.partial),
    });
  }, [taskId, shows]);

  const task = final ?? record;
  const state = final?.state ?? events.at(-1)?.state ?? record?.state;
  const title = task && call(task.name, task.input);
  useEffect(() => {
    // Whoever waits in another tab sees the end in the name of this one.
    if (Heading === "h1" && title && state) document.title = `${state} ${title}`;
  }, [Heading, title, state]);
  const shown = final ? final.result : partial;
  const open = state !== undefined && !isFinal(state);
  const now = useNow(open);
  // Of this life alone: a task that is computed again waits and counts anew.
  const spans = spansOf(newestLife(events), now);
  const spent = (kind: Span["kind"]) => {
    const times = spans.filter((span) => span.kind === kind).map(({ from, to }) => to - from);
    return times.length > 0 && duration(times.reduce((sum, time) => sum + time));
  };
  const attempts = spans.filter(({ kind }) => kind === "runs").length;
  const attempt = events.at(-1)?.attempt ?? record?.attempt;
  const progress = events.findLast((event) => event.progress !== null && event.attempt === attempt)?.progress ?? record?.progress;
  const cancel = () => {
    setCancelling(true);
    request(CANCEL, { taskId }).catch((why: unknown) => {
      setReason(refusal(why));
      setCancelling(false);
    });
  };

  return (
    <article className="card task" aria-busy={open}>
      <header className="row">
        <Heading className="call" title={title && title.length > 200 ? title.slice(0, 2000) : undefined}>{title ?? "Task"}</Heading>
        <span role="status">{state ? <StateMark state={state} /> : <span className="hint">no such task was submitted yet; this page waits for it</span>}</span>
        {open && (
          <button type="button" className="quiet end" onClick={cancel} disabled={cancelling}>
            {cancelling ? "Cancelling" : "Cancel"}
          </button>
        )}
      </header>
      <IdLine taskId={taskId} name={type?.name} submitted={submitted} />
      {state === "RUNNING" && (
        <div className="progress">
          <Progress value={progress} />
          <span className="hint">{progressWords(progress, task?.startedAt, now)}</span>
        </div>
      )}
      {state === "QUEUED" && <Waiting cluster={cluster} />}
      {reason && <RefusalView reason={reason} />}
      {final?.error && <RefusalView reason={final.error} />}
      {shown && type && <ResultView taskId={taskId} type={type} result={shown} whole={shown === final?.result} />}
      {final?.state === "SUCCEEDED" && !type && (
        <p className="hint">This api has no task type {final.name} any more, so it cannot tell the result.</p>
      )}
      <Facts>
        <Fact name="Waited" title="In the queue, pauses between attempts included">{spent("waits")}</Fact>
        <Fact name={open ? "Runs" : "Ran"} title="All attempts together">{spent("runs")}</Fact>
        <Fact name="Attempts">{attempts > 1 && count(attempts)}</Fact>
        <Fact name="Shared by">{task && counted(task.submissions, "submission")}</Fact>
        <Fact name="Worker">{task?.worker && <code>{task.worker}</code>}</Fact>
        <Fact name="Version">{task?.version}</Fact>
        <Fact name="Kept until">{final?.expiresAt && new Date(final.expiresAt).toLocaleString("en-GB")}</Fact>
      </Facts>
      <Timeline events={newestLife(events)} now={now} />
    </article>
  );
}

/** The events since the task began anew, where it was computed again. */
const newestLife = (events: TaskEvent[]): TaskEvent[] =>
  events.slice(events.findLastIndex(({ state }, index) => isFinal(state) && index < events.length - 1) + 1);

function IdLine({ taskId, name, submitted }: { taskId: string; name: string | undefined; submitted: Submitted | undefined }) {
  const link = `${location.origin}/#/tasks/${taskId}`;
  return (
    <>
      <p className="row id">
        <code>{taskId}</code>
        <CopyButton text={link} label="Copy link" />
        {location.hash.startsWith("#/submit/") ? (
          <a href={`#/tasks/${taskId}`}>Its page</a>
        ) : (
          name && <a href={`#/submit/${name}/${taskId}`}>Submit again</a>
        )}
      </p>
      {submitted && (
        <p className="hint">
          {OUTCOMES[submitted.outcome]} <code>{submitted.outcome}</code>
          {submitted.foretold === taskId && <span className="good"> ✓ the id that this page had computed before it asked</span>}
        </p>
      )}
      {submitted?.foretold && submitted.foretold !== taskId && (
        <p className="refusal">
          This page had computed another id, <code>{submitted.foretold}</code>: the api reads the input differently.
        </p>
      )}
    </>
  );
}

function progressWords(progress: number | null | undefined, startedAt: string | null | undefined, now: number): string {
  if (progress === null || progress === undefined) return "runs; it tells no progress";
  const percent = `${Math.floor(progress * 100)} %`;
  const ran = startedAt ? now - Date.parse(startedAt) : 0;
  // Too early, the guess jumps.
  if (progress < 0.05 || progress >= 1 || ran < 1000) return percent;
  return `${percent}, about ${duration((ran / progress) * (1 - progress))} left`;
}

/** Why a task waits, as far as the cluster tells. */
function Waiting({ cluster }: { cluster: Cluster | undefined }) {
  if (!cluster) return null;
  const { fleet, workers, schedulerConnected, waiting } = cluster;
  const launching = fleet?.launching ?? 0;
  return (
    <p className="waiting">
      {!schedulerConnected && "The scheduler is away. The task is safe, and goes on when it is back. "}
      {schedulerConnected && workers.length === 0 && launching === 0 && "There is no worker yet. "}
      {launching > 0 && `Waits for a worker: ${counted(launching, "worker")} ${launching === 1 ? "is" : "are"} being launched${
        fleet?.launchSeconds ? `, which took ${Math.round(fleet.launchSeconds)} s of late` : ""}. `}
      {schedulerConnected && workers.length > 0 && waiting > 0 && `${counted(waiting, "task")} before or beside it; ${counted(workers.length, "worker")} at work. `}
      {fleet?.problem}
    </p>
  );
}
