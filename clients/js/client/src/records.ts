// What the api tells of tasks, as in schema.graphql.

export type TaskState = "QUEUED" | "RUNNING" | "SUCCEEDED" | "FAILED" | "CANCELLED";

export type FinalState = "SUCCEEDED" | "FAILED" | "CANCELLED";

export const isFinal = (state: TaskState | null | undefined): state is FinalState =>
  state === "SUCCEEDED" || state === "FAILED" || state === "CANCELLED";

export type SubmissionOutcome = "NEW" | "JOINED" | "CACHED" | "RECOMPUTED";

export interface Submission {
  taskId: string;
  outcome: SubmissionOutcome;
}

export interface TaskFailure {
  code: string;
  message: string;
  /** Type of the exception that the function raised, if any. */
  type: string | null;
}

/** One change of a task. */
export interface TaskEvent {
  taskId: string;
  /** Counts from 1 within the task. */
  seq: number;
  kind: string;
  state: TaskState;
  attempt: number;
  at: string;
  /** From 0 to 1, if the event reports it. */
  progress: number | null;
  /** What the task reported for people, or why it was retried or failed. */
  message: string | null;
  /** What the task reported for programs, any JSON. */
  data: unknown;
}

/** A task in a list: without its result. */
export interface TaskSummary {
  taskId: string;
  name: string;
  version: string;
  input: unknown;
  state: TaskState;
  attempt: number;
  seq: number;
  /** From 0 to 1, as reported by the latest attempt. */
  progress: number | null;
  submittedAt: string;
  startedAt: string | null;
  finishedAt: string | null;
  expiresAt: string | null;
  tags: string[];
  error: TaskFailure | null;
}

/** One change of one of the tasks that a filter means. */
export interface TaskChange {
  /** Pass that of the last item as `after` to continue later. */
  cursor: string;
  /** Changes may have been missed: read the list of tasks now. The other fields are null. */
  reset: boolean;
  taskId: string | null;
  /** Whether the task meets the filter after this change; if not, it did before. */
  matches: boolean;
  kind: string | null;
  state: TaskState | null;
  stateBefore: TaskState | null;
  /** Number of the task's event. */
  seq: number | null;
  at: string | null;
}

/** The record of a task. */
export interface TaskRecord<Output = unknown> extends TaskSummary {
  /**
   * What the function returned: an object by the names of its GraphQL type, a plain value (number, list, ...) as it is; null
   * unless SUCCEEDED. `BigInt` is a string of digits.
   */
  output: Output | null;
}

/** Why a task is QUEUED, and for how long. */
export interface Waiting {
  reason:
    | "QUEUED_BEHIND" | "NO_WORKER" | "LAUNCHING" | "NOT_BEFORE" | "RETRY" | "LIMIT" | "PAUSED" | "SCHEDULER_AWAY";
  /** How many tasks wait for the same and come first; null if that is not known. */
  ahead: number | null;
  /** Expected time until it starts; null without a basis. */
  etaSeconds: number | null;
}

/** A line that a task has printed or logged. */
export interface LogLine {
  /** From 1 within the task; jumps where lines were dropped. */
  number: number;
  at: string;
  attempt: number;
  /** How many lines were dropped before this one. */
  dropped: number;
  level: "DEBUG" | "INFO" | "WARNING" | "ERROR" | "CRITICAL";
  text: string;
}

export interface SubmitOptions {
  /** Run the task again even if a result is stored. */
  recompute?: boolean;
  /** From -100 to 100; tasks with a higher priority run first. */
  priority?: number;
  /** Do not run the task before this time. */
  notBefore?: Date | string;
  /** If no worker has started it by this time, it fails with EXPIRED_BEFORE_START. */
  startBefore?: Date | string;
  /** How long the result is kept after the task's end. */
  ttlSeconds?: number;
  tags?: readonly string[];
  /** URL that is told of the task's end. */
  webhook?: string;
  /** Asks for a run of its own; part of the task id. The same input with the same key is the same task. */
  runKey?: string;
}

/** Which tasks: those that fulfil all of it. */
export interface TaskFilter {
  states?: readonly TaskState[];
  /** Of one of these task types; at most 10. */
  names?: readonly string[];
  tag?: string;
  errorCode?: string;
  submittedBy?: string;
  submittedAfter?: Date | string;
  submittedBefore?: Date | string;
  /** In the id, the name, the input, a tag or the error's message. */
  text?: string;
  /** At most 1,000. */
  ids?: readonly string[];
  /** With at least one of these; at most 100. */
  tags?: readonly string[];
  /** At most 100. */
  errorCodes?: readonly string[];
  /** Ended, and the latest attempt ran for this long or longer. */
  minRunSeconds?: number;
  maxRunSeconds?: number;
  /** Of the latest attempt. */
  worker?: string;
  /** Ended then or later. */
  finishedAfter?: Date | string;
  finishedBefore?: Date | string;
  /** Failed, and of the group of `failures` with this key. */
  failureGroup?: string;
}

export const SUMMARY = `taskId name version input state attempt seq progress submittedAt startedAt finishedAt expiresAt tags
error { code message type }`;
