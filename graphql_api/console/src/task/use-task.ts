// One task as it goes: its record, its events and its result, live, through all of its runs.
import { isFinal, type TaskEvent, type TaskState } from "@dask-graphql/client";
import { useEffect, useRef, useState } from "react";
import { client, deliver, type Refusal, refusal, request, subscribe } from "../api/client.ts";
import type { TaskType } from "../api/task-types.ts";
import { earlierOf, type Fields, finalOf, partialOf, READ_TASK, type TaskRecord, type TaskWithResult, WATCH } from "./operations.ts";

const KEPT_EVENTS = 500;

export interface TaskRun {
  taskId: string;
  /** Undefined until it was read, and while there is none. */
  record: TaskRecord | undefined;
  /** The api was asked: nobody has submitted the task, or it has expired. */
  missing: boolean;
  state: TaskState | undefined;
  /** Of the latest run alone: a task that is submitted again starts over. */
  events: TaskEvent[];
  attempt: number;
  progress: number | null;
  type: TaskType | undefined;
  /** What there is of the result. */
  result: Fields | null | undefined;
  /** Of the latest run as a whole, of the run before, or of a run that has not ended. */
  resultOf: "this run" | "an earlier run" | "so far";
  final: TaskRecord | undefined;
  /** Why the api does not tell more. */
  reason: Refusal | undefined;
}

/** Everything that belongs to one run. */
interface Run {
  events: TaskEvent[];
  final: TaskWithResult | undefined;
  partial: Fields | null | undefined;
  earlier: Fields | null | undefined;
}

const NOTHING: Run = { events: [], final: undefined, partial: undefined, earlier: undefined };

export function useTask(taskId: string, taskTypes: TaskType[]): TaskRun {
  const [record, setRecord] = useState<TaskRecord>();
  const [missing, setMissing] = useState(false);
  const [run, setRun] = useState(NOTHING);
  const [life, setLife] = useState(0);
  const [reason, setReason] = useState<Refusal>();
  /** The number of the final event that was seen. */
  const ended = useRef<number>(undefined);
  const add = (part: Partial<Run>) => setRun((known) => ({ ...known, ...part }));

  // A task that has ended may be submitted again, by anybody.
  useEffect(() => {
    const begin = () => {
      ended.current = undefined;
      setRun(({ final, earlier }) => ({ ...NOTHING, earlier: final?.result ?? earlier }));
      setReason(undefined);
      setLife((last) => last + 1);
    };
    return subscribe<{ tasksChanged: { reset: boolean; seq: number | null; task: { seq: number } | null } }>(WATCH, { taskId }, {
      error: () => undefined, // Not everybody may watch lists; the page then shows the run that it has seen begin.
      next: ({ tasksChanged: { reset, task } }) => {
        if (!reset && !task) setMissing(true);
        if (task && ended.current !== undefined && task.seq > ended.current) begin();
      },
    });
  }, [taskId]);

  useEffect(
    () =>
      deliver((signal) => client.events(taskId, { signal }), {
        error: setReason,
        next: (event) => setRun((known) => ({ ...known, events: [...known.events, event].slice(-KEPT_EVENTS) })),
      }),
    [taskId, life],
  );

  // Read the record again after each change of state, for its worker and times.
  const changes = run.events.filter(({ kind }) => kind !== "PROGRESS").length;
  useEffect(() => {
    let current = true;
    request<{ task: TaskRecord | null }>(READ_TASK, { taskId }).then(
      ({ task }) => {
        if (!current) return;
        if (task) setRecord(task);
        setMissing(!task);
      },
      (why: unknown) => {
        const refused = refusal(why);
        // An unavailable api is shown at the top of the page already, and is temporary.
        if (current && refused.code) setReason(refused);
      },
    );
    return () => {
      current = false;
    };
  }, [taskId, life, changes]);

  const type = taskTypes.find(({ name }) => name === record?.name);
  const wish = record && finalOf(type);
  useEffect(() => {
    if (!wish) return;
    return subscribe<{ taskResult: TaskWithResult }>(wish, { taskId }, {
      error: setReason,
      next: ({ taskResult }) => {
        ended.current = taskResult.seq;
        setReason(undefined);
        add({ final: taskResult });
      },
    });
  }, [taskId, life, wish]);

  // Attempts are numbered on when a task is computed again, so a first attempt has no earlier result.
  const again = type && record && !isFinal(record.state) && record.attempt > 1 && !run.earlier ? earlierOf(type) : undefined;
  useEffect(() => {
    if (!again) return;
    let current = true;
    request<{ task: { result: Fields | null } | null }>(again, { taskId }).then(
      ({ task }) => current && task && add({ earlier: task.result }),
      () => undefined,
    );
    return () => {
      current = false;
    };
  }, [taskId, again]);

  const { events, final, partial, earlier } = run;
  const shows = type && !type.stream && record?.state === "RUNNING" && !final ? partialOf(type) : undefined;
  useEffect(() => {
    if (!shows) return;
    // From the latest event on, which comes with the current partial result. Errors are left to the result's subscription.
    return subscribe<{ taskEvents: { task: { partial: Fields | null } } }>(shows, { taskId, afterSeq: (record?.seq ?? 1) - 1 }, {
      error: () => undefined,
      next: ({ taskEvents: { task } }) => add({ partial: task.partial }),
    });
  }, [taskId, life, shows]);

  // The items of a stream's earlier run are replaced by those that come.
  const result = final ? final.result : (partial ?? (type?.stream ? null : earlier));
  const latest = latestRun(events);
  const attempt = latest.at(-1)?.attempt ?? record?.attempt ?? 1;
  return {
    taskId, missing, events: latest, attempt, type, result, final, reason,
    record: final ?? record,
    state: final?.state ?? latest.at(-1)?.state ?? record?.state,
    progress: latest.findLast((event) => event.progress !== null && event.attempt === attempt)?.progress ?? record?.progress ?? null,
    resultOf: final ? (final.state === "SUCCEEDED" ? "this run" : "an earlier run") : partial ? "so far" : "an earlier run",
  };
}

/** The events since the task was last submitted anew. */
const latestRun = (events: TaskEvent[]): TaskEvent[] =>
  events.slice(events.findLastIndex(({ state }, index) => isFinal(state) && index < events.length - 1) + 1);
