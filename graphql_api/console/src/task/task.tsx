// One task as it goes: its events live, then its result.
import { isFinal, type SubmissionOutcome, type TaskEvent, type TaskState } from "@dask-graphql/client";
import { useEffect, useState } from "react";
import { API_URL } from "../api/address.ts";
import { client, deliver, type Refusal, refusal, request, subscribe } from "../api/client.ts";
import { call, count, counted, duration } from "../ui/format.ts";
import { useNow, usePoll } from "../api/poll.ts";
import { TaskLogs } from "./logs.tsx";
import { CANCEL, type Cluster, earlierOf, partialOf, READ, resultOf, STATE, type Task, WITHDRAW } from "../api/operations.ts";
import { Fact, Facts, Progress, RefusalView, StateMark } from "../ui/parts.tsx";
import { CopyButton, ResultView } from "../results/result.tsx";
import { LiveItems } from "../results/stream-view.tsx";
import type { TaskType } from "../api/task-types.ts";
import { type Span, spansOf, Timeline } from "./timeline.tsx";
import { WaitingLine } from "./waiting.tsx";

const KEPT_EVENTS = 500;
const POLL_MILLISECONDS = 5000;

const OUTCOMES: Record<SubmissionOutcome, string> = {
  NEW: "a new task",
  JOINED: "joined: the same task is already open",
  CACHED: "cached: the result already exists",
  RECOMPUTED: "running again",
};

export interface Submitted {
  taskId: string;
  outcome: SubmissionOutcome;
  /** The id as computed here before the request; undefined if that is not possible. */
  expectedId: string | undefined;
  /** Distinguishes two submissions of one task. */
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

/** Follows a task through all of its runs: it may be submitted again after it ended. */
export function TaskView(props: TaskProps) {
  const { data, refresh } = usePoll<{ task: { seq: number; state: TaskState } | null }>(STATE, { taskId: props.taskId }, POLL_MILLISECONDS);
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
  const [earlier, setEarlier] = useState<Task["result"]>();
  const [events, setEvents] = useState<TaskEvent[]>([]);
  const [reason, setReason] = useState<Refusal>();
  const [cancelling, setCancelling] = useState(false);
  const [shared, setShared] = useState(false);

  useEffect(
    () =>
      deliver((signal) => client.events(taskId, { signal }), {
        error: setReason,
        next: (event) => {
          setEvents((known) => [...known, event].slice(-KEPT_EVENTS));
          if (event.kind !== "PROGRESS") onChange?.();
        },
      }),
    // The callbacks of one run do not change their meaning.
    [taskId],
  );

  // Read the record again after each change of state, for its worker and times.
  const changes = events.filter(({ kind }) => kind !== "PROGRESS").length;
  useEffect(() => {
    let current = true;
    request<{ task: Task | null }>(READ, { taskId }).then(
      ({ task }) => current && task && setRecord(task),
      (why: unknown) => {
        const refused = refusal(why);
        // An unavailable api is shown at the top of the page already, and is temporary.
        if (current && refused.code) setReason(refused);
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

  // Attempts are numbered on when a task is computed again, so a first attempt has no earlier result.
  const again = type && record && !isFinal(record.state) && record.attempt > 1 ? earlierOf(type) : undefined;
  useEffect(() => {
    if (!again) return;
    let current = true;
    request<{ task: { state: TaskState; result: Task["result"] } | null }>(again, { taskId }).then(
      // Once it has ended, `taskResult` delivers the new result.
      ({ task }) => current && task && !isFinal(task.state) && setEarlier(task.result),
      () => undefined,
    );
    return () => {
      current = false;
    };
  }, [taskId, again]);

  const shows = type && !type.stream && record?.state === "RUNNING" && !final ? partialOf(type) : undefined;
  useEffect(() => {
    if (!shows) return;
    // From the latest event on, which comes with the current partial result. Errors are left to the result's subscription.
    return subscribe<{ taskEvents: { task: { partial: Task["result"] } } }>(shows, { taskId, afterSeq: (record?.seq ?? 1) - 1 }, {
      error: () => undefined,
      next: ({ taskEvents: { task } }) => setPartial(task.partial),
    });
  }, [taskId, shows]);

  const task = final ?? record;
  const state = final?.state ?? events.at(-1)?.state ?? record?.state;
  const title = task && call(task.name, task.input);
  useEffect(() => {
    // Show the state in the tab's title, for users who wait in another tab.
    if (Heading === "h1" && title && state) document.title = `${state} ${title}`;
  }, [Heading, title, state]);
  // The items of a stream's earlier run are replaced by those that come.
  const shown = final ? final.result : (partial ?? (type?.stream ? null : earlier));
  const isEarlier = Boolean(shown) && (final ? final.state !== "SUCCEEDED" : shown === earlier);
  const open = state !== undefined && !isFinal(state);
  const hasRun = events.some((event) => event.state === "RUNNING");
  const now = useNow(open);
  // Of the latest run alone: a task that is submitted again starts over.
  const spans = spansOf(latestRun(events), now);
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
      const refused = refusal(why);
      setReason(refused);
      setShared(refused.code === "FORBIDDEN");
      setCancelling(false);
    });
  };
  // Others want the task too: it continues for them.
  const withdraw = () => {
    request(WITHDRAW, { taskId }).then(
      () => {
        setReason(undefined);
        setShared(false);
      },
      (why: unknown) => setReason(refusal(why)),
    );
  };

  return (
    <article className="card task" aria-busy={open}>
      <header className="row">
        <Heading className="call" title={title && title.length > 200 ? title.slice(0, 2000) : undefined}>{title ?? "Task"}</Heading>
        <span role="status">{state ? <StateMark state={state} /> : <span className="hint">not submitted yet, or expired; this page waits for it</span>}</span>
        {open && shared && (
          <button type="button" className="quiet end" onClick={withdraw} title="Others who want this task still get its result">
            Withdraw
          </button>
        )}
        {open && !shared && (
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
      {state === "QUEUED" && <WaitingLine taskId={taskId} problem={cluster?.fleet?.problem} />}
      {reason && <RefusalView reason={reason} />}
      {final?.error && <RefusalView reason={final.error} />}
      {isEarlier && <p className="hint">This is the result of an earlier run{open && ", until there is a new one"}:</p>}
      {shown && type && <ResultView taskId={taskId} type={type} result={shown} whole={shown === final?.result || isEarlier} />}
      {type?.stream && hasRun && final?.state !== "SUCCEEDED" && !isEarlier && <LiveItems taskId={taskId} type={type} stream={type.stream} />}
      {final?.state === "SUCCEEDED" && !type && (
        <p className="hint">This api no longer has the task type {final.name}, so it cannot show the result.</p>
      )}
      <Facts>
        <Fact name="Waited" title="In the queue, including pauses between attempts">{spent("waits")}</Fact>
        <Fact name={open ? "Running" : "Ran"} title="All attempts together">{spent("runs")}</Fact>
        <Fact name="Attempts">{attempts > 1 && count(attempts)}</Fact>
        <Fact name="Shared by">{task && counted(task.submissions, "submission")}</Fact>
        <Fact name="Worker">{task?.worker && <code>{task.worker}</code>}</Fact>
        <Fact name="Version">{task?.version}</Fact>
        <Fact name="Kept until">{final?.expiresAt && new Date(final.expiresAt).toLocaleString("en-GB")}</Fact>
      </Facts>
      {hasRun && <TaskLogs taskId={taskId} open={open} />}
      <Timeline events={latestRun(events)} now={now} />
    </article>
  );
}

/** The events since the task was last submitted anew. */
const latestRun = (events: TaskEvent[]): TaskEvent[] =>
  events.slice(events.findLastIndex(({ state }, index) => isFinal(state) && index < events.length - 1) + 1);

function IdLine({ taskId, name, submitted }: { taskId: string; name: string | undefined; submitted: Submitted | undefined }) {
  const link = `${API_URL}#/tasks/${taskId}`;
  return (
    <>
      <p className="row id">
        <code>{taskId}</code>
        <CopyButton text={link} label="Copy link" />
        {location.hash.startsWith("#/types/") ? (
          <a href={`#/tasks/${taskId}`}>Task page</a>
        ) : (
          name && <a href={`#/types/${name}?from=${taskId}`}>Submit again</a>
        )}
      </p>
      {submitted && (
        <p className="hint">
          {OUTCOMES[submitted.outcome]} <code>{submitted.outcome}</code>
          {submitted.expectedId === taskId && <span className="good"> ✓ the id that this page computed before it submitted</span>}
        </p>
      )}
      {submitted?.expectedId && submitted.expectedId !== taskId && (
        <p className="refusal">
          This page computed another id, <code>{submitted.expectedId}</code>: it and the api write the input differently.
        </p>
      )}
    </>
  );
}

function progressWords(progress: number | null | undefined, startedAt: string | null | undefined, now: number): string {
  if (progress === null || progress === undefined) return "running; no progress reported";
  const percent = `${Math.floor(progress * 100)} %`;
  const ran = startedAt ? now - Date.parse(startedAt) : 0;
  // An early estimate would jump.
  if (progress < 0.05 || progress >= 1 || ran < 1000) return percent;
  return `${percent}, about ${duration((ran / progress) * (1 - progress))} left`;
}
